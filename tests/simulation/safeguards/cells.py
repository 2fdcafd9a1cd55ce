"""Cells: an increment is counted once and by one actor, and a removal or deletion takes what it has seen."""

from collections.abc import Collection
from typing import Any

import pytest

from cluster.errors import QuorumMissing
from cluster.kv import changes, objects, updates
from cluster.kv.operations import update_row
from cluster.kv.updates import Updates
from cluster.layout import partition_of
from cluster.replication.hints import HintKey
from cluster.replication.mergeable import TABLE_KV
from cluster.simulation.fleet import Fleet
from cluster.storage import Store
from cluster.versions import Cell, CellContext, CellEvent, StableClock, cell, cellwrite
from cluster.versions.cell import Count
from cluster.versions.versions import Actor
from cluster.wire.kv import AddItems, Increment, KvOperation, Remove, RemoveItems, Updated
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.scenes import boot, got, settle
from tests.simulation.safeguards.versions import keep_the_actor_over_a_power_loss


def changed(fleet: Fleet, via: str, key: str, change: KvOperation, **options: Any) -> Updated:
    """Update, and assert that it was acknowledged."""
    answer = fleet.wait(fleet.update(via, key, change, **options)).answer
    assert isinstance(answer, Updated) and answer.outcome in ("ok", "ok-sloppy"), answer
    return answer


def shown(fleet: Fleet, key: str) -> list[bytes]:
    """What is there after all has settled."""
    settle(fleet)
    return got(fleet, "n1", key, strict=True, r=3, cell=True).siblings


def two_sides(fleet: Fleet, key: str) -> tuple[list[str], list[str]]:
    """Cut the first owner, with a fallback, from the others, so that all have noticed."""
    owners = fleet.owners(key)
    others = [name for name in fleet.names if name not in owners]
    left, right = [owners[0], *others[:-1]], [*owners[1:], others[-1]]
    fleet.world.partition([left, right])
    sides = [*((one, other) for one in left for other in right), *((one, other) for one in right for other in left)]
    fleet.until(lambda: all(fleet.nodes[one].reach.avoided(other) for one, other in sides))
    return left, right


def an_owner_counts_on_after_it_lost_its_rows(seed: int) -> None:
    """It loses its power, and counts again before it can read what the others hold."""
    with Fleet.running(seed, 5) as fleet:
        owner, *others = fleet.owners("hits")
        changed(fleet, owner, "hits", Increment(4), strict=True)
        fleet.power_loss(owner, silent=True)
        boot(fleet, owner)
        fleet.world.partition([[name for name in fleet.names if name not in others], others])
        fleet.until(lambda: all(fleet.nodes[owner].reach.avoided(other) for other in others))
        answer = fleet.wait(fleet.update(owner, "hits", Increment(1))).answer
        fleet.world.heal()
        wanted = [b"5"] if isinstance(answer, Updated) else [b"4"]
        assert shown(fleet, "hits") == wanted


def two_copies_meet(seed: int) -> None:
    """One has all that an owner has counted, the other less of that, and what another owner has counted meanwhile."""
    with Fleet.running(seed, 5) as fleet:
        changed(fleet, fleet.owners("hits")[0], "hits", Increment(1), w=3)
        left, right = two_sides(fleet, "hits")
        changed(fleet, left[0], "hits", Increment(10))
        changed(fleet, right[0], "hits", Increment(100))
        fleet.world.heal()
        assert shown(fleet, "hits") == [b"111"]


def add_up_what_two_copies_have_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def added(a: dict[Actor, Count], b: dict[Actor, Count]) -> dict[Actor, Count]:
        both = {**b, **a}
        for actor in a:
            if actor in b and a[actor] != b[actor]:
                newer = max(a[actor], b[actor], key=lambda one: one.number)
                both[actor] = Count(newer.number, a[actor].total + b[actor].total, newer.since)
        return both

    monkeypatch.setattr(cell, "_join_counts", added)


