"""The gate: places, the queue in front of them, whom it sheds. All times are given."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import DeadlinePassed, Overloaded
from cluster.requests.gate import INTERVAL_S, LOW, NORMAL, TARGET_S, Gate


@dataclass(eq=False)
class Waiter:
    """One call, by name."""

    name: str
    priority: int = NORMAL
    deadline: float = 1e9


def full(concurrency: int = 1, waiting_max: int = 100) -> Gate[Waiter]:
    """A gate with no place left."""
    gate = Gate[Waiter]("work on n1", concurrency, waiting_max)
    for _ in range(concurrency):
        assert gate.enter()
    assert not gate.enter()
    return gate


def names(refused: list[tuple[Waiter, Any]]) -> list[tuple[str, type]]:
    return [(call.name, type(error)) for call, error in refused]


def take(gate: Gate[Waiter], now: float) -> str | None:
    """End one call, and begin the next."""
    gate.leave()
    call = gate.next(now)
    return None if call is None else call.name


def test_a_burst_is_served_oldest_first() -> None:
    gate = full()
    for number in range(3):
        assert gate.wait(Waiter(str(number)), 0.0) == []
    assert [take(gate, 0.01), take(gate, 0.03), take(gate, 0.05)] == ["0", "1", "2"]
    assert gate.refusals(0.06) == [] and gate.shed == 0 and not gate.over


def test_nobody_overtakes_who_waits() -> None:
    gate = full()
    gate.wait(Waiter("first"), 0.0)
    gate.leave()
    assert not gate.enter(), "the place is for who waits"
    assert gate.next(0.0) is not None


def test_low_priority_waits_behind_all_others() -> None:
    gate = full()
    for name, priority in (("low", LOW), ("one", NORMAL), ("two", NORMAL)):
        gate.wait(Waiter(name, priority), 0.0)
    assert [take(gate, 0.0) for _ in range(3)] == ["one", "two", "low"]


def test_a_queue_that_stands_is_shed_and_turned_round() -> None:
    gate = full()
    gate.wait(Waiter("old"), 0.0)
    assert gate.look_at() == TARGET_S
    assert gate.refusals(TARGET_S) == [], "late, but a burst may be"
    assert gate.look_at() == pytest.approx(TARGET_S + INTERVAL_S)
    gate.wait(Waiter("new"), 0.11)
    gate.wait(Waiter("newest"), 0.115)
    assert names(gate.refusals(TARGET_S + INTERVAL_S)) == [("old", Overloaded)]
    assert gate.over and gate.look_at() == pytest.approx(0.13)
    assert take(gate, 0.12) == "newest"
    assert names(gate.refusals(0.131)) == [("new", Overloaded)]


def test_it_is_over_until_nothing_has_been_late_for_an_interval() -> None:
    gate = full()
    gate.wait(Waiter("old"), 0.0)
    gate.refusals(TARGET_S + INTERVAL_S)
    assert gate.over
    gate.wait(Waiter("a"), 0.15)
    assert gate.over and take(gate, 0.16) == "a"
    gate.wait(Waiter("b"), 0.30)
    gate.wait(Waiter("c"), 0.30)
    assert not gate.over and take(gate, 0.30) == "b"


def test_without_shedding_all_wait_until_their_deadlines_oldest_first() -> None:
    gate = Gate[Waiter]("work on n1", 1, sheds=False)
    assert gate.enter()
    for number in range(3):
        gate.wait(Waiter(str(number), deadline=1.0 + number), 0.0)
    assert gate.look_at() == 1.0 and gate.refusals(0.9) == []
    assert take(gate, 0.95) == "0"
    assert names(gate.refusals(2.0)) == [("1", DeadlinePassed)]
    assert take(gate, 2.5) == "2"


def test_a_full_queue_sheds_low_priority_first_and_then_who_would_be_last() -> None:
    gate = full(waiting_max=2)
    gate.wait(Waiter("low", LOW), 0.0)
    gate.wait(Waiter("one"), 0.0)
    assert names(gate.wait(Waiter("two"), 0.0)) == [("low", Overloaded)]
    assert names(gate.wait(Waiter("late low", LOW), 0.0)) == [("late low", Overloaded)]
    assert names(gate.wait(Waiter("three"), 0.0)) == [("three", Overloaded)]
    assert gate.shed == 3 and gate.waiting == 2
    gate.over = True
    assert names(gate.wait(Waiter("four"), 0.0)) == [("one", Overloaded)]


def test_nothing_has_a_place_after_its_deadline() -> None:
    gate = full()
    gate.wait(Waiter("late", deadline=1.0), 0.99)
    gate.wait(Waiter("in time", deadline=3.0), 0.99)
    assert gate.look_at() == 1.0
    assert take(gate, 1.0) == "in time"
    assert names(gate.refusals(1.0)) == [("late", DeadlinePassed)]
    gate.wait(Waiter("another", deadline=1.5), 1.49)
    assert names(gate.refusals(1.5)) == [("another", DeadlinePassed)]
    assert gate.look_at() is None


def test_who_leaves_the_queue_is_gone() -> None:
    gate = full()
    one = Waiter("one")
    gate.wait(one, 0.0)
    gate.discard(one)
    gate.discard(one)
    assert gate.waiting == 0 and gate.look_at() is None
    assert take(gate, 0.0) is None


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.0, 0.02), st.integers(0, 3), st.integers(0, 1), st.floats(0.005, 0.3)), max_size=150)
)
def test_every_call_ends_once_and_in_time(steps: list[tuple[float, int, int, float]]) -> None:
    """Whatever comes in whichever order: each call starts or is refused, once; never starts late; waits for no longer
    than a target and an interval; and there are never more at a time than places."""
    gate = Gate[Waiter]("work on n1", 2, 20)
    now, ended, running, since = 0.0, dict[Waiter, str](), 0, dict[Waiter, float]()

    def end(call: Waiter, how: str) -> None:
        assert call not in ended
        ended[call] = how
        if how == "started":
            assert now < call.deadline
            assert now - since[call] <= TARGET_S + INTERVAL_S + 0.02 + 1e-9

    for number, (gap, what, priority, patience) in enumerate(steps):
        now += gap
        if what:
            call = Waiter(str(number), priority, now + patience)
            since[call] = now
            if gate.enter():
                running += 1
                end(call, "started")
            else:
                for one, error in gate.wait(call, now):
                    end(one, error.code)
        elif running:
            gate.leave()
            running -= 1
        while (found := gate.next(now)) is not None:
            running += 1
            end(found, "started")
        for one, error in gate.refusals(now):
            end(one, error.code)
        assert gate.running == running <= 2
        at = gate.look_at()
        assert at is None or at > now, "or its timer would be due again at once"
    now += 1.0
    for one, error in gate.refusals(now):
        end(one, error.code)
    left = gate.waiting
    assert len(ended) + left == len(since)
    now += 1.0
    for one, error in gate.refusals(now):
        end(one, error.code)
    assert len(ended) == len(since) and gate.waiting == 0
