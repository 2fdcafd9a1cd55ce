"""The p95 that hedges wait for: of late, and of enough calls."""

from cluster.requests.figures import LOOK_S, RECENT_CALLS_MIN, RECENT_S, OperationFigures


def note(figures: OperationFigures, seconds: float, calls: int) -> None:
    for _ in range(calls):
        figures.latencies.note(seconds)


def test_of_few_calls_it_is_not_known() -> None:
    figures = OperationFigures()
    note(figures, 0.01, RECENT_CALLS_MIN - 1)
    assert figures.p95_s(0.0) is None
    note(figures, 0.01, 1)
    assert figures.p95_s(0.5) is None, "it is looked at once a second"
    found = figures.p95_s(LOOK_S)
    assert found is not None and 0.01 <= found < 0.0125


def test_nearly_all_calls_are_quicker() -> None:
    figures = OperationFigures()
    note(figures, 0.01, 96)
    note(figures, 1.0, 4)
    found = figures.p95_s(0.0)
    assert found is not None and found < 0.0125
    note(figures, 1.0, 4)
    found = figures.p95_s(LOOK_S)
    assert found is not None and found > 0.9


def test_what_is_long_past_does_not_count() -> None:
    figures = OperationFigures()
    note(figures, 1.0, 1000)
    assert figures.p95_s(0.0) is not None
    for step in range(1, 4):
        note(figures, 0.01, 100)
        found = figures.p95_s(step * RECENT_S)
    assert found is not None and found < 0.0125
