"""Purge: all messages that a queue has now are done with, and those that are sent meanwhile may stay.

An owner of each shard first finds together with the others, as a receive does before it says *empty*; then it marks all
that it knows of every actor. An item that is only at nodes which are out of sight comes back with them: where there may
be such, the purge ends as `maybe`.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from cluster.chain.queue import Queue
from cluster.errors import ClusterError, Maybe, QuorumMissing, from_code
from cluster.ports import Inbound, Outcome
from cluster.queues.acking import Marking, failed
from cluster.queues.context import ANSWER_S, QueueContext
from cluster.queues.looking import Looking
from cluster.queues.results import NOTHING
from cluster.queues.rows import (
    CHUNK_BITS,
    bits_key,
    decode_bits,
    encode_bits,
    encode_floor,
    floor_key,
    partition_of_shard,
)
from cluster.queues.steps import PURGED
from cluster.replication.mergeable import TABLE_QUEUES
from cluster.replication.quorum import MAYBE, NO, OK, OK_SLOPPY
from cluster.replication.writer import WriteOperation
from cluster.wire.admin import AdminAnswer, read_arguments
from cluster.wire.queues import ReturnResult, ShardPurge, ShardPurged

HIDDEN: Final = "purged what can be reached; too few members answer to rule out that shards {} hold more"


class PurgeQuery(Struct):
    """The queue to purge."""

    name: str


class Purging:
    """One node's purges."""

    def __init__(self, context: QueueContext, looking: Looking) -> None:
        self.context = context
        self.looking = looking

    def answer(self, arguments: Mapping[str, Any], inbound: Inbound) -> None:
        """Have all shards purged, each by an owner; the answer says how many messages there were. Raises NotFound."""
        context = self.context
        queue = context.defined.get(read_arguments(dict(arguments), PurgeQuery).name)
        by_owner: dict[str, list[int]] = {}
        for shard in range(queue.shards):
            owners = context.owners(queue.id, shard)
            if not owners:
                raise QuorumMissing(f"no owner of shard {shard} of {context.defined.name_of(queue.id)} can be reached")
            owner = context.me if context.me in owners else owners[0]
            by_owner.setdefault(owner, []).append(shard)
        deadline, left, total = inbound.deadline - ANSWER_S, len(by_owner), 0
        worst: ReturnResult = (OK, NOTHING)

        def purged(outcome: Outcome) -> None:
            nonlocal left, total, worst
            result = outcome.result if isinstance(outcome, ShardPurged) else failed(outcome)
            total += outcome.count if isinstance(outcome, ShardPurged) else 0
            if result[0] not in (OK, OK_SLOPPY):
                worst = result
            left -= 1
            if left:
                return
            if worst[0] not in (OK, OK_SLOPPY):
                code, message = worst[1]
                inbound.fail(from_code(code or "maybe", message or "it is not known whether all shards were purged"))
            else:
                inbound.reply(AdminAnswer({"queue": context.defined.name_of(queue.id), "purged": total}))

        for owner, shards in by_owner.items():
            if owner == context.me:
                self._purge(queue, shards, deadline, purged)
            else:
                context.ask(owner, ShardPurge(queue.id, shards), deadline, purged)

    def on_purge(self, inbound: Inbound) -> None:
        """Another node was asked. Raises NotFound."""
        body: ShardPurge = inbound.body

        def purged(outcome: Outcome) -> None:
            assert isinstance(outcome, ShardPurged)
            inbound.reply(outcome)

        self._purge(self.context.queue_of(body.queue), body.shards, inbound.deadline - ANSWER_S, purged)

    def _purge(self, queue: Queue, shards: list[int], deadline: float, purged: Callable[[Outcome], None]) -> None:
        """Of shards that this node owns."""

        def looked(unreachable: list[int]) -> None:
            rows = [(shard, key, row, here) for shard in shards for key, row, here in self._rows(queue.id, shard)]
            count = sum(self.context.shards.of(queue.id, shard).depth for shard in shards)
            marking = Marking(len(rows) + 1, lambda result: purged(ShardPurged(count, result)))
            marking.decided(
                (MAYBE, (Maybe.code, HIDDEN.format(", ".join(map(str, unreachable))))) if unreachable else (OK, NOTHING)
            )
            for shard, key, row, here in rows:
                self._write(partition_of_shard(queue.id, shard), key, row, here, marking)

        self.looking.look(queue, deadline, looked)

    def _rows(self, queue: int, number: int) -> Iterator[tuple[str, bytes, bytes]]:
        """What marks all that is known of a shard: keys, rows for the others, and what they make of the rows here."""
        context, shard = self.context, self.context.shards.of(queue, number)
        for actor in shard.actors():
            end = shard.end(actor)
            context.steps.note(PURGED, queue, number, actor, range(end))
            floor, rest = divmod(end, CHUNK_BITS)
            if floor > (shard.done[actor].floor if actor in shard.done else 0):
                row = encode_floor(floor)
                yield floor_key(queue, number, actor), row, row
            if rest:
                key, bits = bits_key(queue, number, actor, floor), (1 << rest) - 1
                held = context.replication.store.get(TABLE_QUEUES, partition_of_shard(queue, number), key)
                yield key, encode_bits(bits), encode_bits(bits if held is None else bits | decode_bits(held))

    def _write(self, partition: int, key: str, row: bytes, here: bytes, marking: Marking) -> None:
        def decided(outcome: str, write: WriteOperation) -> None:
            marking.decided((outcome, NOTHING) if outcome != NO else failed(QuorumMissing(str(write.error))))

        try:
            self.context.writer.write(
                TABLE_QUEUES, partition, key, row, w=0, strict=False, deadline=self.context.write_deadline(),
                done=decided, here=here,
            )  # fmt: skip
        except ClusterError as error:
            marking.decided(failed(error))
