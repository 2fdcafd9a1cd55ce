"""Arrivals: as many as the rate says, evenly, and none skipped because somebody was late."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsectl.load.generator import ArrivalSchedule


def taken(schedule: ArrivalSchedule, now: float) -> list[float]:
    return [schedule.take() for _ in range(schedule.due(now))]


def test_the_first_is_due_at_once_and_the_rest_evenly() -> None:
    schedule = ArrivalSchedule(10, 100.0, 101.0)
    assert taken(schedule, 99.9) == []
    assert taken(schedule, 100.0) == [100.0]
    assert taken(schedule, 100.35) == pytest.approx([100.1, 100.2, 100.3])
    assert schedule.next_at() == pytest.approx(100.4)


def test_what_a_stall_delayed_is_due_when_it_was_due() -> None:
    schedule = ArrivalSchedule(1000, 0.0, 10.0)
    taken(schedule, 1.0)
    assert taken(schedule, 3.0)[0] == pytest.approx(1.001), "not the time at which the stall ended"
    assert schedule.taken == 3001


def test_an_early_end_leaves_what_was_due_by_then() -> None:
    schedule = ArrivalSchedule(100, 0.0, 10.0)
    taken(schedule, 1.0)
    schedule.end(2.0)
    assert schedule.due(9.0) == 100 and schedule.total == 201
    schedule.end(5.0)
    assert schedule.total == 201, "the first end counts"


@pytest.mark.parametrize(("rate", "seconds", "total"), [(100, 15, 1500), (0.5, 10, 5), (3, 0.1, 1), (7, 10, 70)])
def test_the_total(rate: float, seconds: float, total: int) -> None:
    assert ArrivalSchedule(rate, 12345.678, 12345.678 + seconds).total == total


@given(
    rate=st.floats(0.1, 100_000),
    seconds=st.floats(0, 20),
    looks=st.lists(st.floats(0, 30), max_size=20),
    parts=st.integers(1, 5),
)
def test_however_often_it_is_looked_at_all_are_taken_once(
    rate: float, seconds: float, looks: list[float], parts: int
) -> None:
    schedules = [ArrivalSchedule(rate / parts, 50.0, 50.0 + seconds, part / parts) for part in range(parts)]
    count = 0
    for schedule in schedules:
        last = 0.0
        for look in [*sorted(looks), 31.0]:
            left = schedule.due(50.0 + look)
            if left:
                last = schedule.next_at()
            schedule.taken += left
        assert schedule.taken == schedule.total and schedule.due(1e9) == 0
        assert last <= 50.0 + seconds
        count += schedule.taken
    assert abs(count - rate * seconds) <= 1 + 1e-6 * rate * seconds
