"""An operation that carries a trace leaves its own steps at every node that has a part in it, and others leave none."""

from collections.abc import Iterator

import pytest

from cluster.observe.events import STEPS_MAX, Steps
from cluster.simulation.client import SimulatedClient
from cluster.simulation.fleet import Fleet
from cluster.wire.frames import trace_id
from cluster.wire.kv import Get, Got, Put, PutDone
from tests.simulation.clients import client_of
from tests.storage.memory_disk import HandClock

ID = "0af7651916cd43dd8448eb211c80319c"
TRACE = f"00-{ID}-b7ad6b7169203331-01"


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with Fleet.running(7, 5) as fleet:
        yield fleet


@pytest.fixture
def client(fleet: Fleet) -> SimulatedClient:
    return client_of(fleet)


def steps(fleet: Fleet) -> dict[str, list[str]]:
    """The steps of the trace, by node."""
    kept = {name: [step["step"] for step in node.steps.of(ID)] for name, node in fleet.nodes.items()}
    return {name: found for name, found in kept.items() if found}


def test_a_put_shows_its_hops_from_the_entry_to_the_owners(fleet: Fleet, client: SimulatedClient) -> None:
    owner, second, third = fleet.owners("cart")
    entry = fleet.fallbacks("cart")[0]
    others = [client.put(f"key-{number}", b"v") for number in range(20)]  # of the same passes, and not explained
    done = fleet.wait(client.ask(Put("cart", b"book", "one"), node=entry, trace=TRACE)).answer
    assert isinstance(done, PutDone) and done.outcome == "ok"
    fleet.world.run_for(0.5)
    assert all(isinstance(other.answer, PutDone) for other in others)
    assert steps(fleet) == {
        entry: ["forward"],
        owner: ["coordinate", "replicate", "acknowledged", "decided", "acknowledged"],
        second: ["store"],
        third: ["store"],
    }
    assert {step["key"] for step in fleet.nodes[second].steps.of(ID)} == {"cart"}


def test_a_get_shows_whom_it_asked_and_what_they_held(fleet: Fleet, client: SimulatedClient) -> None:
    owner, second, _ = fleet.owners("cart")
    fleet.wait(client.put("cart", b"book"))
    got = fleet.wait(client.ask(Get("cart"), node=owner, trace=TRACE)).answer
    assert isinstance(got, Got) and got.siblings == [b"book"]
    assert steps(fleet) == {owner: ["coordinate", "ask", "answered", "decided"], second: ["look"]}
    (look,) = fleet.nodes[second].steps.of(ID)
    assert (look["sender"], look["held"], look["votes"]) == (owner, "the same", True)


def test_an_owner_that_is_down_shows_its_fallback(fleet: Fleet, client: SimulatedClient) -> None:
    owner, _, third = fleet.owners("cart")
    fleet.world.pause(third)
    done = fleet.wait(client.ask(Put("cart", b"book", "one", None, False, 3), node=owner, trace=TRACE)).answer
    assert isinstance(done, PutDone) and done.outcome == "ok-sloppy"
    kept = steps(fleet)
    fallback = next(name for name in fleet.fallbacks("cart") if name in kept)
    assert kept[fallback] == ["store"] and "fallback" in kept[owner]
    assert fleet.nodes[fallback].steps.of(ID)[0]["hint_for"] == third


def test_an_explained_operation_ends_as_any_other(fleet: Fleet, client: SimulatedClient) -> None:
    owner, second, third = fleet.owners("cart")
    for name in (second, third, *fleet.fallbacks("cart")):
        fleet.crash(name)
    pending = client.ask(Put("cart", b"book", "one"), node=owner, trace=TRACE)
    fleet.until(lambda: pending.ended, 5.0)
    assert pending.took_s is not None and pending.took_s <= 1.0
    fleet.world.run_for(2.0)
    assert not fleet.nodes[owner].replication.writer.in_flight
    read = client.ask(Get("cart"), node=owner, trace=TRACE)
    fleet.until(lambda: read.ended, 5.0)
    assert read.took_s is not None and read.took_s <= 1.0
    fleet.world.run_for(2.0)
    assert not fleet.nodes[owner].replication.reader.in_flight


@pytest.mark.parametrize("text", ["", "x", ID, f"01-{ID}-b7ad6b7169203331-01", f"00-{ID.upper()}-b7ad6b7169203331-01"])
def test_what_is_no_traceparent_leaves_nothing(text: str) -> None:
    kept = Steps(HandClock(), "n1")
    kept.add(text, "coordinate")
    assert trace_id(text) == "" and kept.of(ID) == kept.of("") == []


def test_the_oldest_steps_go_first() -> None:
    kept = Steps(HandClock(), "n1")
    for number in range(STEPS_MAX + 5):
        kept.add(TRACE, "coordinate", number=number)
    found = kept.of(ID)
    assert len(found) == STEPS_MAX and found[0]["number"] == 5
