"""Deduplication: what is sent again under an id within five minutes is the item that was accepted first.

The id names the shard, and the giver of that shard decides: the same id in two sends at once meets one node. It reads
the row of the id at so many owners that one of those which acknowledged the first send is among them, and accepts only
when none has it. The row and the block of the item are put in one pass, the block first, so whoever has the row has the
item. Found, the item is brought to the owners again: its first send may have ended as `maybe`.

Two that were accepted apart, on two sides of a partition or by a node that died with its own, merge to one row. It
names the one that W owners have, which is said by a second write of the row, or else the smaller id; the giver drops
the others, and all of them once one is done with. So it is exact while one side reaches a quorum of owners.
"""

from typing import Final, Protocol

from msgspec.structs import replace

from cluster.chain.queue import Queue
from cluster.errors import ClusterError, DeadlinePassed, Maybe, QueueFull, QuorumMissing
from cluster.ports import Outcome
from cluster.queues.context import QueueContext, is_refused
from cluster.queues.results import HOPS_MAX, NOTHING, Gathered, Sent, refused, unknown
from cluster.queues.rows import (
    Dedup,
    block_key,
    decode_dedup,
    dedup_hash,
    dedup_key,
    encode_dedup,
    parse_item_id,
    partition_of_shard,
)
from cluster.queues.shard import DEDUP_MAX, DEDUP_S
from cluster.replication.mergeable import TABLE_QUEUES
from cluster.replication.quorum import MAYBE, NO, OK
from cluster.replication.reader import ReadOperation
from cluster.replication.writer import WriteOperation
from cluster.wire.queues import Outgoing, QueueSend, QueueSent, SendResult

READ_SHARE: Final = 0.4
"""Of the time that is left, for the look before the write."""
LATE_S: Final = 0.2
"""A look that ends so long after its deadline ends at a node that did not run."""


class AcceptInShard(Protocol):
    """Takes messages into a block of that shard, and remembers their deduplication ids."""

    def __call__(self, queue: Queue, messages: list[Outgoing], sent: Sent, shard: int, stays: bool) -> None:
        """See `Sending.accept`."""


class Deduplication:
    """One node's part in sends with an id."""

    def __init__(self, context: QueueContext, accept: AcceptInShard) -> None:
        self.context = context
        self._accept = accept
        self._deciding: dict[str, list[Sent]] = {}
        """Ids that are being decided, by the key of their row, and who sent the same meanwhile."""

    def send(self, queue: Queue, body: QueueSend, shard: int, deadline: float, sent: Sent) -> None:
        """Send messages whose ids name that shard, through its giver."""
        context = self.context
        partition = partition_of_shard(queue.id, shard)
        givers = [] if body.hops >= HOPS_MAX else context.owners(queue.id, shard)
        if givers[:1] == [context.me] or (body.hops and context.replication.view.mine(partition)):
            givers = []

        def decide() -> None:
            for place, message in enumerate(body.messages):
                self._decide(queue, shard, message, body.stays, parts[place])

        def answered(outcome: Outcome) -> None:
            if isinstance(outcome, QueueSent):
                sent(outcome.results)
            elif is_refused(outcome) and context.now() < deadline:
                next()
            else:
                sent(unknown(outcome, len(body.messages)))

        def next() -> None:
            if givers and givers[0] != context.me:
                onward = QueueSend(body.queue, body.messages, body.hops + 1, body.stays)
                context.ask(givers.pop(0), onward, min(deadline, context.write_deadline()), answered)
            else:
                decide()

        gathered = Gathered(len(body.messages), sent)
        parts = [gathered.part([place]) for place in range(len(body.messages))]
        next()

    def _decide(self, queue: Queue, shard: int, message: Outgoing, stays: bool, sent: Sent) -> None:
        context, dedup_id = self.context, message[3]
        partition, key = partition_of_shard(queue.id, shard), dedup_key(queue.id, shard, dedup_id)
        if key in self._deciding:
            self._deciding[key].append(sent)
            return
        waiting = self._deciding[key] = []

        def decided(results: list[SendResult]) -> None:
            del self._deciding[key]
            sent(results)
            id, outcome, holders, _, failed = results[0]
            for again in waiting:
                again([(id, outcome, holders, True, failed)])

        def found(read: ReadOperation, error: ClusterError | None) -> None:
            # Where no quorum of owners can be reached a send is accepted all the same: at least once. Not where this
            # node stood still meanwhile: another one may have decided.
            if context.now() >= deadline + LATE_S:
                decided(refused(DeadlinePassed("the owners were asked too long whether it was sent before"), 1))
                return
            if error is not None and not isinstance(error, QuorumMissing | DeadlinePassed | Maybe):
                decided(refused(error, 1))
                return
            try:
                dedup = None if read.merged is None else decode_dedup(read.merged)
                if dedup is not None and (dedup.stays or context.wall_s() < dedup.accepted_ms / 1000 + DEDUP_S):
                    self._bring(queue.id, shard, key, dedup, decided)
                    return
                held = context.shards.of(queue.id, shard).dedup
                if len(held) >= DEDUP_MAX and dedup_hash(dedup_id) not in held:
                    raise QueueFull(f"{DEDUP_MAX} deduplication ids are remembered in a shard: send without, or later")
                self._accept(queue, [message], decided, shard, stays)
            except ClusterError as refusal:
                decided(refused(refusal, 1))

        view, settings = context.replication.view, context.replication.settings
        deadline = context.now() + READ_SHARE * (context.write_deadline() - context.now())
        context.reader.read(
            TABLE_QUEUES,
            partition,
            key,
            r=max(1, len(view.owners(partition)) - settings.w + 1),
            strict=False,
            deadline=deadline,
            done=found,
        )

    def _bring(self, queue: int, shard: int, row_key: str, dedup: Dedup, decided: Sent) -> None:
        """It was sent before: make sure that W owners have it."""
        context, item = self.context, parse_item_id(dedup.item)
        held = context.shards.of(queue, shard)
        block = held.find(item.actor, item.number)
        if block is None:
            # Consumed; or accepted by an owner whose rows have not all come here yet.
            done = held.is_done(item.actor, item.number)
            decided([(dedup.item, OK if done else MAYBE, 0, True, NOTHING)])
            return
        partition, key = partition_of_shard(queue, shard), block_key(queue, shard, item.actor, block.first)
        blob = context.replication.store.get(TABLE_QUEUES, partition, key)
        assert blob is not None

        def written(outcome: str, write: WriteOperation) -> None:
            if outcome not in (NO, MAYBE) and not dedup.sure:
                context.spread(partition, row_key, encode_dedup(replace(dedup, sure=True)))
            # A refusal says nothing of the first send.
            decided([(dedup.item, MAYBE if outcome == NO else outcome, len(write.filled), True, NOTHING)])

        try:
            context.writer.write(
                TABLE_QUEUES, partition, key, blob, w=0, strict=False, deadline=context.write_deadline(), done=written
            )
        except ClusterError as error:  # nor does one that comes at once
            decided([(dedup.item, MAYBE, 0, True, (error.code, error.message))])
