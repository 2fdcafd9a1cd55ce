"""Collecting tombstones: what was deleted never comes back, and what is alive is never taken for collected."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from cluster.config import node_settings
from cluster.layout import partition_of
from cluster.replication import collecting
from cluster.replication.collecting import Collecting
from cluster.replication.collection import Attestation, Cut
from cluster.replication.context import ReplicationContext
from cluster.replication.digests import Row
from cluster.replication.hints import HintKey
from cluster.replication.mergeable import TABLE_KV
from cluster.replication.quorum import QuorumRead
from cluster.replication.transfer import PartitionScan
from cluster.simulation.fleet import Fleet
from cluster.storage import Store
from cluster.wire.replication import Surveyed
from tests.simulation.safeguards.growth import add, end, hold
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.scenes import acknowledged, boot, got, read, settle, wipe

BESIDE = next(name for name in (f"key-{n}" for n in range(99999)) if partition_of(name) == partition_of("cart"))
"""Another key of the partition of `cart`."""
REST_S = 8.0
"""Long enough for a collection, from the last write on."""


def delete(fleet: Fleet, via: str, key: str) -> None:
    acknowledged(fleet, via, key, b"", context=got(fleet, via, key).context, deleted=True)


def put_row(fleet: Fleet, name: str, key: str, blob: bytes | None) -> None:
    """A node's row is another one, and it knows nothing of it."""
    node = fleet.nodes[name]
    node.env.clock.call_soon(node.store.put, TABLE_KV, partition_of(key), key, blob, None)


def written_and_deleted(fleet: Fleet, key: str = "cart") -> bytes:
    """All owners have the tombstone; returns the row from before it."""
    owners = fleet.owners(key)
    acknowledged(fleet, owners[0], key, b"v")
    fleet.until(lambda: all(fleet.stored(name, key) is not None for name in owners))
    before = fleet.stored(owners[0], key)
    assert before is not None
    delete(fleet, owners[0], key)
    fleet.until(lambda: all(fleet.stored(name, key) not in (None, before) for name in owners))
    return before


def collected(fleet: Fleet, key: str = "cart") -> None:
    fleet.until(lambda: all(fleet.stored(name, key) is None for name in fleet.owners(key)), 30.0)


def stays_deleted(fleet: Fleet, key: str = "cart") -> None:
    """However long one waits, and wherever one asks."""
    for _ in range(3):
        assert all(read(fleet, via, key) == [] for via in fleet.up), "it is back"
        fleet.world.run_for(REST_S)
    settle(fleet)
    assert read(fleet, fleet.owners(key)[0], key, strict=True, r=3) == [], "it is back"


def in_hints_alone(fleet: Fleet) -> list[str]:
    """An acknowledged write of `cart` that only hints have: its coordinator did not reach the other owners in time,
    then deleted another key, and lost its disk. Returns who has the hints, and does not deliver them."""
    first, *others = fleet.owners("cart")
    holders = fleet.fallbacks("cart")
    acknowledged(fleet, first, BESIDE, b"v")
    settle(fleet)
    beside = got(fleet, first, BESIDE).context
    for name, node in fleet.nodes.items():
        node.replication.antientropy._ready = lambda partition, now: False  # type: ignore[method-assign]
        if name not in others:
            node.replication.handoff._deliver = lambda target: None  # type: ignore[method-assign]
    for name in others:  # so late that no copy is taken, and nobody is declared dead, or its owners would know of hints
        fleet.fault("slow", source=first, target=name, delay_ms=1500.0)
    fleet.world.run_for(0.1)
    acknowledged(fleet, first, "cart", b"precious")
    fleet.until(lambda: all(fleet.hints(name) for name in holders), 5.0)
    fleet.world.run_for(1.0)
    fleet.heal()
    fleet.world.run_for(1.6)
    fleet.until(lambda: all(not fleet.nodes[first].reach.avoided(name) for name in others), 60.0)
    acknowledged(fleet, first, BESIDE, b"", context=beside, deleted=True, strict=True)
    wipe(fleet, first)
    assert all(fleet.stored(name, "cart") is None for name in others), "they have it already"
    for node in fleet.nodes.values():
        del node.replication.antientropy._ready
    boot(fleet, first)
    return holders


def is_found_in_the_end(fleet: Fleet) -> None:
    settle(fleet)
    assert read(fleet, fleet.owners("cart")[0], "cart", strict=True) == [b"precious"], "it was acknowledged"


