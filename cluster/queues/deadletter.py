"""Dead letters: what was delivered as often as its queue allows goes to another queue, and back by a redrive.

An item is sent to the target first, and only then marked as done with: never the other way round. A crash between the
two repeats the send, under the id of the item as its deduplication id, which the target remembers for as long as the
copy lives there. A redrive does the same in the other direction.
"""

from typing import Final

from cluster.chain.queue import Queue
from cluster.errors import ClusterError
from cluster.observe.events import LimitedRecorder
from cluster.queues.acking import Acking
from cluster.queues.context import QueueContext
from cluster.queues.giver import HeldItem
from cluster.queues.rows import Item, ItemBlock, item_id
from cluster.queues.sending import Sending
from cluster.queues.steps import DEAD_LETTERED
from cluster.replication.quorum import MAYBE, NO
from cluster.wire.queues import Outgoing, SendResult

SOURCE: Final = "dead-letter-source"
"""The header that names the queue that a dead letter comes from: a redrive takes it back there."""
RECEIVES: Final = "dead-letter-receives"


class DeadLetters:
    """One node's part: of the shards that it gives."""

    def __init__(self, context: QueueContext, sending: Sending, acking: Acking) -> None:
        self.context = context
        self.sending = sending
        self.acking = acking
        self._record = LimitedRecorder(context.replication.env.clock, context.record)
        self.sent: dict[tuple[int, int], int] = {}
        """How many went to another queue, by queue and shard."""

    def overdue(self, queue: Queue, shard: int, items: list[tuple[HeldItem, ItemBlock, Item]]) -> None:
        """These are leased to nobody: send them, then be done with them. What fails is found again when the leases
        end."""
        messages: list[Outgoing] = []
        numbers: list[tuple[str, int]] = []
        for held, _, item in items:
            actor, number = held.block.actor, held.number
            headers = {**(item.headers or {}), SOURCE: self.context.defined.name_of(queue.id)}
            headers[RECEIVES] = str(held.attempt - 1)
            messages.append((item.body, headers, 0.0, item_id(queue.id, shard, actor, number)))
            numbers.append((actor, number))

        def sent(results: list[SendResult]) -> None:
            done: dict[str, list[int]] = {}
            for (actor, number), result in zip(numbers, results, strict=True):
                if result[1] not in (NO, MAYBE):
                    done.setdefault(actor, []).append(number)
                else:
                    self._failed(queue, result[4][1] or "it is not known whether it took them")
            if done:
                count = sum(map(len, done.values()))
                self.sent[queue.id, shard] = self.sent.get((queue.id, shard), 0) + count
                self.acking.over(queue.id, shard, done, DEAD_LETTERED)

        try:
            self.sending.deliver(queue.dead_letter, messages, self.context.write_deadline(), sent, stays=True)
        except ClusterError as error:
            self._failed(queue, error.message)

    def _failed(self, queue: Queue, why: str) -> None:
        name = self.context.defined.name_of(queue.id)
        self._record("queue.dead-letter", f"{queue.dead_letter} did not take a message of {name}: {why}", queue=name)
