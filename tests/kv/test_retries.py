"""A write that ended as `maybe` is taken again by its coordinator, as the same write; everybody else refuses it."""

from collections.abc import Iterator

import pytest

from cluster.kv import operations
from cluster.kv.operations import Operations
from cluster.simulation.fleet import Fleet, Result
from cluster.wire.kv import Got, PutDone


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with Fleet.running(7, 5) as fleet:
        yield fleet


def done(result: Result) -> PutDone:
    assert isinstance(result.answer, PutDone), result.error
    return result.answer


def values(fleet: Fleet) -> list[bytes]:
    answer = fleet.wait(fleet.get("n1", "cart", strict=True)).answer
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
    assert refused is not None and refused.code == "maybe" and "does not remember" in refused.message
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


def test_what_is_remembered_is_bounded_in_the_log_too(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "MAYBES_MAX", 2)
    node = fleet.nodes["n1"]
    for number in range(4):
        node.kv.operations.remember(f"op-{number}", number, "key", ("actor", number + 1))
    fleet.world.run_for(0.1)
    read = Operations(node.store)
    read.recover()
    for remembered in (node.kv.operations, read):
        found = [remembered.dot_of(f"op-{number}", "key") for number in range(4)]
        assert found == [None, None, ("actor", 3), ("actor", 4)]
        assert remembered.dot_of("op-3", "another key") is None
