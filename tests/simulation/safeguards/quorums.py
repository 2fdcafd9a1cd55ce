"""Quorums: what counts towards W and R, and what an acknowledgement or an absence rests on."""

from typing import Any

import pytest

from cluster.errors import ClusterError
from cluster.kv.objects import KvRows
from cluster.layout import partition_of
from cluster.replication import writer
from cluster.replication.mergeable import TABLE_KV
from cluster.replication.quorum import VOTING, QuorumRead, QuorumWrite
from cluster.replication.reader import ReadOperation
from cluster.replication.voting import VotingStatus
from cluster.replication.writer import WriteOperation
from cluster.simulation.fleet import Fleet
from cluster.wire.kv import Got, PutDone
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.scenes import acknowledged, boot, crash_and_wait, got, read, settle


def rest(fleet: Fleet, *names: str) -> list[str]:
    return [name for name in fleet.names if name not in names]


def a_tombstone_is_all_that_an_owner_has(seed: int) -> None:
    """It was away when a new value was acknowledged by the two other owners, comes back cut off from them, and is
    read."""
    with Fleet.running(seed, 5) as fleet:
        away, other, _ = fleet.owners("cart")
        old = acknowledged(fleet, away, "cart", b"old")
        gone = acknowledged(fleet, away, "cart", b"", deleted=True, context=old.context)
        fleet.world.run_for(1.5)
        crash_and_wait(fleet, away)
        acknowledged(fleet, other, "cart", b"new", context=gone.context)
        fleet.world.run_for(1.5)
        fleet.world.partition([[away], rest(fleet, away)])
        boot(fleet, away)
        for _ in range(8):
            found = fleet.wait(fleet.get(away, "cart")).answer
            assert not isinstance(found, Got), f"not found, and `new` was acknowledged: {found}"
            fleet.world.run_for(1.0)
        fleet.world.heal()
        settle(fleet)
        assert read(fleet, away, "cart") == [b"new"]


def let_a_tombstone_count_as_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KvRows, "shows", lambda self, blob, key: True)


def both_owners_that_answer_may_miss_hints(seed: int) -> None:
    """A write is acknowledged by one owner and one fallback, and both die. The two owners that were away return, and no
    living member holds hints for them."""
    with Fleet.running(seed, 4) as fleet:
        holder, *others = fleet.owners("cart")
        crash_and_wait(fleet, *others)
        assert acknowledged(fleet, holder, "cart", b"book").outcome == "ok-sloppy"
        fleet.world.run_for(1.5)
        crashed = list(fleet.up)
        for name in crashed:
            fleet.crash(name)
        boot(fleet, *others)
        for _ in range(20):
            found = fleet.wait(fleet.get(others[0], "cart")).answer
            assert not isinstance(found, Got) or found.siblings, "not found, by owners that may miss hints"
            local = fleet.wait(fleet.get(others[0], "cart", local=True)).answer
            assert not isinstance(local, Got) or local.siblings, "not found by one that may miss hints"
            fleet.world.run_for(0.5)
        boot(fleet, *crashed)
        settle(fleet)
        assert read(fleet, others[0], "cart") == [b"book"]


def let_owners_that_may_miss_hints_deny(monkeypatch: pytest.MonkeyPatch) -> None:
    vote = VotingStatus.vote
    monkeypatch.setattr(VotingStatus, "vote", lambda self, partition: vote(self, partition) and VOTING)


def slots_filled(fleet: Fleet, key: str) -> int:
    """For how many owners of the key a copy is stored: with themselves, or as a hint."""
    partition, filled = partition_of(key), 0
    for owner in fleet.owners(key):
        here = owner in fleet.nodes and fleet.nodes[owner].store.get(TABLE_KV, partition, key) is not None
        hinted = any(
            owner in node.replication.context.hints.for_key(TABLE_KV, partition, key) for node in fleet.nodes.values()
        )
        filled += here or hinted
    return filled


def an_owner_and_its_fallback_both_acknowledge(seed: int) -> None:
    """Of four nodes the only fallback coordinates: its hint fills the place of the one owner that can be reached, which
    acknowledges as well."""
    with Fleet.running(seed, 4) as fleet:
        first, *others = fleet.owners("cart")
        (stranger,) = rest(fleet, first, *others)
        fleet.wait(fleet.put(stranger, "warm", b"", w=3))
        for name in others:
            fleet.world.pause(name)
        result = fleet.wait(fleet.put(stranger, "cart", b"book", hops=2, timeout=0.9))
        answer = result.answer
        if isinstance(answer, PutDone):
            assert answer.acks <= slots_filled(fleet, "cart"), f"{answer} counts a copy twice"
        for name in others:
            fleet.world.resume(name)


