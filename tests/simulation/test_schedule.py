"""Virtual time: the order of calls, what a failing call says, and a clock that is not the world's."""

import pytest

from cluster.simulation import World
from cluster.simulation import schedule as module


def test_calls_of_one_time_are_made_in_the_order_of_their_making(world: World) -> None:
    clock = world.env("n1").clock
    order: list[int] = []
    for number in range(100):
        clock.call_at(clock.now() + 1.0, order.append, number)
    world.run_until(1.0)
    assert order == list(range(100))
    assert world.now == 1.0


def test_run_until_stops_before_what_is_later(world: World) -> None:
    made: list[str] = []
    world.call_later(1.0, made.append, "one")
    world.call_later(2.0, made.append, "two")
    world.run_until(1.5)
    assert (made, world.now) == (["one"], 1.5)
    world.run_for(0.5)
    assert made == ["one", "two"]


def test_run_until_true_says_how_long_it_took(world: World) -> None:
    made: list[str] = []
    world.call_later(1.0, made.append, "x")
    assert world.run_until_true(lambda: bool(made), timeout=5.0, step=0.0) == 1.0
    with pytest.raises(TimeoutError, match=f"5.0 s of virtual time, seed {world.seed}"):
        world.run_until_true(lambda: False, timeout=5.0)
    assert world.now == pytest.approx(6.0)


def test_an_error_comes_out_with_time_node_and_seed(world: World) -> None:
    def fail() -> None:
        raise ValueError("a bug")

    world.env("n2").clock.call_later(1.5, fail)
    with pytest.raises(ValueError, match="a bug") as caught:
        world.run_for(2.0)
    assert caught.value.__notes__ == ["on n2#1", f"at 1.500000 s of virtual time, seed {world.seed}"]
    world.run_for(2.0)
    assert world.now == 3.5


def test_an_error_in_a_delivery_names_the_receiver(world: World) -> None:
    def fail(data: bytes, sender: object) -> None:
        raise ValueError(data)

    world.env("n2").network.datagrams(("10.0.0.2", 1), fail)
    world.env("n1").network.datagrams(("10.0.0.1", 1), fail).send(b"x", ("10.0.0.2", 1))
    with pytest.raises(ValueError, match="x") as caught:
        world.run_for(1.0)
    assert caught.value.__notes__[0] == "on n2#1"


def test_time_that_stands_still_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CALLS_PER_INSTANT_MAX", 1000)
    clock = world.env("n1").clock

    def again() -> None:
        clock.call_soon(again)

    again()
    with pytest.raises(RuntimeError, match="time stands still"):
        world.run_for(1.0)


def test_a_fast_clock_fires_early_for_the_world_and_never_for_itself(world: World) -> None:
    world.set_clock("fast", rate=1.01, skew=-30.0)
    fast, exact = world.env("fast").clock, world.env("exact").clock
    assert fast.wall() == exact.wall() - 30.0
    early: list[float] = []
    fired: list[float] = []

    def check(due: float) -> None:
        fired.append(world.now)
        if fast.now() < due:
            early.append(due)

    for number in range(1, 1000):
        due = fast.now() + number * 0.1
        fast.call_at(due, check, due)
    world.run_until(99.9 / 1.01 + 0.001)
    assert (len(fired), early) == (999, [])
    world.set_clock("fast", skew=5.0)
    assert fast.wall() == pytest.approx(exact.wall() + 5.0 + 0.01 * world.now)


def test_each_node_and_incarnation_has_its_own_randomness(seed: int) -> None:
    def draws() -> list[float]:
        with World(seed) as world:
            first = world.env("n1").random.random()
            world.crash("n1")
            return [first, world.env("n1").random.random(), world.env("n2").random.random()]

    assert draws() == draws()
    assert len(set(draws())) == 3
