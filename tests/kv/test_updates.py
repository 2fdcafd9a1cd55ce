"""Counters and sets as their clients meet them, on a small simulated cluster."""

from collections.abc import Iterator
from typing import Any

import pytest

from cluster.errors import BadContext, ClusterError, Maybe, QuorumMissing, Usage, WrongType
from cluster.kv.objects import split
from cluster.simulation.fleet import Fleet, SimulatedRequest
from cluster.wire.kv import AddItems, Append, Got, Increment, KvOperation, PutDone, Remove, RemoveItems, Updated
from tests.simulation.test_buckets import created


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with Fleet.running(7, 5) as fleet:
        yield fleet


def updated(result: SimulatedRequest) -> Updated:
    assert isinstance(result.answer, Updated), result.error
    return result.answer


def change(fleet: Fleet, via: str, key: str, change: KvOperation, **options: Any) -> Updated:
    return updated(fleet.wait(fleet.update(via, key, change, **options)))


def got(fleet: Fleet, via: str, key: str, **options: Any) -> Got:
    result = fleet.wait(fleet.get(via, key, **options))
    assert isinstance(result.answer, Got), result.error
    return result.answer


def refused(fleet: Fleet, result: SimulatedRequest) -> ClusterError:
    fleet.wait(result)
    assert result.error is not None, result.answer
    return result.error


def test_whoever_is_asked_counts(fleet: Fleet) -> None:
    for number, via in enumerate(fleet.names, 1):
        answer = change(fleet, via, "hits", Increment(2))
        assert (answer.outcome, answer.value, answer.degraded) == ("ok", b"%d" % (2 * number), False)
    assert change(fleet, "n1", "hits", Increment(-3)).value == b"7"
    found = got(fleet, "n2", "hits")
    assert (found.siblings, found.kind) == ([b"7"], "counter")


def test_what_is_added_meanwhile_is_kept(fleet: Fleet) -> None:
    first = change(fleet, "n1", "tags", AddItems([b"x", b"y"]))
    assert first.changed == 2
    assert change(fleet, "n2", "tags", AddItems([b"y", b"z"])).changed == 1
    assert change(fleet, "n3", "tags", RemoveItems([b"x", b"y", b"z"]), context=first.context).changed == 1
    assert got(fleet, "n4", "tags", cell=True).siblings == [b"y", b"z"], "y was added anew, z never seen"
    assert change(fleet, "n5", "tags", RemoveItems([b"y", b"z"])).changed == 2, "what the coordinator has read"
    assert got(fleet, "n1", "tags", cell=True).kind == ""


def test_another_kind_is_refused(fleet: Fleet) -> None:
    change(fleet, "n1", "hits", Increment(1))
    change(fleet, "n1", "tags", AddItems([b"x"]))
    fleet.wait(fleet.put("n1", "cart", b"book"))
    for via in fleet.names:
        for result in (
            fleet.update(via, "tags", Increment(1)),
            fleet.update(via, "hits", AddItems([b"x"])),
            fleet.update(via, "cart", Increment(1)),
            fleet.put(via, "hits", b"x"),
            fleet.put(via, "tags", b"", deleted=True),
            fleet.get(via, "tags"),
        ):
            assert isinstance(refused(fleet, result), WrongType)
    assert isinstance(refused(fleet, fleet.update("n1", "hits", Append(b"x"))), Usage)


def test_what_was_deleted_may_be_of_another_kind_next(fleet: Fleet) -> None:
    change(fleet, "n1", "k", Increment(5))
    assert change(fleet, "n2", "k", Remove(get=True)).value == b"5"
    assert got(fleet, "n3", "k").siblings == []
    written = fleet.wait(fleet.put("n4", "k", b"book")).answer
    assert isinstance(written, PutDone) and written.siblings == 1
    assert got(fleet, "n5", "k").siblings == [b"book"]
    fleet.wait(fleet.put("n1", "k", b"", context=written.context, deleted=True))
    assert change(fleet, "n2", "k", AddItems([b"x"])).changed == 1
    assert change(fleet, "n3", "k", Remove()).changed == 1
    assert change(fleet, "n3", "k", Remove()).changed == 0
    assert change(fleet, "n4", "k", Increment(1)).value == b"1", "not on top of what was deleted"