def a_maybe_is_counted_again(seed: int) -> None:
    """Its coordinator could read, and then heard from nobody; then it is told to try again, through all nodes."""
    with Fleet.running(seed, 5) as fleet:
        name = fleet.owners("hits")[0]
        late = fleet.update(name, "hits", Increment(5), operation="once")
        fleet.world.run_until_true(lambda: fleet.stored(name, "hits") is not None, step=0)
        fleet.world.partition([[name], [other for other in fleet.names if other != name]])
        answer = fleet.wait(late).answer
        assert isinstance(answer, Updated) and answer.outcome == "maybe", answer
        fleet.world.heal()
        settle(fleet)
        fleet.until(lambda: not any(node.reach.avoided(name) for node in fleet.nodes.values()))
        for via in fleet.names:
            changed(fleet, via, "hits", Increment(5), operation="once", coordinator=name)
        assert shown(fleet, "hits") == [b"5"]


def coordinate_a_retry_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Updates, "_retry", Updates._coordinate)


def a_refused_increment_is_asked_for_again(seed: int) -> None:
    """It was refused, and only the answer was lost; meanwhile its coordinator has counted on."""
    with Fleet.running(seed, 5) as fleet:
        name = fleet.owners("hits")[0]
        for other in [other for other in fleet.names if other != name]:
            fleet.crash(other)
        fleet.until(lambda: all(fleet.nodes[name].reach.avoided(other) for other in fleet.names if other != name))
        refused = fleet.wait(fleet.update(name, "hits", Increment(5), operation="once")).error
        assert isinstance(refused, QuorumMissing), refused
        fleet.start()
        settle(fleet)
        changed(fleet, name, "hits", Increment(1))
        again = fleet.wait(fleet.update(name, "hits", Increment(5), operation="once", coordinator=name)).answer
        wanted = [b"6"] if isinstance(again, Updated) and again.outcome in ("ok", "ok-sloppy") else [b"1"]
        assert shown(fleet, "hits") == wanted


def remember_before_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    replicate = Updates._replicate

    def early(self: Updates, *given: Any, **more: Any) -> None:
        body, partition, _, _, event, *_ = given
        row = update_row(body, (event.actor, event.number))
        self.coordinator.operations.ended(body.operation, partition, row, "ok")
        replicate(self, *given, **more)

    monkeypatch.setattr(Updates, "_replicate", early)