def the_holders_of_hints_are_away(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        holders = in_hints_alone(fleet)
        fleet.until(lambda: all(fleet.votes(name, "cart") for name in fleet.owners("cart")), 60.0)
        for name in holders:
            fleet.crash(name)
        fleet.world.run_for(2 * REST_S)
        boot(fleet, *holders)
        is_found_in_the_end(fleet)


def ask_whoever_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    on_answer = Cut.on_answer

    def all_is_well(self: Cut, name: str, answer: Surveyed | None) -> bool:
        return on_answer(self, name, answer or Surveyed("", "", 0, {}, {}))

    monkeypatch.setattr(Collecting, "_away", lambda self: [])
    monkeypatch.setattr(Cut, "on_answer", all_is_well)


def hints_are_not_delivered_yet(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        holders = in_hints_alone(fleet)
        fleet.world.run_for(2 * REST_S)
        for name in holders:
            del fleet.nodes[name].replication.handoff._deliver
        is_found_in_the_end(fleet)


def overlook_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    obstacle = Attestation.obstacle
    monkeypatch.setattr(Attestation, "obstacle", lambda self, rest_s: obstacle(replace(self, hints=0), rest_s))


def an_owner_has_missed_the_delete(seed: int) -> None:
    """Nobody has a hint for it."""
    with Fleet.running(seed, 5) as fleet:
        before = written_and_deleted(fleet)
        put_row(fleet, fleet.owners("cart")[2], "cart", before)
        fleet.world.run_for(REST_S)
        stays_deleted(fleet)


def compare_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "root_of", lambda tree: b"root")


def a_disk_does_not_come_back_from_a_sync(seed: int) -> None:
    """An owner has logged the delete, and not on the medium, when its machine loses power. The coordinator was killed
    meanwhile, so that nobody keeps a hint. `always`: what was not acknowledged is not missed."""
    with Fleet.running(seed, 5, settings=node_settings(durability="always")) as fleet:
        first, _, third = fleet.owners("cart")
        acknowledged(fleet, first, "cart", b"v", strict=True)
        settle(fleet)
        context = got(fleet, first, "cart").context
        before = fleet.stored(third, "cart")
        fleet.nodes[third].store._log._sync = lambda: None  # type: ignore[method-assign]
        acknowledged(fleet, first, "cart", b"", context=context, deleted=True)
        fleet.world.run_until_true(lambda: fleet.stored(third, "cart") != before, 1.0, step=0)
        fleet.crash(first)
        boot(fleet, first)
        settle(fleet)
        fleet.world.run_for(2 * REST_S)
        fleet.crash(third)
        fleet.world.disk(third).power_loss(torn=False)
        fleet.world.reboot(third)
        boot(fleet, third)
        settle(fleet)
        stays_deleted(fleet)


def attest_what_may_be_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "synced", lambda self, done: done(None))


def an_owner_to_come_has_missed_the_delete(seed: int) -> None:
    """It had merged the key before, and the coordinator died before its copy left."""
    with Fleet.running(seed, 4) as fleet:
        add(fleet, "n1", "n5")
        fleet.until(lambda: "n5" in fleet.nodes)
        hold(fleet, True)
        fleet.until(lambda: fleet.nodes["n5"].view.moving and not fleet.nodes["n5"].replication.lacking(), 60.0)
        view = fleet.nodes["n5"].view
        key = next(key for key in (f"key-{n}" for n in range(999)) if "n5" in view.joining(partition_of(key)))
        before = written_and_deleted(fleet, key)
        put_row(fleet, "n5", key, before)
        fleet.world.run_for(REST_S)
        hold(fleet, False)
        end(fleet)
        stays_deleted(fleet, key)


def collect_while_owners_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Collecting, "layout", property(lambda self: self.context.view.number))


def a_hint_comes_back(seed: int) -> None:
    """The record of its removal was damaged, say."""
    with Fleet.running(seed, 5) as fleet:
        before = written_and_deleted(fleet)
        collected(fleet)
        holder, target = fleet.nodes[fleet.fallbacks("cart")[0]], fleet.owners("cart")[1]
        hint = HintKey(target, TABLE_KV, partition_of("cart"), "cart")
        holder.env.clock.call_soon(holder.replication.context.hints.add, hint, before, lambda error: None)
        fleet.world.run_for(REST_S)
        stays_deleted(fleet)


def a_node_that_lost_data_adds_to_what_it_has(seed: int) -> None:
    """It cannot be completed yet, and coordinates a write without context."""
    with Fleet.running(seed, 5) as fleet:
        before = written_and_deleted(fleet)
        collected(fleet)
        lost = fleet.owners("cart")[0]
        lost_all_but(fleet, lost, before)
        acknowledged(fleet, lost, "cart", b"new")
        go_on(fleet, lost)
        settle(fleet)
        fleet.world.run_for(REST_S)
        assert read(fleet, "n1", "cart", strict=True, r=3) == [b"new"], "the deleted value is back beside it"


def take_all_for_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ReplicationContext, "news", lambda self, table, partition, key, blob: blob)