def count_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each acknowledgement takes a slot of its own."""
    on_ack = QuorumWrite.on_ack

    def count(self: QuorumWrite, slot: str, node: str) -> str | None:
        alone = f"{slot} at {node}"
        return on_ack(self, alone, alone if slot == node else node)

    monkeypatch.setattr(QuorumWrite, "on_ack", count)


def one_owner_acknowledges_and_dies(seed: int) -> None:
    """A put asks for one copy only; a strict read then meets the two other owners."""
    with Fleet.running(seed, 5) as fleet:
        first, *others = fleet.owners("cart")
        fleet.world.partition([[first], rest(fleet, first)])
        answer = fleet.wait(fleet.put(first, "cart", b"book", w=1)).answer
        assert isinstance(answer, PutDone)
        crash_and_wait(fleet, first)
        fleet.world.heal()
        found = got(fleet, others[0], "cart", strict=True)
        assert found.siblings or answer.outcome != "ok", "strict reads promise what ended `ok`"


def promise_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made = QuorumWrite.__init__
    monkeypatch.setattr(QuorumWrite, "__init__", lambda self, needed, promised, strict: made(self, needed, 0, strict))


def an_owner_that_stood_still_is_left_alone(seed: int) -> None:
    """One owner stands still while the two others acknowledge a put, for longer than the put has; later only that owner
    remains."""
    with Fleet.running(seed, 5) as fleet:
        first, still, third = fleet.owners("cart")
        acknowledged(fleet, first, "warm", b"", w=3)
        fleet.world.stall(still, 1.6)
        acknowledged(fleet, first, "cart", b"book")
        fleet.world.run_for(2.1)
        settle(fleet)
        crash_and_wait(fleet, first, third)
        assert read(fleet, still, "cart", r=1) == [b"book"]


def forget_who_did_not_acknowledge(monkeypatch: pytest.MonkeyPatch) -> None:
    def failed(self: WriteOperation, owner: str, error: Any) -> None:
        self.waiting.pop(owner, None)
        self._failed(error)

    monkeypatch.setattr(WriteOperation, "failed", failed)
    monkeypatch.setattr(WriteOperation, "linger", lambda self, now: None)


def all_owners_are_away(seed: int) -> None:
    """Two fallbacks took the write; a third node, that neither owns the key nor holds a hint, is asked."""
    with Fleet.running(seed, 7) as fleet:
        owners = fleet.owners("cart")
        crash_and_wait(fleet, *owners)
        holder = fleet.up[0]
        assert acknowledged(fleet, holder, "cart", b"book").outcome == "ok-sloppy"
        fleet.world.run_for(1.5)
        partition = partition_of("cart")
        asked = [
            name
            for name in fleet.up
            if not fleet.nodes[name].replication.context.hints.find(TABLE_KV, partition, "cart")
        ]
        assert asked
        for name in asked:
            found = got(fleet, name, "cart")
            assert found.siblings == [b"book"] and found.degraded


def ask_owners_only(monkeypatch: pytest.MonkeyPatch) -> None:
    widen = ReadOperation.widen

    def widen_to_owners(self: ReadOperation) -> None:
        self.widened = True
        widen(self)

    monkeypatch.setattr(ReadOperation, "widen", widen_to_owners)


def what_a_reader_saw_is_read_again(seed: int) -> None:
    """One owner alone took a write before a cut, whose copies expired behind it. It is read there as soon as the cut
    heals, and then this owner is gone."""
    with Fleet.running(seed, 3) as fleet:
        first, *others = fleet.owners("cart")
        acknowledged(fleet, first, "warm", b"", w=3)
        fleet.world.partition([[first], others])
        fleet.wait(fleet.put(first, "cart", b"book"))
        fleet.world.run_for(0.1)
        fleet.world.heal()
        seen = None
        while not isinstance(seen, Got) or seen.degraded:
            seen = fleet.wait(fleet.get(first, "cart")).answer
            fleet.world.run_for(0.001)
        assert seen.siblings == [b"book"]
        crash_and_wait(fleet, first)
        for name in others:
            assert read(fleet, name, "cart") == [b"book"], "it was shown, and is gone"


def repair_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QuorumRead, "behind", lambda self, owners: [])


def one_row_is_unreadable(seed: int) -> None:
    """An owner refuses each copy of one key, and takes those of all others."""
    with Fleet.running(seed, 3) as fleet:
        first, second, _ = fleet.owners("bad")
        acknowledged(fleet, first, "bad", b"", w=3)
        fleet.nodes[second].store._tables[TABLE_KV].put(partition_of("bad"), "bad", b"\xc1")
        for number in range(10):
            fleet.put(first, "bad", b"again")
            fleet.world.run_for(0.0001 * number)  # while its refusal comes back
            acknowledged(fleet, first, f"good-{number}", b"v", w=3, strict=True)


def leave_out_whoever_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "UNANSWERED", (ClusterError,))


SAFEGUARDS = [
    Safeguard(
        "a tombstone needs the votes of absence",
        "Not found needs N-W+1 complete owners, and a tombstone is an answer with a vote as a value is.",
        let_a_tombstone_count_as_a_value,
        a_tombstone_is_all_that_an_owner_has,
    ),
    Safeguard(
        "an owner that may miss hints proves no absence",
        "Not found is never said while an acknowledged value waits as a hint for the owners that answered.",
        let_owners_that_may_miss_hints_deny,
        both_owners_that_answer_may_miss_hints,
    ),
    Safeguard(
        "W counts distinct slots",
        "W counts distinct owner slots, each filled by the owner or by one fallback, each node in one slot.",
        count_copies,
        an_owner_and_its_fallback_both_acknowledge,
    ),
    Safeguard(
        "a put with --w 1 is never ok",
        "Strict reads meet every write that ended ok, so ok needs the owners of the layout's W.",
        promise_what_was_asked_for,
        one_owner_acknowledges_and_dies,
    ),
    Safeguard(
        "the hint at the deadline",
        "Every owner that did not acknowledge by the deadline gets a hint.",
        forget_who_did_not_acknowledge,
        an_owner_that_stood_still_is_left_alone,
    ),
    Safeguard(
        "holders of hints are asked",
        "What fallbacks alone took can be read while the owners are away.",
        ask_owners_only,
        all_owners_are_away,
    ),
    Safeguard(
        "read repair",
        "What one read has shown without calling it degraded, later reads show.",
        repair_nothing,
        what_a_reader_saw_is_read_again,
    ),
    Safeguard(
        "a refusal says nothing about its peer",
        "One bad row holds up nothing else: what an owner refuses for a reason of its own does not leave it out.",
        leave_out_whoever_refuses,
        one_row_is_unreadable,
    ),
]
