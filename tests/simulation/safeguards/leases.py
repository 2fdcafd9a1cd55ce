"""Leases of queues: a message is with one at a time, and what is done with does not come again."""

from collections.abc import Sequence
from typing import Any

import pytest

from cluster.layout import placement
from cluster.queues import deadletter, giver, rows
from cluster.queues.acking import Acking
from cluster.queues.deadletter import DeadLetters
from cluster.queues.giving import Giving
from cluster.queues.queuerows import QueueRows
from cluster.queues.receipts import Receipt, decode_receipt
from cluster.queues.receiving import Receiving
from cluster.queues.rows import partition_of_shard
from cluster.wire.queues import QueueAnswered, QueueReceived
from tests.simulation.safeguards.queuescene import ACKNOWLEDGED, jobs, with_one_copy
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.scenes import boot, settle

# -- acknowledged at W


def an_owner_acknowledges_alone_and_is_lost(seed: int) -> None:
    """It can reach nobody, has not noticed, and loses its power. What it answered ok to is done with."""
    with jobs(seed) as (fleet, scene):
        owner, other, _ = scene.owners
        scene.send_to_all(other, b"one")
        message = scene.one(owner)
        scene.apart(owner)
        outcome = scene.ack(owner, message)
        scene.lose_log(owner)
        fleet.world.run_for(3.0)
        if outcome in ACKNOWLEDGED:
            assert scene.receive(other, wait_s=2.0) == [], "what was done with came again"


# -- bits


def two_of_five_are_done_with_on_two_sides(seed: int) -> None:
    """Not the first ones. The others come."""
    with jobs(seed) as (fleet, scene):
        left, right, third = scene.owners
        scene.send_to_all(left, *(b"%d" % number for number in range(5)))
        messages = sorted(scene.receive(left), key=lambda one: one.body)
        away = scene.others
        fleet.world.partition([[left, *away[:1]], [right, third, *away[1:]]])
        assert scene.ack(left, messages[2]) != "no" and scene.ack(right, messages[4]) in ACKNOWLEDGED
        fleet.world.heal()
        settle(fleet)
        left_over = {one.body for one in scene.receive(third, wait_s=5.0)}
        assert left_over == {b"0", b"1", b"3"}