def lost_all_but(fleet: Fleet, name: str, blob: bytes) -> None:
    """A node has lost data, the stable clock too; an old row of `cart` is left. It is not completed for now."""
    node, partition = fleet.nodes[name], partition_of("cart")
    node.replication.completing._step = lambda probe=False: None  # type: ignore[method-assign]

    def lose() -> None:
        for table in node.replication.antientropy.trees.tables:
            page, _ = node.store.scan(table, partition, "", 100)
            for key, _blob in page:
                node.store.put(table, partition, key, None, None)
        node.store.put(TABLE_KV, partition, "cart", blob, None)
        node.replication.lost("a test took it")

    node.env.clock.call_soon(lose)
    fleet.until(lambda: bool(node.replication.context.status.recovering))


def go_on(fleet: Fleet, name: str) -> None:
    """It is completed."""
    completing = fleet.nodes[name].replication.completing
    del completing._step
    fleet.nodes[name].env.clock.call_soon(completing.wake)


def a_node_that_lost_data_is_completed(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        before = written_and_deleted(fleet)
        collected(fleet)
        lost = fleet.owners("cart")[0]
        lost_all_but(fleet, lost, before)
        go_on(fleet, lost)
        settle(fleet)
        stays_deleted(fleet)


def keep_what_others_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PartitionScan, "_doubt", lambda self, *page: None)


def a_node_that_lost_data_is_asked(seed: int) -> None:
    """It cannot be completed yet."""
    with Fleet.running(seed, 5) as fleet:
        before = written_and_deleted(fleet)
        collected(fleet)
        lost = fleet.owners("cart")[0]
        lost_all_but(fleet, lost, before)
        for _ in range(5):
            found = got(fleet, lost, "cart")
            assert found.siblings == [] or found.degraded, "two owners that lost nothing know that it is gone"
            fleet.world.run_for(1.0)


def believe_all_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    on_answer: Callable[[QuorumRead, str, bytes | None, int], None] = QuorumRead.on_answer

    def count(self: QuorumRead, node: str, blob: bytes | None, vote: int) -> None:
        on_answer(self, node, blob, vote)
        if self.aside:
            self.merged, self.aside = next(iter(self.aside.values())), None

    monkeypatch.setattr(QuorumRead, "on_answer", count)


def a_later_delete_has_not_reached_all(seed: int) -> None:
    """Another key of the partition was collected before."""
    with Fleet.running(seed, 5) as fleet:
        written_and_deleted(fleet, BESIDE)
        collected(fleet, BESIDE)
        before = written_and_deleted(fleet)
        put_row(fleet, fleet.owners("cart")[2], "cart", before)
        fleet.world.run_for(REST_S)
        stays_deleted(fleet)


def remove_every_tombstone(monkeypatch: pytest.MonkeyPatch) -> None:
    def may_go(self: Collecting, row: Row, blob: bytes | None, stable: object) -> bool:
        table, key = row
        return blob is not None and self.context.mergeables[table].is_deleted(blob, key)

    monkeypatch.setattr(Collecting, "_may_go", may_go)


SAFEGUARDS = [
    Safeguard(
        "every member attests a cut",
        "Whoever is away may hold the only copy of what the stable clock would deny.",
        ask_whoever_is_alive,
        the_holders_of_hints_are_away,
    ),
    Safeguard(
        "a cut waits for hints",
        "A hint may be the only copy of what the stable clock would deny.",
        overlook_hints,
        hints_are_not_delivered_yet,
    ),
    Safeguard(
        "owners hold the same before anything is collected",
        "An owner that missed the delete would bring the value back.",
        compare_nothing,
        an_owner_has_missed_the_delete,
    ),
    Safeguard(
        "what is attested is on the medium",
        "A tombstone that only the kernel has goes with the power, and the value is there again.",
        attest_what_may_be_lost,
        a_disk_does_not_come_back_from_a_sync,
    ),
    Safeguard(
        "nothing is collected while owners change",
        "An owner to come that missed the delete would bring the value back.",
        collect_while_owners_change,
        an_owner_to_come_has_missed_the_delete,
    ),
    Safeguard(
        "a late hint is told by the stable clock",
        "A hint that comes back after its key was collected does not bring the value back.",
        take_all_for_new,
        a_hint_comes_back,
    ),
    Safeguard(
        "an old sibling is told by the stable clock",
        "A coordinator that lost data does not bring back what it still has of a deleted key.",
        take_all_for_new,
        a_node_that_lost_data_adds_to_what_it_has,
    ),
    Safeguard(
        "who is completed drops what was collected",
        "Rows from before a loss do not bring back what the others have deleted and collected.",
        keep_what_others_collected,
        a_node_that_lost_data_is_completed,
    ),
    Safeguard(
        "what has no vote is set aside",
        "An owner that lost data does not show what enough others know to be gone.",
        believe_all_alike,
        a_node_that_lost_data_is_asked,
    ),
    Safeguard(
        "a tombstone goes only below the stable clock",
        "A delete that is newer than the last cut stays until another cut covers it.",
        remove_every_tombstone,
        a_later_delete_has_not_reached_all,
    ),
]
