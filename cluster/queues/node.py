"""The queues of one node, assembled: what clients and other nodes ask of them, and what it says about them."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from cluster.errors import NotFound
from cluster.queues.acking import Acking
from cluster.queues.context import QueueContext
from cluster.queues.deadletter import DeadLetters
from cluster.queues.giving import Giving
from cluster.queues.looking import Looking
from cluster.queues.purging import Purging
from cluster.queues.receiving import Receiving
from cluster.queues.redriving import Redriving
from cluster.queues.results import refused
from cluster.queues.rows import partition_of_shard
from cluster.queues.sending import Sending
from cluster.wire.queues import (
    Outgoing,
    QueueAck,
    QueueExtend,
    QueueReceive,
    QueueReturn,
    QueueSend,
    SendResult,
    ShardDone,
    ShardLook,
    ShardPurge,
    ShardReady,
    ShardRelease,
    ShardTake,
)

REST_S: Final = 30.0
EXPIRE_S: Final = 1.0
GIVEN: Final = ("depth", "in_flight", "redelivered", "dead")

Bound = tuple[str, str, str]
"""A queue, the id of a message there, and the outcome as of a send."""


class NodeQueues:
    """Work queues at one node."""

    def __init__(self, context: QueueContext) -> None:
        self.context = context
        self.giving = Giving(context)
        self.acking = Acking(context, self.giving)
        self.sending = Sending(context)
        self.dead_letters = DeadLetters(context, self.sending, self.acking)
        self.looking = Looking(context)
        self.receiving = Receiving(context, self.giving, self.looking)
        self.purging = Purging(context, self.looking)
        self.redriving = Redriving(context, self.receiving, self.sending, self.acking)
        self.giving.on_overdue = self.dead_letters.overdue
        self.giving.on_over = self.acking.over
        handle = context.replication.messenger.handle
        handle(QueueSend, self.sending.send)
        handle(QueueReceive, self.receiving.receive)
        handle(QueueAck, self.acking.ack)
        handle(QueueReturn, self.acking.put_back)
        handle(QueueExtend, self.acking.extend)
        handle(ShardTake, self.giving.on_take)
        handle(ShardRelease, self.giving.on_release)
        handle(ShardReady, self.receiving.on_ready)
        handle(ShardDone, self.acking.on_done)
        handle(ShardLook, self.looking.on_look)
        handle(ShardPurge, self.purging.on_purge)

    def start(self) -> None:
        """Once the store has recovered."""
        clock = self.context.replication.env.clock
        clock.call_later(REST_S, self._rest)
        clock.call_later(EXPIRE_S, self._expire)

    def _expire(self) -> None:
        more = self.giving.expire()
        self.context.replication.env.clock.call_later(EXPIRE_S / 10 if more else EXPIRE_S, self._expire)

    def _rest(self) -> None:
        self.giving.rest()
        self.context.replication.env.clock.call_later(REST_S, self._rest)

    def publish(
        self, queues: Sequence[str], message: Outgoing, deadline: float, done: Callable[[list[Bound]], None]
    ) -> None:
        """Send a message that was published to the queues that are bound to its subject; `done` with what became of
        it in each."""
        taken: dict[str, Bound] = {}

        def sent(queue: str, results: list[SendResult]) -> None:
            id, outcome = results[0][:2]
            taken[queue] = queue, id, outcome
            if len(taken) == len(queues):
                done([taken[queue] for queue in queues])

        for queue in queues:
            try:
                self.sending.deliver(queue, [message], deadline, partial(sent, queue))
            except NotFound as error:  # it was deleted just now
                sent(queue, refused(error, 1))

    def given(self) -> dict[str, dict[str, int]]:
        """Of each queue the figures of the shards that this node gives of, together; the nodes' add up to the queue's.
        Queues without any are left out."""
        found: dict[str, dict[str, int]] = {}
        for name in self.context.defined.by_name:
            shards = [one for one in self.stats(name).values() if one["gives"]]
            if shards:
                found[name] = {what: sum(one[what] for one in shards) for what in GIVEN}
        return found

    def stats(self, name: str) -> dict[int, dict[str, Any]]:
        """Of each shard of a queue that this node owns: whether it gives of it, and what it knows. What it counts, it
        counts since its boot. Raises NotFound."""
        context, queue = self.context, self.context.defined.get(name)
        found: dict[int, dict[str, Any]] = {}
        now, wall_ms = context.now(), int(context.wall_s() * 1000)
        for number in self.sending.owned(queue):
            shard = context.shards.of(queue.id, number)
            giver = self.giving.known(queue.id, number)
            owners = context.owners(queue.id, number)
            votes = context.replication.status.votes(partition_of_shard(queue.id, number))
            oldest = next(iter(shard.blocks.values()), None)
            found[number] = {
                "gives": votes and owners[:1] == [context.me],
                "depth": shard.depth,
                "bytes": shard.size,
                "in_flight": giver.in_flight(now) if giver is not None else 0,
                "oldest_s": None if oldest is None else max(0.0, (wall_ms - oldest.accepted_ms) / 1000),
                "redelivered": giver.redelivered if giver is not None else 0,
                "dead": self.dead_letters.sent.get((queue.id, number), 0),
            }
        return found
