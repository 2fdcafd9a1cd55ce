"""A write that ended as `maybe` is taken again by its coordinator, as the same write; everybody else refuses it."""

from collections.abc import Iterator

import pytest

from cluster.kv import operations
from cluster.kv.operations import MaybeRow, Operations
from cluster.simulation.fleet import Fleet, SimulatedRequest
from cluster.versions import decode
from cluster.wire.kv import Got, PutDone


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with Fleet.running(7, 5) as fleet:
        yield fleet


def done(result: SimulatedRequest) -> PutDone:
    assert isinstance(result.answer, PutDone), result.error
    return result.answer


def values(fleet: Fleet) -> list[bytes]:
    answer = fleet.wait(fleet.get("n1", "cart", strict=True, r=3)).answer
    assert isinstance(answer, Got)
    return sorted(answer.siblings)


def maybe(fleet: Fleet) -> str:
    """A write of `one` whose coordinator heard from nobody else; its name."""
    owners = fleet.owners("cart")
    fleet.world.partition([owners[:1], [name for name in fleet.names if name != owners[0]]])
    late = done(fleet.wait(fleet.put(owners[0], "cart", b"one", operation="once", strict=True)))
    assert late.outcome == "maybe" and late.coordinator == owners[0]
    fleet.world.heal()
    fleet.until(fleet.settled)
    return owners[0]


def test_the_coordinator_takes_it_again_whoever_is_asked(fleet: Fleet) -> None:
    name = maybe(fleet)
    for via in fleet.names:
        again = done(fleet.wait(fleet.put(via, "cart", b"one", operation="once", coordinator=name)))
        assert (again.outcome, again.coordinator, again.siblings) == ("ok", name, 1)
    assert values(fleet) == [b"one"]
    following = done(fleet.wait(fleet.put("n1", "cart", b"two", context=again.context)))
    assert following.siblings == 1, "what it answers covers the write"


def test_what_has_been_replaced_since_does_not_come_back(fleet: Fleet) -> None:
    name = maybe(fleet)
    found = fleet.wait(fleet.get("n1", "cart")).answer
    assert isinstance(found, Got)
    fleet.wait(fleet.put(fleet.owners("cart")[1], "cart", b"two", context=found.context))
    fleet.until(fleet.settled)
    assert done(fleet.wait(fleet.put("n1", "cart", b"one", operation="once", coordinator=name))).outcome == "ok"
    assert values(fleet) == [b"two"], "it was written once, and replaced"
    fleet.wait(fleet.put("n1", "cart", b"one", operation="once"))
    assert values(fleet) == [b"one", b"two"], "and so it is without the name of the coordinator"


def test_others_refuse_and_name_it(fleet: Fleet) -> None:
    name = maybe(fleet)
    fleet.crash(name)
    fleet.until(lambda: all(fleet.believes(via, name) == "dead" for via in fleet.up), 60)
    refused = fleet.wait(fleet.put(fleet.up[0], "cart", b"one", operation="once", coordinator=name)).error
    assert refused is not None and (refused.code, refused.definite) == ("maybe", False)
    assert name in refused.message and "once" in refused.message
    stranger = fleet.wait(fleet.put(fleet.up[0], "cart", b"one", operation="once", coordinator="n77")).error
    assert stranger is not None and stranger.code == "maybe"


def test_a_coordinator_that_booted_remembers_it(fleet: Fleet) -> None:
    name = maybe(fleet)
    found = fleet.wait(fleet.get("n1", "cart")).answer
    assert isinstance(found, Got)
    fleet.wait(fleet.put("n1", "cart", b"two", context=found.context))
    fleet.crash(name)
    fleet.start(name)
    fleet.until(fleet.settled, 60)
    again = done(fleet.wait(fleet.put("n1", "cart", b"one", operation="once", coordinator=name)))
    assert again.outcome == "ok" and values(fleet) == [b"two"], "it was replaced before the boot"


def test_a_coordinator_says_when_it_does_not_remember(fleet: Fleet) -> None:
    """A write that did not end as maybe, and whose value has been replaced."""
    owner = fleet.owners("cart")[0]
    one = done(fleet.wait(fleet.put(owner, "cart", b"one", operation="once")))
    again = done(fleet.wait(fleet.put("n1", "cart", b"one", operation="once", coordinator=owner)))
    assert again.outcome == "ok", "its value is still there"
    fleet.wait(fleet.put("n1", "cart", b"two", context=one.context))
    refused = fleet.wait(fleet.put("n1", "cart", b"one", operation="once", coordinator=owner)).error
    assert refused is not None and refused.code == "maybe" and "no record" in refused.message
    other = fleet.wait(fleet.put("n1", "cart-2", b"one", operation="once", coordinator=owner)).error
    assert other is not None and other.code == "maybe"
    assert values(fleet) == [b"two"]