def part(fleet: Fleet, key: str) -> tuple[list[str], list[str]]:
    """Cut the first owner, with a fallback, from the others, so that all have noticed. Both sides."""
    owners = fleet.owners(key)
    others = [name for name in fleet.names if name not in owners]
    left, right = [owners[0], others[0]], [*owners[1:], others[1]]
    fleet.world.partition([left, right])
    sides = [*((one, other) for one in left for other in right), *((one, other) for one in right for other in left)]
    fleet.until(lambda: all(fleet.nodes[one].reach.avoided(other) for one, other in sides))
    return left, right


def heal(fleet: Fleet) -> None:
    fleet.world.heal()
    fleet.until(fleet.settled)


def test_a_put_and_an_increment_that_race_lose_neither(fleet: Fleet) -> None:
    left, right = part(fleet, "k")
    assert change(fleet, left[0], "k", Increment(3)).outcome == "ok-sloppy"
    fleet.wait(fleet.put(right[0], "k", b"book"))
    heal(fleet)
    found = got(fleet, "n1", "k", r=3)
    assert (found.siblings, found.kind) == ([b"book"], "")
    fleet.wait(fleet.put("n2", "k", b"", context=found.context, deleted=True))
    assert got(fleet, "n3", "k").siblings == [b"3"]


def test_both_sides_of_a_partition_count_and_say_that_it_may_not_be_all(fleet: Fleet) -> None:
    change(fleet, "n1", "hits", Increment(1))
    left, right = part(fleet, "hits")
    minor, major = change(fleet, left[1], "hits", Increment(10)), change(fleet, right[0], "hits", Increment(100))
    assert (minor.outcome, minor.value, minor.degraded) == ("ok-sloppy", b"11", True)
    assert (major.value, major.degraded) == (b"101", False)
    assert isinstance(refused(fleet, fleet.update(left[0], "hits", Increment(1), strict=True)), QuorumMissing)
    heal(fleet)
    assert got(fleet, "n1", "hits").siblings == [b"111"]


def test_a_removal_whose_context_nobody_has_seen_is_refused(fleet: Fleet) -> None:
    """What it was to remove would be there again once it came."""
    left, right = part(fleet, "tags")
    added = change(fleet, left[0], "tags", AddItems([b"x"]))
    removal = RemoveItems([b"x"])
    assert isinstance(refused(fleet, fleet.update(right[0], "tags", removal, context=added.context)), QuorumMissing)
    heal(fleet)
    assert change(fleet, right[0], "tags", removal, context=added.context).changed == 1
    assert got(fleet, "n1", "tags", cell=True).siblings == []


def maybe(fleet: Fleet) -> str:
    """An increment by 5 whose coordinator could read, and then heard from nobody else; its name."""
    name, *others = fleet.owners("hits")
    late = fleet.update(name, "hits", Increment(5), operation="once")
    fleet.world.run_until_true(lambda: fleet.stored(name, "hits") is not None, step=0)
    fleet.world.partition([[name], [other for other in fleet.names if other != name]])
    answer = updated(fleet.wait(late))
    assert answer.outcome == "maybe" and answer.coordinator == name
    assert not any(fleet.stored(other, "hits") for other in others)
    heal(fleet)
    return name


def test_a_retry_where_it_began_counts_once_whoever_is_asked(fleet: Fleet) -> None:
    name = maybe(fleet)
    for via in fleet.names:
        again = change(fleet, via, "hits", Increment(5), operation="once", coordinator=name)
        assert (again.outcome, again.coordinator, again.value) == ("ok", name, b"5")
    assert got(fleet, "n1", "hits").siblings == [b"5"]


def test_a_retry_elsewhere_or_of_something_else_is_refused(fleet: Fleet) -> None:
    name = maybe(fleet)
    other = next(node for node in fleet.owners("hits") if node != name)
    again = fleet.update("n1", "hits", Increment(5), operation="once", coordinator=other)
    assert isinstance(refused(fleet, again), Maybe)
    changed = fleet.update("n1", "hits", Increment(6), operation="once", coordinator=name)
    assert isinstance(refused(fleet, changed), Usage)
    assert got(fleet, "n1", "hits").siblings == [b"5"]


