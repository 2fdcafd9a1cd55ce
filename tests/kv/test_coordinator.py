"""The key-value store as its clients meet it, on a small simulated cluster: outcomes, contexts, siblings, forwards."""

from collections.abc import Iterator

import pytest

from cluster.config import node_settings
from cluster.layout import partition_of
from cluster.limits import KEY_BYTES_MAX, VALUE_BYTES_MAX
from cluster.observe.events import FLOOD_FIRST
from cluster.simulation.fleet import Fleet, SimulatedRequest
from cluster.wire.kv import Got, PutDone


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with Fleet(7, 5) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        yield fleet


def places(fleet: Fleet, key: str) -> tuple[list[str], list[str]]:
    """Owners and fallbacks of a key."""
    view = fleet.nodes[fleet.up[0]].replication.context.view
    return list(view.owners(partition_of(key))), list(view.fallbacks(partition_of(key)))


def done(result: SimulatedRequest) -> PutDone:
    assert isinstance(result.answer, PutDone), result.error
    return result.answer


def got(result: SimulatedRequest) -> Got:
    assert isinstance(result.answer, Got), result.error
    return result.answer


def test_any_node_takes_a_write_and_an_owner_coordinates_it(fleet: Fleet) -> None:
    owners, fallbacks = places(fleet, "cart")
    for via in fleet.names:
        answer = done(fleet.wait(fleet.put(via, f"cart-{via}", b"x")))
        assert answer.outcome == "ok" and answer.coordinator in places(fleet, f"cart-{via}")[0]
    assert done(fleet.wait(fleet.put(fallbacks[0], "cart", b"x"))).coordinator == owners[0]


def test_a_write_with_context_replaces_and_one_without_is_concurrent(fleet: Fleet) -> None:
    first = done(fleet.wait(fleet.put("n1", "cart", b"book")))
    fleet.wait(fleet.put("n2", "cart", b"book,pen", context=first.context))
    assert got(fleet.wait(fleet.get("n3", "cart"))).siblings == [b"book,pen"]
    fleet.wait(fleet.put("n4", "cart", b"lamp"))
    found = got(fleet.wait(fleet.get("n5", "cart")))
    assert sorted(found.siblings) == [b"book,pen", b"lamp"]
    fleet.wait(fleet.put("n1", "cart", b"all", context=found.context))
    assert got(fleet.wait(fleet.get("n2", "cart"))).siblings == [b"all"]


def test_a_retry_of_the_same_operation_is_the_same_write(fleet: Fleet) -> None:
    for _ in range(2):
        fleet.wait(fleet.put("n1", "cart", b"book", operation="once"))
    assert got(fleet.wait(fleet.get("n2", "cart"))).siblings == [b"book"]


def test_a_delete_with_context_leaves_nothing_and_one_without_spares_what_it_did_not_see(fleet: Fleet) -> None:
    written = done(fleet.wait(fleet.put("n1", "cart", b"book")))
    blind = done(fleet.wait(fleet.put("n2", "cart", b"", deleted=True, operation="blind")))
    assert got(fleet.wait(fleet.get("n3", "cart"))).siblings == [b"book"]
    assert blind.siblings == 1, "as many as a read shows: the tombstone is none"
    for name in ("", blind.coordinator):
        again = done(fleet.wait(fleet.put("n2", "cart", b"", deleted=True, operation="blind", coordinator=name)))
        assert again.siblings == 1
    seen = got(fleet.wait(fleet.get("n3", "cart")))
    deleted = done(fleet.wait(fleet.put("n2", "cart", b"", deleted=True, context=seen.context)))
    assert deleted.siblings == 0
    assert got(fleet.wait(fleet.get("n4", "cart"))).siblings == []
    fleet.wait(fleet.put("n2", "cart", b"new", context=written.context))
    assert got(fleet.wait(fleet.get("n4", "cart"))).siblings == [b"new"]


def test_a_missing_key_is_empty_and_its_context_covers_nothing(fleet: Fleet) -> None:
    found = got(fleet.wait(fleet.get("n1", "nothing")))
    assert found.siblings == [] and not found.degraded and found.answered >= 2
    assert done(fleet.wait(fleet.put("n1", "nothing", b"x", context=found.context))).outcome == "ok"


def test_the_wrong_context_is_refused(fleet: Fleet) -> None:
    result = fleet.wait(fleet.put("n1", "cart", b"x", context=b"\xc1garbage"))
    assert result.error is not None and result.error.code == "bad-context" and result.error.definite