def test_a_retry_that_cannot_be_replicated_is_no_definite_no(fleet: Fleet) -> None:
    name = maybe(fleet)
    others = [owner for owner in fleet.owners("cart") if owner != name]
    for owner in others:
        fleet.crash(owner)
    fleet.until(lambda: all(fleet.believes(name, owner) == "dead" for owner in others), 60)
    refused = fleet.wait(fleet.put(name, "cart", b"one", operation="once", coordinator=name, strict=True)).error
    assert refused is not None and refused.code == "maybe"


def test_a_node_that_passed_it_on_names_who_has_it(fleet: Fleet) -> None:
    """The owner falls silent with the write; it answers what became of it, whoever is asked, when it is back."""
    owner, entry = fleet.owners("cart")[0], fleet.fallbacks("cart")[0]
    fleet.world.pause(owner)
    lost = done(fleet.wait(fleet.put(entry, "cart", b"one", operation="once")))
    assert (lost.outcome, lost.coordinator, lost.acks) == ("maybe", owner, 0)
    fleet.world.resume(owner)
    fleet.until(fleet.settled, 60)
    answer = fleet.wait(fleet.put(entry, "cart", b"one", operation="once", coordinator=lost.coordinator))
    if isinstance(answer.answer, PutDone):
        assert answer.answer.outcome == "ok" and values(fleet) == [b"one"]
    else:
        assert answer.error is not None and owner in answer.error.message and values(fleet) == []


def refused_by_its_own_log(fleet: Fleet) -> list[str]:
    """A write of `one` that its coordinator's log refuses, and one other owner has; the owners."""
    owners = fleet.owners("cart")
    first, second = owners[:2]
    others = [name for name in fleet.names if name not in (first, second)]
    fleet.world.partition([[first, second], others])
    fleet.world.disk(first).full_after(0)
    late = done(fleet.wait(fleet.put(first, "cart", b"one", operation="once", strict=True)))
    assert late.outcome == "maybe" and late.acks == 1 and late.coordinator == first
    assert fleet.stored(first, "cart") is None and fleet.stored(second, "cart") is not None
    fleet.world.heal()
    return owners


def test_what_its_own_log_refused_is_taken_again_as_the_same_write(fleet: Fleet) -> None:
    first = refused_by_its_own_log(fleet)[0]
    fleet.world.disk(first).full_after(None)
    fleet.world.run_for(2.0)
    wrong = fleet.wait(fleet.put(first, "cart", b"another", operation="once", coordinator=first)).error
    assert wrong is not None and wrong.code == "usage"
    again = done(fleet.wait(fleet.put("n1", "cart", b"one", operation="once", coordinator=first)))
    assert (again.outcome, again.siblings) == ("ok", 1)
    fleet.until(fleet.settled, 60)
    fleet.wait(fleet.get("n1", "cart", r=3))
    held = {fleet.stored(name, "cart") for name in fleet.owners("cart")}
    assert len(held) == 1 and len(decode(held.pop() or b"").siblings) == 1, "one event, the same everywhere"
    assert values(fleet) == [b"one"]


def test_what_its_own_log_refused_does_not_come_back_once_it_was_replaced(fleet: Fleet) -> None:
    first, second = refused_by_its_own_log(fleet)[:2]
    fleet.world.partition([[first], [second]])
    found = fleet.wait(fleet.get(second, "cart")).answer
    assert isinstance(found, Got) and found.siblings == [b"one"]
    assert done(fleet.wait(fleet.put(second, "cart", b"two", context=found.context))).outcome in ("ok", "ok-sloppy")
    fleet.world.disk(first).full_after(None)
    assert done(fleet.wait(fleet.put(first, "cart", b"one", operation="once", coordinator=first))).outcome != "maybe"
    fleet.world.heal()
    fleet.until(fleet.settled, 60)
    assert values(fleet) == [b"two"]


def test_what_is_remembered_is_bounded_in_the_log_too(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "MAYBES_MAX", 2)
    node = fleet.nodes["n1"]
    for number in range(4):
        node.kv.operations.remember(f"op-{number}", number, MaybeRow("key", "actor", number + 1, 7, b"digest"))
    fleet.world.run_for(0.1)
    read = Operations(node.store)
    read.recover()
    for remembered in (node.kv.operations, read):
        found = [remembered.find(f"op-{number}", "key") for number in range(4)]
        assert found[:2] == [None, None] and [row.number for row in found[2:] if row] == [3, 4]
        assert remembered.find("op-3", "another key") is None
