"""The rate of background bytes: it gives way to who waits, comes back, and never falls below its floor."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.observe.latency import Latencies
from cluster.replication.throttle import (
    BASE_S,
    BURST_S,
    LIMIT_FACTOR,
    RATE_MAX,
    RATE_MIN,
    RATE_START,
    REST_WINDOWS,
    SAMPLES_MIN,
    STEP,
    WINDOW_S,
    RateControl,
    Throttle,
)
from cluster.simulation.world import World


def window(seconds: float, operations: int = 400) -> dict[int, int]:
    """The counts of a window in which all operations took so long."""
    latencies = Latencies()
    for _ in range(operations):
        latencies.note(seconds)
    return dict(latencies.sparse())


def with_base(seconds: float) -> RateControl:
    control = RateControl()
    for _ in range(5):
        control.on_window(window(seconds), None)
    return control


def test_with_nobody_there_it_is_as_fast_as_can_be() -> None:
    control = with_base(0.004)
    assert RateControl().rate == RATE_MAX and control.rate == RATE_START
    for _ in range(30):
        control.on_window({}, None)
    assert control.rate == RATE_MAX, "whoever was there has gone"
    control.on_window({}, RATE_MAX)
    assert control.rate == RATE_MAX


def test_it_grows_by_steps_while_nobody_suffers_and_is_cut_when_somebody_does() -> None:
    control = with_base(0.004)
    control.on_window(window(0.004), RATE_MAX)
    control.on_window(window(0.006), RATE_MAX)
    assert control.rate == RATE_START + 2 * STEP
    control.on_window(window(0.004 * 1.25 * LIMIT_FACTOR * 1.26), RATE_MAX)
    assert control.rate < RATE_START + STEP, "one bad window costs more than one good one gave"
    for _ in range(50):
        control.on_window(window(1.0), RATE_MAX)
    assert control.rate == RATE_MIN
    control.on_window(window(0.004), RATE_MAX)
    assert control.rate == RATE_MIN + STEP


def test_what_is_not_used_neither_grows_nor_saves_from_a_cut() -> None:
    control = with_base(0.004)
    for _ in range(10):
        control.on_window(window(0.004), RATE_START / 4)
    assert control.rate == RATE_START
    control.rate = RATE_MAX
    control.on_window(window(1.0), 8 * RATE_MIN)
    assert control.rate < 8 * RATE_MIN, "the next window is felt already"
    control.on_window(window(0.004), 0.0)
    assert control.rate > RATE_MIN, "while a debt is paid the rate is used"


def test_a_few_slow_operations_say_nothing() -> None:
    control = with_base(0.004)
    control.on_window(window(1.0, SAMPLES_MIN - 1), RATE_MAX)
    assert control.rate == 2 * RATE_START and control.p99_s is None


def test_the_base_is_of_before_and_what_the_move_itself_costs_does_not_count() -> None:
    control = with_base(0.004)
    base = control.base_s
    for _ in range(20):
        control.on_window(window(0.1), RATE_MAX)
        for _ in range(REST_WINDOWS):  # a source that is tried again begins no new move
            control.on_window(window(0.1), None)
    assert control.base_s == base and control.rate == RATE_MIN
    for _ in range(30):
        control.on_window(window(0.1), None)
    assert control.base_s > 0.1, "it is as slow as that without a move"


def test_a_bad_second_before_the_move_is_no_part_of_the_base() -> None:
    control = RateControl()
    for number in range(20):
        control.on_window(window(0.2 if number > 14 else 0.004), None)
    assert control.base_s < 0.006


def test_users_who_come_with_the_move_are_compared_with_a_default() -> None:
    control = RateControl()
    for _ in range(10):
        control.on_window({}, None)
    assert control.base_s == BASE_S
    control.on_window(window(3 * BASE_S), RATE_MAX)
    assert control.rate < RATE_MAX


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(0, 1000), st.none() | st.floats(0, 1e10)), max_size=60))
def test_the_rate_stays_between_its_bounds(windows: list[tuple[float, int, float | None]]) -> None:
    control = RateControl()
    for seconds, operations, used in windows:
        control.on_window(window(seconds, operations), used)
        assert RATE_MIN <= control.rate <= RATE_MAX


@pytest.fixture
def world() -> Iterator[World]:
    with World(1) as world:
        yield world


def test_who_takes_rests_until_it_is_paid_for(world: World) -> None:
    throttle = Throttle(world.env("n1").clock)
    throttle.control.rate = 1000.0
    assert throttle.take(500) == pytest.approx(0.5 - BURST_S) and throttle.take(1500) == pytest.approx(2.0 - BURST_S)
    world.run_for(1.5)
    assert throttle.rest_s() == pytest.approx(0.5 - BURST_S)
    world.run_for(10.0)
    assert throttle.rest_s() == 0 and throttle.take(100) == pytest.approx(0.1 - BURST_S), "nothing is saved up"


def test_it_follows_the_latencies_of_this_node(world: World) -> None:
    throttle, reads = Throttle(world.env("n1").clock), Latencies()
    throttle.foreground = [Latencies(), reads]
    world.env("n1").clock.call_soon(throttle.start)
    for _ in range(8):
        for _ in range(100):
            reads.note(0.002)
        world.run_for(WINDOW_S)
    assert throttle.control.rate == RATE_START
    for _ in range(20):
        throttle.take(1)
        for _ in range(100):
            reads.note(0.02)
        world.run_for(WINDOW_S)
    assert throttle.control.rate == RATE_MIN
