"""What retries and hedges may cost, second by second."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.requests.budget import (
    HEDGES_PER_CALL,
    HEDGES_PER_S,
    RETRIES_PER_CALL,
    RETRIES_PER_S,
    WINDOW_S,
    RetryBudget,
)


def retries(budget: RetryBudget, now: float) -> int:
    """As many as there may be."""
    return next(count for count in range(100_000) if not budget.take_retry(now))


def hedges(budget: RetryBudget, now: float) -> int:
    return next(count for count in range(100_000) if not budget.take_hedge(now))


@pytest.mark.parametrize(("calls", "allowed"), [(0, 100), (100, 120), (10_000, 2100)])
def test_a_fifth_of_the_calls_and_ten_a_second(calls: int, allowed: int) -> None:
    budget = RetryBudget(0.0)
    budget.calls += calls
    assert retries(budget, 0.5) == allowed
    assert retries(budget, 9.5) == 0, "it is what ten seconds have"
    budget.turn(10.5)
    assert retries(budget, 10.5) == 100, "neither calls nor retries of then count any more"


def test_calls_count_for_ten_seconds() -> None:
    budget = RetryBudget(0.0)
    for second in range(20):
        budget.turn(float(second))
        budget.calls += 1000
    assert retries(budget, 19.9) == 2100


def test_hedges_are_a_twentieth_and_come_from_the_same_budget() -> None:
    budget = RetryBudget(0.0)
    budget.calls += 1000
    assert hedges(budget, 0.0) == 60
    assert retries(budget, 0.0) == 300 - 60
    other = RetryBudget(0.0)
    assert retries(other, 0.0) == 100
    assert hedges(other, 0.0) == 0, "what retries have spent is spent"


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 50), st.sampled_from(["call", "retry", "hedge"]))))
def test_no_ten_seconds_have_more(steps: list[tuple[float, int, str]]) -> None:
    budget, now = RetryBudget(0.0), 0.0
    seen: list[tuple[int, str]] = []
    for gap_s, count, what in steps:
        now += gap_s
        for _ in range(count):
            if what == "call":
                budget.turn(now)
                budget.calls += 1
            elif not (budget.take_retry(now) if what == "retry" else budget.take_hedge(now)):
                continue
            seen.append((int(now), what))
        recent = [one for at, one in seen if at > int(now) - WINDOW_S]
        calls, spent, hedged = recent.count("call"), len(recent) - recent.count("call"), recent.count("hedge")
        # What was earned by calls that are forgotten by now may have been spent since.
        earned = len([one for at, one in seen if one == "call" and at > int(now) - 2 * WINDOW_S])
        assert spent <= RETRIES_PER_CALL * max(calls, earned) + RETRIES_PER_S * WINDOW_S
        assert hedged <= HEDGES_PER_CALL * max(calls, earned) + HEDGES_PER_S * WINDOW_S
