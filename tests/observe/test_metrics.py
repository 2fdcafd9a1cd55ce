"""Counters and gauges, and their OpenMetrics text."""

import pytest

from cluster.observe.metrics import SERIES_MAX, Metrics


def test_the_text_of_counters_and_gauges() -> None:
    metrics = Metrics()
    metrics.counter("frames", "Frames sent.", lane="0", peer="n1").add(3)
    metrics.counter("frames", "Frames sent.", lane="1", peer="n1").add()
    metrics.gauge("load", "Load.\nNow.").set(0.25)
    metrics.watch("members", "gauge", "Members.", lambda: 5)
    assert metrics.render() == (
        "# TYPE frames counter\n"
        "# HELP frames Frames sent.\n"
        'frames_total{lane="0",peer="n1"} 3\n'
        'frames_total{lane="1",peer="n1"} 1\n'
        "# TYPE load gauge\n"
        "# HELP load Load.\\nNow.\n"
        "load 0.25\n"
        "# TYPE members gauge\n"
        "# HELP members Members.\n"
        "members 5\n"
        "# EOF\n"
    )


def test_a_cell_is_made_once() -> None:
    metrics = Metrics()
    assert metrics.counter("a", "A.", x="1") is metrics.counter("a", "A.", x="1")
    assert metrics.counter("a", "A.", x="1") is not metrics.counter("a", "A.", x="2")


def test_label_values_are_escaped() -> None:
    metrics = Metrics()
    metrics.gauge("a", "A.", x='say "\\"\n').set(1)
    assert 'a{x="say \\"\\\\\\"\\n"} 1' in metrics.render()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1.0, "1"), (1e300, "1e+300"), (0.1, "0.1"), (-2, "-2"), (float("inf"), "+Inf"), (float("nan"), "NaN")],
)
def test_numbers(value: float, text: str) -> None:
    metrics = Metrics()
    metrics.watch("a", "gauge", "A.", lambda: value)
    assert f"a {text}\n" in metrics.render()


def test_the_values_alone() -> None:
    metrics = Metrics()
    metrics.counter("a", "A.", x="1").add(2)
    assert metrics.snapshot() == {"a": [({"x": "1"}, 2)]}


def test_a_name_keeps_its_kind() -> None:
    metrics = Metrics()
    metrics.counter("a", "A.")
    with pytest.raises(AssertionError):
        metrics.gauge("a", "A.")


def test_a_family_is_bounded() -> None:
    metrics = Metrics()
    for number in range(SERIES_MAX):
        metrics.counter("a", "A.", x=str(number))
    metrics.counter("a", "A.", x="0").add()
    with pytest.raises(AssertionError):
        metrics.counter("a", "A.", x="one more")
