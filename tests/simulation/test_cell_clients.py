"""Counters and sets through the clients' own families: what a session has seen, and what it removes."""

from collections.abc import Callable
from typing import Any

import pytest

from cluster.errors import Maybe, TooLarge, Usage, WrongType
from cluster.simulation.client import SimulatedClient
from cluster.simulation.fleet import Fleet
from tests.simulation.test_clients import carried


def result(fleet: Fleet, what: Any) -> Any:
    done = carried(fleet, what)
    if done.error is not None:
        raise done.error
    return done.result


def two(fleet: Fleet) -> tuple[SimulatedClient, SimulatedClient]:
    return fleet.client("one"), fleet.client("two")


def sure(fleet: Fleet, send: Callable[[], Any]) -> Any:
    """What comes of it once it is known: connections that a partition has cut may take a moment to come back."""
    for _ in range(10):
        try:
            return result(fleet, send())
        except Maybe:
            fleet.world.run_for(0.1)
    raise AssertionError("it is a maybe ten times over, without a fault")


def test_whoever_counts_is_counted(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        one, two_ = two(fleet)
        assert result(fleet, one.kv.incr("hits")).value == 1
        assert result(fleet, two_.kv.incr("hits", 41)).value == 42
        found = result(fleet, one.kv.decr("hits", 2))
        assert (found.value, found.outcome, found.degraded) == (40, "ok", False)
        read = result(fleet, two_.kv.get("hits"))
        assert (read.value, read.kind) == (b"40", "counter")
        with pytest.raises(WrongType):
            result(fleet, one.kv.sadd("hits", [b"x"]))
        with pytest.raises(WrongType):
            result(fleet, one.kv.put("hits", b"x"))
        assert result(fleet, one.kv.delete("hits")).outcome == "ok"
        assert result(fleet, two_.kv.get("hits")).value is None
        assert result(fleet, two_.kv.put("hits", b"x")).outcome == "ok"
        assert result(fleet, one.kv.get("hits")).siblings == [b"x"]


def test_a_session_removes_what_it_has_seen(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        one, two_ = two(fleet)
        assert result(fleet, one.kv.sadd("tags", [b"x", b"y"])).changed == 2
        assert result(fleet, one.kv.smembers("tags")).items == [b"x", b"y"]
        result(fleet, two_.kv.sadd("tags", [b"x", b"z"]))
        assert result(fleet, one.kv.srem("tags", [b"x", b"y", b"z"])).changed == 1, "y; x was added anew, z never seen"
        assert result(fleet, one.kv.smembers("tags")).items == [b"x", b"z"]
        assert result(fleet, one.kv.srem("tags", [b"x"])).changed == 1, "it has been read by now"
        third = fleet.client("three")
        assert result(fleet, third.kv.srem("tags", [b"z"])).changed == 1, "who never saw the key reads it first"
        assert result(fleet, third.kv.smembers("tags")).items == []
        result(fleet, one.kv.put("cart", b"book"))
        with pytest.raises(WrongType):
            result(fleet, one.kv.smembers("cart"))
        result(fleet, one.kv.sadd("tags", [b"a"]))
        with pytest.raises(WrongType):
            result(fleet, one.kv.get("tags"))


def test_a_deletion_of_a_set_keeps_what_was_added_meanwhile(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        one, two_ = two(fleet)
        result(fleet, one.kv.sadd("tags", [b"x", b"y"]))
        result(fleet, two_.kv.sadd("tags", [b"z"]))
        assert result(fleet, one.kv.delete("tags")).outcome == "ok"
        assert result(fleet, one.kv.smembers("tags")).items == [b"z"]
        assert result(fleet, fleet.client("three").kv.delete("tags")).outcome == "ok"
        assert result(fleet, one.kv.smembers("tags")).items == []


def test_a_maybe_is_tried_again_and_counted_once(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        client = fleet.client("one")
        owners = fleet.owners("hits")
        late = client.kv.incr("hits", 5)
        fleet.world.run_until_true(lambda: any(fleet.stored(name, "hits") for name in owners), step=0)
        name = next(name for name in owners if fleet.stored(name, "hits"))
        fleet.world.partition([[name], [other for other in fleet.names if other != name]])
        fleet.until(lambda: late.ended)
        assert isinstance(late.error, Maybe) and late.error.detail["coordinator"] == name
        fleet.world.heal()
        fleet.until(fleet.settled)
        for _ in range(2):
            again = sure(fleet, lambda: client.kv.incr("hits", 5, retry=late.error))
            assert again.value == 5, again.outcome
        with pytest.raises(Usage):
            sure(fleet, lambda: client.kv.incr("hits", 6, retry=late.error))


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda kv: kv.incr("k", 1.5), Usage),
        (lambda kv: kv.incr("k", True), Usage),
        (lambda kv: kv.decr("k", 2**63), Usage),
        (lambda kv: kv.sadd("k", b"text"), Usage),
        (lambda kv: kv.sadd("k", []), Usage),
        (lambda kv: kv.srem("k", [b"x" * 1025]), TooLarge),
        (lambda kv: kv.sadd("k", [b"x"] * 5000), TooLarge),
        (lambda kv: kv.sadd("", [b"x"]), Usage),
        (lambda kv: kv.incr("k", w=9), Usage),
    ],
)
def test_what_cannot_be_sent_is_refused_before(call: Any, error: type[Exception]) -> None:
    with Fleet.running(1, 3) as fleet, pytest.raises(error):
        result(fleet, call(fleet.client("one").kv))