def an_item_is_added_anew_before_it_is_removed(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        seen = changed(fleet, "n1", "tags", AddItems([b"x", b"y"]))
        changed(fleet, "n2", "tags", AddItems([b"x"]))
        changed(fleet, "n3", "tags", RemoveItems([b"x", b"y"]), context=seen.context)
        assert shown(fleet, "tags") == [b"x"]


def remove_whatever_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    remove = cellwrite.remove_items

    def all_of_it(cell: Cell, event: CellEvent, items: Collection[bytes], context: CellContext | None) -> Cell:
        return remove(cell, event, items, None)

    monkeypatch.setattr(changes, "remove_items", all_of_it)


def what_was_seen_is_removed_where_nobody_has_it(seed: int) -> None:
    """It was added on one side of a partition, and is removed on the other."""
    with Fleet.running(seed, 5) as fleet:
        left, right = two_sides(fleet, "tags")
        seen = changed(fleet, left[0], "tags", AddItems([b"x"]))
        removed = fleet.wait(fleet.update(right[0], "tags", RemoveItems([b"x"]), context=seen.context))
        fleet.world.heal()
        wanted = [] if isinstance(removed.answer, Updated) else [b"x"]
        assert shown(fleet, "tags") == wanted


def remove_without_a_look_at_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(updates, "check_seen", lambda seen, cell, stable: None)


def a_counter_is_deleted_while_another_side_counts(seed: int) -> None:
    """That side has all that was counted before, and brings it when it comes back."""
    with Fleet.running(seed, 5) as fleet:
        for _ in range(3):
            changed(fleet, fleet.owners("hits")[1], "hits", Increment(2))
        settle(fleet)
        left, right = two_sides(fleet, "hits")
        changed(fleet, left[0], "hits", Increment(1))
        changed(fleet, right[0], "hits", Remove())
        fleet.world.heal()
        assert shown(fleet, "hits") == [b"1"]


def delete_by_leaving_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(held: Cell, event: CellEvent, context: CellContext | None) -> Cell:
        bare = Cell(held.generation, held.value, held.expires, {}, held.members, held.clock)
        return cellwrite.remove_items(bare, event, tuple(held.members), context)

    monkeypatch.setattr(changes, "clear", without)


def a_hint_of_a_collected_set_comes_back(seed: int) -> None:
    """The record of its removal was damaged, say."""
    with Fleet.running(seed, 5) as fleet:
        changed(fleet, "n1", "tags", AddItems([b"x"]))
        settle(fleet)
        owners, holder = fleet.owners("tags"), fleet.fallbacks("tags")[0]
        old = fleet.stored(owners[0], "tags")
        assert old is not None
        changed(fleet, "n1", "tags", Remove(), strict=True)
        fleet.until(lambda: not any(fleet.stored(name, "tags") for name in owners), 60.0)
        hints = fleet.nodes[holder].replication.context.hints
        hint = HintKey(owners[0], TABLE_KV, partition_of("tags"), "tags")
        fleet.nodes[holder].env.clock.call_soon(hints.add, hint, old, lambda error: None)
        fleet.world.run_for(10.0)
        assert shown(fleet, "tags") == [], "what was deleted is back"


def take_old_copies_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def whole(copy: Cell, held: Cell | None, stable: StableClock) -> Cell | None:
        return copy

    monkeypatch.setattr(objects, "unsettled_cell", whole)


def two_removals_meet_a_full_disk(seed: int) -> None:
    """In one pass, at a coordinator whose disk refuses both: the second finds what the first took out."""
    with Fleet.running(seed, 3) as fleet:
        changed(fleet, "n1", "tags", AddItems([b"old"]))
        settle(fleet)
        owner = fleet.owners("tags")[0]
        for name in fleet.names:
            fleet.world.disk(name).full_after(0)
        removals = [fleet.update(owner, "tags", RemoveItems([b"old"])) for _ in range(2)]
        answers = [fleet.wait(one).answer for one in removals]
        for name in fleet.names:
            fleet.world.disk(name).full_after(None)
        told = any(isinstance(one, Updated) and one.outcome in ("ok", "ok-sloppy") for one in answers)
        assert shown(fleet, "tags") == [] or not told, f"'old' is there, and was removed: {answers}"


def answer_before_the_log_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "settled", lambda self, done: done(None))


SAFEGUARDS = [
    Safeguard(
        "who may have lost increments counts under a new name",
        "The sum of a counter is that of all acknowledged increments.",
        keep_the_actor_over_a_power_loss,
        an_owner_counts_on_after_it_lost_its_rows,
    ),
    Safeguard(
        "of two counts of one actor the newer holds both",
        "An increment is counted once, however often copies meet.",
        add_up_what_two_copies_have_counted,
        two_copies_meet,
    ),
    Safeguard(
        "a retry of an increment is answered and not applied",
        "Retried where its maybe says it began, an increment counts once.",
        coordinate_a_retry_anew,
        a_maybe_is_counted_again,
    ),
    Safeguard(
        "an update is remembered once it is not refused",
        "A retry is answered ok only where the first attempt is kept.",
        remember_before_it_is_taken,
        a_refused_increment_is_asked_for_again,
    ),
    Safeguard(
        "a removal has a context",
        "What was added meanwhile stays.",
        remove_whatever_is_there,
        an_item_is_added_anew_before_it_is_removed,
    ),
    Safeguard(
        "a removal is refused where its context is not known",
        "What a removal acknowledged does not come back.",
        remove_without_a_look_at_the_context,
        what_was_seen_is_removed_where_nobody_has_it,
    ),
    Safeguard(
        "a deletion notes how far it has seen each count",
        "What was counted before a deletion does not come back.",
        delete_by_leaving_out,
        a_counter_is_deleted_while_another_side_counts,
    ),
    Safeguard(
        "of an old copy of a cell what is settled is left out",
        "What was deleted and collected does not come back.",
        take_old_copies_whole,
        a_hint_of_a_collected_set_comes_back,
    ),
    Safeguard(
        "that nothing was to change is said of what is in the log",
        "What is said to be removed is not there again.",
        answer_before_the_log_is_written,
        two_removals_meet_a_full_disk,
    ),
]