def count_the_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if what is done with were a number, and not a set."""
    merge_rows = rows.merge_rows

    def counted(held: bytes, other: bytes) -> bytes:
        if held[1] != 2 or other[1:2] != held[1:2]:
            return merge_rows(held, other)
        count = rows.decode_bits(held).bit_count() + rows.decode_bits(other).bit_count()
        return rows.encode_bits((1 << count) - 1)

    monkeypatch.setattr(QueueRows, "merge", staticmethod(counted))


# -- leases


def a_receipt_of_an_earlier_boot_gives_nothing_back(seed: int) -> None:
    """The giver counts its leases from one again: the same number, of the same message, of another boot."""
    with jobs(seed) as (fleet, scene):
        name = scene.owners[0]
        scene.send(name, b"one")
        old: dict[int, str] = {}
        for _ in range(6):
            message = scene.one(name)
            old[decode_receipt(message.receipt).counter] = message.receipt
            fleet.wait(fleet.nack(name, [message.receipt]))
        last = scene.one(name)
        old[decode_receipt(last.receipt).counter] = last.receipt
        fleet.crash(name)
        boot(fleet, name)
        settle(fleet)
        fleet.world.run_for(2.0)
        for _ in range(12):
            message = scene.one(name)
            counter = decode_receipt(message.receipt).counter
            if counter in old and decode_receipt(message.receipt).giver == name:
                answer = fleet.wait(fleet.nack(name, [old[counter]])).answer
                assert isinstance(answer, QueueAnswered) and answer.results[0][1][0] == "lease-lost", answer
                return
            fleet.wait(fleet.nack(name, [message.receipt]))
        raise AssertionError("no lease of the new boot had the number of one of the old boot")


def take_receipts_of_any_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    find = Giving.find

    def any_boot(self: Giving, receipt: Receipt) -> Any:
        fields = {name: getattr(receipt, name) for name in receipt.__struct_fields__}
        return find(self, Receipt(**{**fields, "epoch": self.context.epoch}))

    monkeypatch.setattr(Giving, "find", any_boot)


def a_giver_is_killed_while_its_lease_runs(seed: int) -> None:
    """Its successor waits for that lease."""
    with jobs(seed, visibility_s=20.0) as (fleet, scene):
        name, other, _ = scene.owners
        scene.send_to_all(other, b"one")
        scene.one(other)
        fleet.world.run_for(0.5)
        scene.lose(name)
        assert scene.receive(other, wait_s=2.0) == [], "leased to two at once"
        assert scene.receive(other, wait_s=30.0), "the lease has ended"


def note_leases_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Giving, "_write", lambda self, shard, block, notes: None)


def a_poisoned_message_and_a_new_giver(seed: int) -> None:
    """Attempts are counted on from what its predecessor noted."""
    with jobs(seed) as (fleet, scene):
        name, other, _ = scene.owners
        scene.send_to_all(other, b"one")
        assert [scene.one(other).attempt for _ in range(2)] == [1, 2]
        fleet.world.run_for(0.5)
        scene.lose(name)
        assert scene.one(other).attempt == 3


def count_attempts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(giver, "_attempts", lambda note: 0)


def a_client_that_waits_goes_away(seed: int) -> None:
    """A message comes for it through another node; somebody else gets it at once, as if it had not been given."""
    with jobs(seed, visibility_s=60.0) as (fleet, scene):
        name, other, _ = scene.owners
        via = scene.others[0]
        request = fleet.receive(via, "jobs", wait_s=10.0)
        fleet.world.run_for(0.2)
        request.link.ended = True
        scene.send(other, b"one")
        fleet.world.run_for(0.5)
        assert scene.one(name).attempt == 1


def forget_whom_a_lease_did_not_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Receiving, "release", lambda self, giver, messages: None)


# -- who gives


def an_owner_comes_back_behind(seed: int) -> None:
    """While it was away the message was done with; it is asked for more before it has caught up."""
    with jobs(seed) as (fleet, scene):
        name, other, _ = scene.owners
        scene.send_to_all(other, b"one")
        message = scene.one(other, visibility_s=0.05)
        scene.lose(name)
        assert scene.ack(other, message) in ACKNOWLEDGED
        fleet.world.run_for(1.5)
        for one in fleet.names:
            if one != name:
                fleet.world.slow(one, name, delay=0.15)
        boot(fleet, name)
        for _ in range(20):
            fleet.world.run_for(0.05)
            request = fleet.receive(name, "jobs")
            fleet.world.run_for(0.3)
            answer = request.answer
            assert not (isinstance(answer, QueueReceived) and answer.messages), "what was done with came again"


def give_without_a_vote(monkeypatch: pytest.MonkeyPatch) -> None:
    refuses = Giving.refuses
    monkeypatch.setattr(Giving, "refuses", lambda self, queue, shard, last_resort: refuses(self, queue, shard, True))


# -- dead letters


def a_giver_dies_between_the_two_steps(seed: int) -> None:
    """A message was delivered as often as allowed; its giver is killed as soon as another owner has it as done."""
    with jobs(seed, max_receives=1, dead_letter="dead", visibility_s=0.5) as (fleet, scene):
        name, other, third = scene.owners
        scene.send_to_all(other, b"one")
        message = scene.one(other)
        dead = fleet.nodes[name].defined.by_name["dead"].id
        for holder in placement(fleet.layout).owners(partition_of_shard(dead, 0)):
            for one in scene.owners:
                if holder != one:
                    fleet.world.slow(one, holder, delay=0.1)
        fleet.world.run_for(0.7)
        fleet.receive(third, "jobs")
        begun = fleet.world.now
        fleet.world.run_until_true(
            lambda: any(scene.is_done(one, message) for one in (other, third)) or fleet.world.now > begun + 1.0, 5.0, 0
        )
        scene.lose(name)
        fleet.world.heal()
        fleet.world.run_for(3.0)
        came = scene.receive(other, wait_s=2.0) or scene.receive(other, "dead", wait_s=2.0)
        assert [one.body for one in came] == [b"one"], "neither in the queue nor among the dead letters"


def a_giver_dies_when_the_letter_is_sent(seed: int) -> None:
    """Before anybody has the message as done, so its successor sends it again."""
    with jobs(seed, max_receives=1, dead_letter="dead", visibility_s=0.5) as (fleet, scene):
        name, other, third = scene.owners
        scene.send_to_all(other, b"one")
        scene.one(other)
        dead = fleet.nodes[name].defined.by_name["dead"].id
        others = [one for one in fleet.names if one != name]
        fleet.world.run_for(0.7)
        fleet.receive(third, "jobs")
        fleet.world.run_until_true(
            lambda: any(fleet.nodes[one].shards.of(dead, 0).blocks for one in others), 10.0, step=0
        )
        scene.lose(name)
        fleet.world.run_for(3.0)
        assert scene.receive(other, wait_s=2.0) == []
        assert [one.body for one in scene.receive(other, "dead", wait_s=2.0)] == [b"one"]


def send_dead_letters_without_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadletter, "item_id", lambda *given: "")


def mark_dead_letters_before_they_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    overdue = DeadLetters.overdue

    def marked_first(self: DeadLetters, queue: Any, shard: int, items: Any) -> None:
        numbers: dict[str, list[int]] = {}
        for held, _, _ in items:
            numbers.setdefault(held.block.actor, []).append(held.number)
        self.acking.mark(
            queue.id, shard, numbers, self.context.write_deadline(), lambda result: overdue(self, queue, shard, items)
        )

    monkeypatch.setattr(DeadLetters, "overdue", marked_first)


# -- late acknowledgements


def an_acknowledgement_comes_after_the_lease(seed: int) -> None:
    """The work was done all the same, and the message is leased to another by now."""
    with jobs(seed) as (fleet, scene):
        name, other, _ = scene.owners
        scene.send(other, b"one")
        slow, quick = scene.one(other), scene.one(name)
        assert (slow.id, quick.attempt) == (quick.id, 2)
        assert scene.ack(name, slow) in ACKNOWLEDGED
        fleet.world.run_for(3.0)
        assert scene.receive(other, wait_s=2.0) == [], "what was done with came again"


def acknowledge_current_leases_only(monkeypatch: pytest.MonkeyPatch) -> None:
    ack = Acking.ack

    def strict(self: Acking, inbound: Any) -> None:
        for text in inbound.body.receipts:
            self.giving.find(decode_receipt(text))
        ack(self, inbound)

    monkeypatch.setattr(Acking, "ack", strict)


SAFEGUARDS: Sequence[Safeguard] = [
    Safeguard(
        "an acknowledgement waits for W owners",
        "What was acknowledged ok is not delivered again.",
        with_one_copy(Acking, "_seal"),
        an_owner_acknowledges_alone_and_is_lost,
    ),
    Safeguard(
        "bits are joined by OR",
        "What was not acknowledged is delivered again, whatever else was.",
        count_the_bits,
        two_of_five_are_done_with_on_two_sides,
    ),
    Safeguard(
        "a receipt is of one boot of its giver",
        "Only the current lease of a message gives it back.",
        take_receipts_of_any_boot,
        a_receipt_of_an_earlier_boot_gives_nothing_back,
    ),
    Safeguard(
        "leases are noted at the other owners",
        "A successor waits for the leases of the giver before it.",
        note_leases_nowhere,
        a_giver_is_killed_while_its_lease_runs,
    ),
    Safeguard(
        "attempts are counted from the notes",
        "A message is dead-lettered after so many deliveries, whoever gave it.",
        count_attempts_anew,
        a_poisoned_message_and_a_new_giver,
    ),
    Safeguard(
        "leases that reached nobody are released",
        "A client that goes away delays no message and counts no attempt.",
        forget_whom_a_lease_did_not_reach,
        a_client_that_waits_goes_away,
    ),
    Safeguard(
        "a giver votes",
        "An owner that missed acknowledgements does not deliver what is done with.",
        give_without_a_vote,
        an_owner_comes_back_behind,
    ),
    Safeguard(
        "a dead letter is sent before it is marked",
        "A message that was delivered too often is in one queue or the other.",
        mark_dead_letters_before_they_are_sent,
        a_giver_dies_between_the_two_steps,
    ),
    Safeguard(
        "a dead letter has the id of its message",
        "A crash between the two steps repeats the first, and it collapses.",
        send_dead_letters_without_an_id,
        a_giver_dies_when_the_letter_is_sent,
    ),
    Safeguard(
        "any lease acknowledges",
        "Work that is done is not given out again, however late its worker says so.",
        acknowledge_current_leases_only,
        an_acknowledgement_comes_after_the_lease,
    ),
]