@pytest.mark.parametrize(
    ("key", "value", "options", "code"),
    [
        ("", b"x", {}, "too-large"),
        ("k" * (KEY_BYTES_MAX + 1), b"x", {}, "too-large"),
        ("k", b"x" * (VALUE_BYTES_MAX + 1), {}, "too-large"),
        ("k", b"x", {"w": 9}, "usage"),
        ("k", b"x", {"w": -1}, "usage"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(
    fleet: Fleet, key: str, value: bytes, options: dict[str, int], code: str
) -> None:
    result = fleet.wait(fleet.put("n1", key, value, **options))
    assert result.error is not None and (result.error.code, result.error.definite) == (code, True)


def test_blind_writes_stop_at_fifty_siblings(fleet: Fleet) -> None:
    for number in range(50):
        assert done(fleet.wait(fleet.put("n1", "cart", b"%d" % number))).outcome == "ok"
    result = fleet.wait(fleet.put("n1", "cart", b"one too many"))
    assert result.error is not None and result.error.code == "siblings"
    found = got(fleet.wait(fleet.get("n2", "cart")))
    assert len(found.siblings) == 50
    assert done(fleet.wait(fleet.put("n1", "cart", b"merged", context=found.context))).outcome == "ok"


def test_a_dead_owner_gets_a_hint_and_its_copy_back(fleet: Fleet) -> None:
    owners, _ = places(fleet, "cart")
    fleet.crash(owners[1])
    fleet.until(lambda: fleet.believes(owners[0], owners[1]) != "alive")
    answer = done(fleet.wait(fleet.put(owners[0], "cart", b"book")))
    assert answer.outcome in ("ok", "ok-sloppy")
    fleet.world.run_for(0.5)
    pending = [fleet.nodes[name].replication.context.hints.pending(owners[1]) for name in fleet.up]
    assert sum(pending) == 1
    fleet.start(owners[1])
    fleet.until(fleet.settled)
    copy = got(fleet.wait(fleet.get(owners[1], "cart", local=True)))
    assert copy.siblings == [b"book"] and not copy.degraded


def test_two_dead_owners_make_a_sloppy_write_and_a_strict_one_a_definite_no(fleet: Fleet) -> None:
    owners, _ = places(fleet, "cart")
    for name in owners[1:]:
        fleet.crash(name)
    fleet.until(lambda: all(fleet.believes(owners[0], name) != "alive" for name in owners[1:]))
    assert done(fleet.wait(fleet.put(owners[0], "cart", b"book"))).outcome == "ok-sloppy"
    refused = fleet.wait(fleet.put(owners[0], "cart", b"pen", strict=True))
    assert refused.error is not None and (refused.error.code, refused.error.definite) == ("no-quorum", True)
    weak = got(fleet.wait(fleet.get(owners[0], "cart")))
    assert weak.siblings == [b"book"] and weak.degraded, "one voting owner is not a read quorum, and it says so"


def test_a_read_behind_a_partition_says_what_it_has_and_does_not_wait_to_its_deadline(fleet: Fleet) -> None:
    owners, _ = places(fleet, "cart")
    fleet.wait(fleet.put(owners[0], "cart", b"book"))
    fleet.until(fleet.settled)
    fleet.world.partition([owners[:1], owners[1:]])
    began = fleet.world.now
    weak = got(fleet.wait(fleet.get(owners[0], "cart", timeout=20.0), timeout=30.0))
    assert weak.siblings == [b"book"] and weak.degraded
    assert fleet.world.now - began < 1.0, "owners behind a partition never refuse"
    fleet.world.run_for(0.25)
    began = fleet.world.now
    assert got(fleet.wait(fleet.get(owners[0], "cart", timeout=20.0), timeout=30.0)).degraded
    assert fleet.world.now - began < 0.25, "what has just failed to answer is waited for no second time"
    strict = fleet.wait(fleet.get(owners[0], "cart", timeout=3.0, strict=True))
    assert strict.error is not None and strict.error.code == "no-quorum"


def test_a_write_is_decided_within_a_second_however_long_its_client_would_wait(fleet: Fleet) -> None:
    """A node that owns nothing passes it to an owner behind a partition, which may or may not have carried it out."""
    owners, fallbacks = places(fleet, "cart")
    fleet.world.partition([fallbacks[:1], owners])
    began = fleet.world.now
    lost = fleet.wait(fleet.put(fallbacks[0], "cart", b"book", timeout=20.0), timeout=30.0)
    assert isinstance(lost.answer, PutDone) and lost.answer.outcome == "maybe"
    assert lost.answer.coordinator in owners, "who alone can tell what became of it"
    assert fleet.world.now - began < 1.1


def test_all_owners_dead_a_fallback_takes_the_write_and_brings_it_home(fleet: Fleet) -> None:
    owners, fallbacks = places(fleet, "cart")
    for name in owners:
        fleet.crash(name)
    fleet.until(lambda: all(fleet.believes(fallbacks[0], name) != "alive" for name in owners))
    for number in range(3):
        answer = done(fleet.wait(fleet.put(fallbacks[0], "cart", b"%d" % number)))
        assert answer.outcome == "ok-sloppy"
    fleet.start(*owners)
    fleet.until(fleet.settled, timeout=60.0)
    found = got(fleet.wait(fleet.get(owners[2], "cart", strict=True)))
    assert sorted(found.siblings) == [b"0", b"1", b"2"], "each write of a fallback has a dot of its own"


def test_not_found_needs_enough_voting_owners(fleet: Fleet) -> None:
    owners, _ = places(fleet, "nothing")
    for name in owners[1:]:
        fleet.crash(name)
    fleet.until(lambda: all(fleet.believes(owners[0], name) != "alive" for name in owners[1:]))
    result = fleet.wait(fleet.get(owners[0], "nothing"))
    assert result.error is not None and (result.error.code, result.error.exit_code) == ("no-quorum", 7)


def test_a_read_repairs_the_owner_that_is_behind(fleet: Fleet) -> None:
    owners, _ = places(fleet, "cart")
    fleet.wait(fleet.put(owners[0], "cart", b"book"))
    behind = fleet.nodes[owners[1]]
    behind.store._tables[0].put(partition_of("cart"), "cart", None)  # as if it had missed the write and its hint
    found = got(fleet.wait(fleet.get(owners[0], "cart", r=3)))
    assert found.siblings == [b"book"] and found.repaired == 1
    assert got(fleet.wait(fleet.get(owners[1], "cart", local=True))).siblings == [b"book"]


def test_an_owner_that_each_read_repairs_does_not_fill_the_events(fleet: Fleet) -> None:
    """As one whose disk is full is repaired in vain."""
    owners, _ = places(fleet, "cart")
    fleet.wait(fleet.put(owners[0], "cart", b"book"))
    behind = fleet.nodes[owners[1]]
    for _ in range(FLOOD_FIRST + 5):
        behind.store._tables[0].put(partition_of("cart"), "cart", None)
        assert got(fleet.wait(fleet.get(owners[0], "cart", r=3))).repaired == 1
    assert len(fleet.nodes[owners[0]].events.since(kind="read.repair")) == FLOOD_FIRST


def test_a_strict_read_asks_as_many_as_see_every_acknowledged_write() -> None:
    """With R=1 and W=1 the first owner may not have what another one has acknowledged; strictly all three are asked."""
    with Fleet(5, 5, settings=node_settings(replication="3/1/1")) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        owners, _ = places(fleet, "cart")
        first = done(fleet.wait(fleet.put(owners[0], "cart", b"book")))
        fleet.until(fleet.settled)
        behind, partition = fleet.nodes[owners[1]].store._tables[0], partition_of("cart")
        old = behind.get(partition, "cart")
        fleet.wait(fleet.put(owners[0], "cart", b"pen", context=first.context))
        fleet.until(fleet.settled)
        behind.put(partition, "cart", old)  # as if it had missed the second write and its hint
        assert got(fleet.wait(fleet.get(owners[1], "cart"))).siblings == [b"book"]
        assert got(fleet.wait(fleet.get(owners[1], "cart", strict=True, r=1))).siblings == [b"pen"]
        for name in (owners[0], owners[2]):
            fleet.crash(name)
        refused = fleet.wait(fleet.get(owners[1], "cart", strict=True, r=1, timeout=3.0))
        assert refused.error is not None and refused.error.code == "no-quorum"


def test_a_single_node_is_its_own_quorum() -> None:
    with Fleet(3, 1, settings=node_settings(replication="3/2/2")) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        assert done(fleet.wait(fleet.put("n1", "k", b"v"))).outcome == "ok"
        assert got(fleet.wait(fleet.get("n1", "k"))).siblings == [b"v"]
        assert got(fleet.wait(fleet.get("n1", "none"))).siblings == []


def test_owners_that_acknowledge_late_are_not_left_out(fleet: Fleet) -> None:
    """Writes pass their deadlines, here and at owners that took them over, while answers come to those before."""
    for other in fleet.names[1:]:
        fleet.world.slow("n1", other, delay=0.11, jitter=0.0)
        fleet.world.slow(other, "n1", delay=0.11, jitter=0.0)
    reach, left_out = fleet.nodes["n1"].reach, list[str]()
    writes: list[SimulatedRequest] = []
    for number in range(100):
        writes += [fleet.put("n1", f"k{number}-{place}", b"x", timeout=0.15) for place in range(10)]
        fleet.world.run_for(0.02)
        if number == 50:  # answers come by now
            reach.failed = left_out.append  # type: ignore[method-assign,assignment]
    assert {done(fleet.wait(one)).outcome for one in writes[600:]} == {"maybe"}
    assert left_out == []
