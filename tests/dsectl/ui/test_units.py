"""Durations, sizes and probabilities, by table."""

import pytest

from cluster.errors import Usage
from dsectl.ui.units import duration, is_duration, probability, show_duration, show_size, size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("5s", 5), ("2m", 120), ("1.5h", 5400), ("0s", 0), (".5s", 0.5), ("50us", 0.00005), (" 5s ", 5)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)
    assert is_duration(text)


@pytest.mark.parametrize(
    "text", ["", "5", "5 s", "5x", "-5s", "s", "1e3s", "5S", "nan", "inf", "٣s", "2026-03-01T12:00:00Z"]
)
def test_what_is_no_duration(text: str) -> None:
    assert not is_duration(text)
    with pytest.raises(Usage, match="is no duration") as caught:
        duration(text)
    assert "250ms" in caught.value.help


def test_a_number_alone_is_answered_with_its_unit() -> None:
    with pytest.raises(Usage, match="did you mean 5s"):
        duration("5")


@pytest.mark.parametrize(
    ("text", "bytes"), [("512B", 512), ("64KiB", 65536), ("1MiB", 1048576), ("1.5KiB", 1536), ("10MB", 10_000_000)]
)
def test_sizes(text: str, bytes: int) -> None:
    assert size(text) == bytes


@pytest.mark.parametrize("text", ["", "64", "64K", "64kib", "-1B", "KiB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(Usage, match="is no size"):
        size(text)


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("0.1", 0.1), ("10%", 0.1), ("1", 1), ("100%", 1), (".5", 0.5)])
def test_probabilities(text: str, value: float) -> None:
    assert probability(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "1.1", "101%", "-0.1", "x", "5s", "%"])
def test_what_is_no_probability(text: str) -> None:
    with pytest.raises(Usage, match="is no probability"):
        probability(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.25, "250ms"), (5, "5s"), (90, "1.5m"), (3600, "1h"), (0.00005, "50us"), (0, "0s")]
)
def test_durations_are_shown_as_they_are_written(seconds: float, text: str) -> None:
    assert show_duration(seconds) == text


@pytest.mark.parametrize(("bytes", "text"), [(0, "0B"), (512, "512B"), (65536, "64KiB"), (1572864, "1.5MiB")])
def test_sizes_are_shown_as_they_are_written(bytes: int, text: str) -> None:
    assert show_size(bytes) == text
