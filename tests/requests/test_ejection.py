"""Who is left out for failing, for how long, and when nobody is."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.requests.ejection import EJECTED_S, FAILURES_IN_ROW, FailureRecord, in_use, next_return


@dataclass
class One:
    """An endpoint."""

    failures: FailureRecord = field(default_factory=FailureRecord)

    def fail(self, now: float = 0.0, times: int = FAILURES_IN_ROW) -> bool:
        return [self.failures.failed("it broke", now) for _ in range(times)][-1]


def test_five_failures_in_a_row_eject_and_four_do_not() -> None:
    one, other = One(), One()
    assert not one.fail(times=FAILURES_IN_ROW - 1)
    assert in_use([one, other], 0.0) == ([one, other], False)
    assert one.fail(times=1)
    assert in_use([one, other], 0.0) == ([other], False)


def test_a_success_in_between_starts_the_row_again() -> None:
    one = One()
    for _ in range(20):
        assert not one.fail(times=FAILURES_IN_ROW - 1)
        assert not one.failures.succeeded(0.0)


def test_it_returns_after_30_s_and_later_each_time() -> None:
    one, other, now = One(), One(), 100.0
    for number in (1, 2, 3):
        one.fail(now)
        assert next_return([one, other], now) == now + number * EJECTED_S
        assert in_use([one, other], now + number * EJECTED_S - 0.1) == ([other], False)
        now += number * EJECTED_S
        assert in_use([one, other], now) == ([one, other], False)
    now += 2 * EJECTED_S
    one.fail(now)
    assert one.failures.count == 2, "two such times without an ejection took two off"


def test_failures_while_it_is_out_do_not_keep_it_out() -> None:
    one = One()
    one.fail(0.0)
    assert not one.fail(10.0)
    assert one.failures.ejected_until == EJECTED_S


@pytest.mark.parametrize(
    ("endpoints", "failing", "used", "panic"),
    [(1, 1, 1, True), (2, 1, 1, False), (2, 2, 2, True), (3, 1, 2, False), (3, 2, 3, True), (5, 2, 3, False),
     (5, 3, 5, True)],
)  # fmt: skip
def test_at_most_half_rounded_down_and_panic_beyond(endpoints: int, failing: int, used: int, panic: bool) -> None:
    all_of_them = [One() for _ in range(endpoints)]
    for one in all_of_them[:failing]:
        one.fail()
    found, said = in_use(all_of_them, 1.0)
    assert (len(found), said) == (used, panic)


def test_an_answer_in_a_panic_ends_the_ejection_and_one_to_an_older_call_does_not() -> None:
    one = One()
    one.fail(10.0)
    assert not one.failures.succeeded(9.0), "it was sent before"
    assert next_return([one], 11.0) == 10.0 + EJECTED_S
    assert one.failures.succeeded(11.0)
    assert in_use([one], 11.0) == ([one], False)


@given(st.lists(st.integers(0, 4), max_size=200), st.floats(0, 100))
def test_never_more_than_half_are_out(failures: list[int], now: float) -> None:
    five = [One() for _ in range(5)]
    for number in failures:
        five[number].fail(now, times=1)
    assert len(in_use(five, now)[0]) >= 3
