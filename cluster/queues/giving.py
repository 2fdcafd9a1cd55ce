"""What this node gives: the givers of the shards that it owns, what other nodes take from them, and who waits.

A node gives while it votes on the shard's partition and its disk takes writes: one that may have missed
acknowledgements, or cannot keep them, would deliver what is done with. Where no such owner can be reached, another one
gives all the same (`last_resort`).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from cluster.chain.queue import Queue
from cluster.env import Timer
from cluster.errors import Damaged, LeaseLost
from cluster.limits import QUEUE_RECEIVE_BYTES_MAX
from cluster.ports import Inbound
from cluster.queues.context import QueueContext
from cluster.queues.giver import Giver, HeldItem, Taken
from cluster.queues.receipts import Receipt, decode_receipt, encode_receipt
from cluster.queues.rows import (
    Item,
    ItemBlock,
    LeaseNote,
    block_key,
    decode_block,
    encode_notes,
    item_id,
    notes_key,
    partition_of_shard,
)
from cluster.queues.shard import LiveBlock, Shard
from cluster.queues.steps import EXPIRED, EXTENDED, LEASED, REPEATED, RETURNED
from cluster.replication.mergeable import TABLE_QUEUES
from cluster.wire.queues import Delivered, ShardReady, ShardRelease, ShardTake, ShardTaken

AWAIT_S: Final = 2.0
"""So long a giver remembers who waits; who waits longer asks again before."""
EXPIRED_MAX: Final = 64
"""Blocks of expired items that are ended in one go."""
REST_AFTER_S: Final = 60.0
"""A giver that nobody has taken from for so long forgets its walk."""

FULL: Final = "it is not known what else there is"
"""Why a giver has nothing, of a shard that may not be empty: too much is leased, or ended."""
TURNS_MAX: Final = 4
"""So often a giver goes on in one go that has met nothing yet."""

Overdue = Callable[[Queue, int, list[tuple[HeldItem, ItemBlock, Item]]], None]
Over = Callable[[int, int, dict[str, list[int]], str], None]
"""(queue, shard, by actor the numbers of items that are done with, why)."""


class Giving:
    """One node's givers."""

    def __init__(self, context: QueueContext) -> None:
        self.context = context
        self.on_overdue: Overdue = lambda queue, shard, items: None
        """Called with what is leased to nobody, because it was delivered as often as the queue allows."""
        self.on_over: Over = lambda queue, shard, items, what: None
        """Called with what has expired, or was sent twice."""
        self.on_visible: Callable[[int], bool] = lambda queue: False
        """(queue): there may be something to take here; whether anybody here still waits."""
        self._givers: dict[int, dict[int, Giver]] = {}
        self._taken_at: dict[tuple[int, int], float] = {}
        self._waiting: dict[int, dict[str, float]] = {}
        """By queue the nodes that wait, and until when; the empty name is this one."""
        self._woken: dict[int, None] = {}
        self._timers: dict[int, Timer] = {}
        self._turn = 0
        context.defined.on_change.append(self._forget_deleted)

    def giver(self, queue: int, shard: int) -> Giver:
        """Of a shard that this node owns."""
        givers = self._givers.setdefault(queue, {})
        giver = givers.get(shard)
        if giver is None:
            of = self.context.shards.of(queue, shard)
            giver = givers[shard] = Giver(
                of, self.context.me, self.context.epoch, self.context.counter, partial(self._load, of), self._wake
            )
        return giver

    def known(self, queue: int, shard: int) -> Giver | None:
        """The giver of a shard that something was taken of."""
        return self._givers.get(queue, {}).get(shard)

    def refuses(self, queue: int, shard: int, last_resort: bool) -> str:
        """Why this node gives nothing of a shard; empty when it does."""
        replication, partition = self.context.replication, partition_of_shard(queue, shard)
        if not replication.view.mine(partition):
            return f"{self.context.me} is no owner"
        if last_resort:
            return ""
        if replication.store.full:
            return f"the disk of {self.context.me} is full"
        return "" if replication.status.votes(partition) else f"{self.context.me} does not vote"

    def take(
        self,
        queue: Queue,
        shards: Sequence[int],
        count: int,
        visibility_s: float,
        receiver: str = "",
        last_resort: bool = False,
        bytes_max: int = QUEUE_RECEIVE_BYTES_MAX,
    ) -> tuple[list[Delivered], dict[int, str]]:
        """Lease up to `count` items of these shards, the last of which may go beyond `bytes_max`; and those of the
        shards that this node does not give of."""
        context = self.context
        delivered: list[Delivered] = []
        refused: dict[int, str] = {}
        now, wall_ms = context.now(), int(context.wall_s() * 1000)
        expires = context.is_clock_right()
        visibility_s = visibility_s or queue.visibility_s
        self._turn += 1
        start = self._turn % len(shards)
        for number in (*shards[start:], *shards[:start]):
            why = self.refuses(queue.id, number, last_resort)
            if why:
                refused[number] = why
                continue
            self._taken_at[queue.id, number] = now
            if len(delivered) >= count or bytes_max <= 0:
                continue
            giver = self.giver(queue.id, number)
            for _ in range(TURNS_MAX):
                taken = giver.take(
                    count - len(delivered),
                    now,
                    wall_ms,
                    visibility_s,
                    receiver=receiver,
                    max_receives=queue.max_receives,
                    expires=expires,
                    bytes_max=bytes_max,
                )
                bytes_max -= taken.size
                delivered += self._taken(queue, giver, taken, now, wall_ms + int(visibility_s * 1000))
                if not taken.more or taken.leases:
                    break
            if (giver.is_full or taken.more) and not taken.leases:
                refused[number] = FULL
        return delivered, refused

    def _taken(self, queue: Queue, giver: Giver, taken: Taken, now: float, until_ms: int) -> list[Delivered]:
        """Write down what was leased, and have what was met besides dealt with."""
        number = giver.shard.number
        if taken.leases or taken.overdue:
            self._write_notes(giver, [held for held, _, _ in (*taken.leases, *taken.overdue)], now)
        if taken.overdue:
            self.on_overdue(queue, number, taken.overdue)
        self._end(queue.id, number, taken.expired, EXPIRED)
        self._end(queue.id, number, taken.repeated, REPEATED)
        return [self._delivered(giver.shard, held, block, item, until_ms) for held, block, item in taken.leases]

    def _end(self, queue: int, shard: int, items: Sequence[tuple[LiveBlock, int]], what: str) -> None:
        """These are done with, and were given to nobody."""
        over: dict[str, list[int]] = {}
        for block, index in items:
            over.setdefault(block.actor, []).append(block.first + index)
        if over:
            self.on_over(queue, shard, over, what)

    def on_take(self, inbound: Inbound) -> None:
        """Another node takes for its clients."""
        body: ShardTake = inbound.body
        queue = self.context.queue_of(body.queue)
        messages, refused = self.take(queue, body.shards, body.max, body.visibility_s, body.receiver, body.last_resort)
        if not messages and body.wait:
            self.wait(queue.id, inbound.sender)
        inbound.reply(ShardTaken(messages, refused))

    # -- what becomes of leases

    def find(self, receipt: Receipt) -> tuple[Giver, HeldItem]:
        """The lease that a receipt names. Raises LeaseLost unless it is the current one of its item, and of this boot
        of this node."""
        context, partition = self.context, partition_of_shard(receipt.queue, receipt.shard)
        if (receipt.giver, receipt.epoch) == (context.me, context.epoch) and context.replication.view.mine(partition):
            giver = self.known(receipt.queue, receipt.shard)
            held = giver and giver.lease(receipt.actor, receipt.number, receipt.counter, context.now())
            if giver and held:
                return giver, held
        raise LeaseLost("the lease has ended: the message was acknowledged, or may have been delivered again")

    def put_back(self, receipt: Receipt, delay_s: float, begun: bool) -> None:
        """Raises LeaseLost."""
        giver, held = self.find(receipt)
        if begun:
            self._note(giver, held, giver.put_back(held, self.context.now(), delay_s), RETURNED, delay_s=delay_s)
        else:
            self._note(giver, held, giver.release(held), RETURNED, why="nobody began with it")
        self._wake(receipt.queue)

    def extend(self, receipt: Receipt, visibility_s: float) -> None:
        """Raises LeaseLost."""
        giver, held = self.find(receipt)
        self._note(giver, held, giver.extend(held, self.context.now(), visibility_s), EXTENDED, by_s=visibility_s)

    def release(self, receipts: Sequence[str]) -> None:
        """These leases of this node reached nobody."""
        for text in receipts:
            receipt = decode_receipt(text)
            try:
                giver, held = self.find(receipt)
            except LeaseLost:
                continue
            self._note(giver, held, giver.release(held), RETURNED, why="it reached nobody")
            self._wake(receipt.queue)

    def on_release(self, inbound: Inbound) -> None:
        """Leases that another node took reached nobody."""
        body: ShardRelease = inbound.body
        self.release(body.receipts)

    # -- who waits

    def wait(self, queue: int, node: str = "") -> None:
        """A node, or this one, wants to hear when there may be something to take."""
        self._waiting.setdefault(queue, {})[node] = self.context.now() + AWAIT_S
        self._arm(queue)

    def _arm(self, queue: int) -> None:
        """Wake when the next lease ends."""
        now = self.context.now()
        times = [at for giver in self._asked(queue, now) if (at := giver.next_at()) is not None and at > now]
        timer = self._timers.pop(queue, None)
        if timer is not None:
            timer.cancel()
        if times and queue in self._waiting:
            self._timers[queue] = self.context.replication.env.clock.call_at(min(times), self._wake, queue)

    def _asked(self, queue: int, now: float) -> list[Giver]:
        """The givers that somebody has asked lately. Who waits asks now and then; where another node is asked instead,
        what becomes visible here is of no use to anybody."""
        taken_at = self._taken_at
        return [
            giver
            for shard, giver in self._givers.get(queue, {}).items()
            if taken_at.get((queue, shard), 0.0) > now - AWAIT_S
        ]

    def _wake(self, queue: int) -> None:
        """There may be something: after this pass, once it is in the log."""
        if queue in self._waiting and queue not in self._woken:
            if not self._woken:
                self.context.replication.env.clock.call_soon(self._serve)
            self._woken[queue] = None

    def _serve(self) -> None:
        woken, self._woken = self._woken, {}
        for queue in woken:
            waiting = self._waiting.pop(queue, {})
            if waiting.pop("", 0.0) and self.on_visible(queue):
                self.wait(queue)
            now = self.context.now()
            if any(giver.may_give(now) for giver in self._asked(queue, now)):
                for node, until in waiting.items():
                    if until > now:
                        self.context.replication.messenger.send(node, ShardReady(queue))
            elif waiting:
                self._waiting.setdefault(queue, {}).update(waiting)
                self._arm(queue)

    def expire(self) -> bool:
        """Be done with a slice of what has expired, though nobody receives it; whether there may be more. What is
        given is looked at when it is."""
        context = self.context
        wall_ms, left = int(context.wall_s() * 1000), EXPIRED_MAX
        if not context.is_clock_right():
            return False
        for queue, givers in self._givers.items():
            for number, giver in givers.items():
                self._end(queue, number, giver.repeated(), REPEATED)
        for shard in context.shards.all():
            queue, number = shard.queue, shard.number
            over: dict[str, list[int]] = {}
            for block in shard.blocks.values():
                if block.expires_ms > wall_ms or not left:
                    break  # they stand about in the order of their age
                left -= 1
                numbers = [block.first + place for place in range(block.count) if block.undone >> place & 1]
                over.setdefault(block.actor, []).extend(numbers)
            if over and context.owners(queue, number)[:1] == [context.me] and not self.refuses(queue, number, False):
                self.on_over(queue, number, over, EXPIRED)
        return not left

    def rest(self) -> None:
        """Once a minute or so: what nobody has taken from for a while need not be followed."""
        before = self.context.now() - REST_AFTER_S
        for (queue, shard), taken_at in list(self._taken_at.items()):
            if taken_at < before:
                del self._taken_at[queue, shard]
                if (giver := self.known(queue, shard)) is not None:
                    giver.rest()

    def _forget_deleted(self) -> None:
        for queue in [queue for queue in self._givers if self.context.defined.is_deleted(queue)]:
            del self._givers[queue]
            self._waiting.pop(queue, None)

    # -- rows

    def _load(self, shard: Shard, block: LiveBlock) -> ItemBlock | None:
        key = block_key(shard.queue, shard.number, block.actor, block.first)
        blob = self.context.replication.store.get(TABLE_QUEUES, partition_of_shard(shard.queue, shard.number), key)
        try:
            return None if blob is None else decode_block(blob)
        except Damaged:
            return None  # said by who finds it: the scrubber, or whoever compares

    def _delivered(self, shard: Shard, held: HeldItem, block: ItemBlock, item: Item, until_ms: int) -> Delivered:
        actor, number = held.block.actor, held.block.first + held.index
        receipt = Receipt(shard.queue, shard.number, actor, number, self.context.me, self.context.epoch, held.counter)
        return Delivered(
            item_id(shard.queue, shard.number, actor, number),
            item.body,
            item.headers,
            held.attempt,
            encode_receipt(receipt),
            block.accepted_ms,
            until_ms,
            item.dedup_id,
        )

    def _write_notes(self, giver: Giver, leases: list[HeldItem], now: float) -> None:
        by_block: dict[LiveBlock, dict[int, LeaseNote]] = {}
        for held in leases:
            by_block.setdefault(held.block, {})[held.index] = giver.note_of(held, now)
        for block, notes in by_block.items():
            self._write(giver.shard, block, notes)
            numbers, receiver = [block.first + index for index in notes], leases[0].receiver
            self.context.steps.note(LEASED, giver.shard.queue, giver.shard.number, block.actor, numbers, to=receiver)

    def _note(self, giver: Giver, held: HeldItem, note: LeaseNote, what: str, **details: Any) -> None:
        shard = giver.shard
        self._write(shard, held.block, {held.index: note})
        self.context.steps.note(what, shard.queue, shard.number, held.block.actor, [held.number], **details)

    def _write(self, shard: Shard, block: LiveBlock, notes: dict[int, LeaseNote]) -> None:
        partition = partition_of_shard(shard.queue, shard.number)
        key = notes_key(shard.queue, shard.number, block.actor, block.first)
        self.context.spread(partition, key, encode_notes(notes))
