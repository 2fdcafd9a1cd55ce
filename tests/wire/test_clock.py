"""Times of another process on this one's clock: never early, late by the quickest way at most."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.wire.clock import WINDOW_S, SenderClock


def test_one_clock_needs_nothing() -> None:
    clock = SenderClock(same=True)
    assert clock.stamped(5.0, 9.0) == 5.0 and clock.local(7.0) == 7.0


@given(st.floats(-1e6, 1e6), st.lists(st.floats(0.0, 5.0), min_size=1, max_size=30))
def test_the_quickest_message_is_nearest_to_the_truth(ahead: float, delays: list[float]) -> None:
    """`ahead` is how far this side's clock is ahead of the sender's."""
    clock = SenderClock(same=False)
    at = 100.0
    for delay in delays:
        at += 0.5
        clock.stamped(at, at + ahead + delay)
    assert clock.offset == pytest.approx(ahead + min(delays), abs=1e-6)
    assert clock.local(at) >= at + ahead - 1e-6, "never early: what is alive is not dropped"


def test_after_a_long_stop_the_late_ones_do_not_push_out_the_good() -> None:
    clock = SenderClock(same=False)
    clock.stamped(100.0, 200.0)
    for at in (101.0, 102.0, 103.0):  # they waited in the socket of a stopped process for minutes
        clock.stamped(at, at + 100.0 + 10 * WINDOW_S)
    assert clock.offset == 100.0


def test_a_drift_is_followed() -> None:
    clock = SenderClock(same=False)
    for second in range(400):
        clock.stamped(float(second), second * 1.001 + 50.0)
    assert clock.offset == pytest.approx(50.4, abs=0.07)
