"""Stamps never go back, follow what was heard, and stay near wall time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.versions import AHEAD_MAX_S, HybridClock, stamp_at, wall_of

NOW = 1_750_000_000.5


def test_a_stamp_is_milliseconds_and_a_counter() -> None:
    clock = HybridClock()
    assert [clock.tick(NOW), clock.tick(NOW)] == [1_750_000_000_500 << 16, (1_750_000_000_500 << 16) + 1]
    assert wall_of(clock.last) == NOW


def test_a_clock_set_back_does_not_go_back() -> None:
    clock = HybridClock()
    first = clock.tick(NOW)
    assert clock.tick(NOW - 3600) == first + 1


def test_a_full_counter_carries_into_the_milliseconds() -> None:
    clock = HybridClock(last=stamp_at(NOW) + 0xFFFF)
    assert clock.tick(NOW) == stamp_at(NOW + 0.001)


def test_a_clock_resumes_above_what_it_gave_before() -> None:
    assert HybridClock(last=stamp_at(NOW)).tick(NOW - 10) > stamp_at(NOW)


# seconds by which a heard stamp is ahead; whether it is accepted
HEARD = [(-100.0, True), (0.0, True), (1.0, True), (AHEAD_MAX_S, True), (AHEAD_MAX_S + 0.001, False), (1e9, False)]


@pytest.mark.parametrize(("ahead_s", "accepted"), HEARD)
def test_stamps_too_far_ahead_are_refused(ahead_s: float, accepted: bool) -> None:
    clock = HybridClock()
    heard = stamp_at(NOW + ahead_s)
    assert clock.observe(heard, NOW) is accepted
    assert (clock.tick(NOW) > heard) is accepted
    assert clock.tick(NOW) <= stamp_at(NOW + AHEAD_MAX_S) + 2


walls = st.floats(0, 2e9)


@given(st.lists(st.tuples(walls, st.none() | st.integers(0, 2**63))))
def test_ticks_rise_and_exceed_what_was_accepted(steps: list[tuple[float, int | None]]) -> None:
    clock, floor = HybridClock(), 0
    for wall_s, heard in steps:
        if heard is None:
            stamp = clock.tick(wall_s)
            assert stamp > floor and stamp >= stamp_at(wall_s)
            floor = stamp
        elif clock.observe(heard, wall_s):
            floor = max(floor, heard)