def test_a_maybe_is_remembered_over_a_restart(fleet: Fleet) -> None:
    name = maybe(fleet)
    fleet.crash(name)
    fleet.start(name)
    fleet.until(fleet.settled)
    assert change(fleet, "n1", "hits", Increment(5), operation="once", coordinator=name).outcome == "ok"
    assert got(fleet, "n1", "hits").siblings == [b"5"]


def test_an_answer_that_was_lost_is_found_where_it_was_given(fleet: Fleet) -> None:
    answer = change(fleet, "n1", "hits", Increment(5), operation="once")
    again = change(fleet, "n2", "hits", Increment(5), operation="once", coordinator=answer.coordinator)
    assert (again.outcome, again.value) == ("ok", b"5")


def test_a_context_that_is_damaged_is_refused(fleet: Fleet) -> None:
    assert isinstance(refused(fleet, fleet.update("n1", "k", Remove(), context=b"\xc1\x92")), BadContext)


def test_what_was_refused_is_not_taken_for_done_by_what_came_after_it(fleet: Fleet) -> None:
    """The answer was lost, and the client believes that it may have been counted."""
    name, *others = fleet.owners("hits")
    for other in [*others, *(one for one in fleet.names if one not in (name, *others))]:
        fleet.crash(other)
    fleet.until(lambda: all(fleet.nodes[name].reach.avoided(other) for other in fleet.names if other != name))
    assert isinstance(refused(fleet, fleet.update(name, "hits", Increment(5), operation="once")), QuorumMissing)
    fleet.start()
    fleet.until(fleet.settled)
    assert change(fleet, name, "hits", Increment(1)).coordinator == name
    again = fleet.update(name, "hits", Increment(5), operation="once", coordinator=name)
    assert isinstance(refused(fleet, again), Maybe)
    assert got(fleet, "n1", "hits").siblings == [b"1"]


def test_a_burst_whose_reads_end_late_is_carried_out_and_not_refused(fleet: Fleet) -> None:
    """All reads of a burst pass their deadlines in one sweep, and answers of all peers come all the while."""
    for number in range(50):
        change(fleet, "n1", f"k{number}", Increment(1))
    for other in fleet.names[1:]:
        fleet.world.slow("n1", other, delay=0.11, jitter=0.0)
        fleet.world.slow(other, "n1", delay=0.11, jitter=0.0)
    results: list[SimulatedRequest] = []
    for _ in range(60):
        results += [fleet.update("n1", f"k{number}", Remove(), timeout=0.5) for number in range(50)]
        fleet.world.run_for(0.02)
    for result in results:
        fleet.wait(result)
    assert [result.error for result in results if result.error is not None] == []


@pytest.mark.parametrize("kind", ["counter", "register"])
def test_a_fallback_adds_one_clock_entry_an_outage_and_not_one_a_change(fleet: Fleet, kind: str) -> None:
    created(fleet, "n1", "last", resolver="lww")
    key = "hits" if kind == "counter" else "last/k"
    owners, fallback = fleet.owners(key), fleet.fallbacks(key)[0]
    for outage in range(1, 3):
        for name in owners:
            fleet.crash(name)
        fleet.until(lambda: all(fleet.believes(name, owner) == "dead" for name in fleet.up for owner in owners), 60)
        for number in range(10):
            if kind == "counter":
                assert change(fleet, fallback, key, Increment(1)).outcome == "ok-sloppy"
            else:
                answer = fleet.wait(fleet.put(fallback, key, b"%d" % number)).answer
                assert isinstance(answer, PutDone) and answer.outcome == "ok-sloppy"
        fleet.start(*owners)
        fleet.until(fleet.settled, 120)
        assert got(fleet, owners[0], key).siblings == [b"%d" % (10 * outage) if kind == "counter" else b"9"]
        _, cell = split(fleet.stored(owners[0], key))
        assert cell is not None and len(cell.clock) == outage
