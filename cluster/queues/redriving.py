"""Redrive: dead letters go back to the queues that they came from, or to another one.

As dead letters themselves: leased, sent under an id that names the dead letter, and only then marked as done with. Each
is a new item there, which was never delivered.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from cluster.chain.queue import Queue
from cluster.errors import ClusterError, Usage, from_code
from cluster.ports import Inbound
from cluster.queues.acking import Acking
from cluster.queues.context import ANSWER_S, QueueContext
from cluster.queues.deadletter import RECEIVES, SOURCE
from cluster.queues.receipts import decode_receipt
from cluster.queues.receiving import Receiving
from cluster.queues.sending import Sending
from cluster.queues.steps import REDRIVEN
from cluster.replication.quorum import MAYBE, NO
from cluster.wire.admin import AdminAnswer, read_arguments
from cluster.wire.queues import Delivered, Outgoing, QueueReceive, QueueReceived, ReturnResult, SendResult

BATCH: Final = 64
VISIBILITY_S: Final = 30.0
STEP_S: Final = 2.5
"""No step is begun with less time left: a look for more, a send, and marking what was sent."""


class RedriveQuery(Struct):
    """`to`: empty for where each came from. `limit`: 0 for all."""

    name: str
    to: str = ""
    limit: int = 0


class Redriving:
    """One node's redrives."""

    def __init__(self, context: QueueContext, receiving: Receiving, sending: Sending, acking: Acking) -> None:
        self.context = context
        self.receiving = receiving
        self.sending = sending
        self.acking = acking

    def answer(self, arguments: Mapping[str, Any], inbound: Inbound) -> None:
        """Move as many as can be within the deadline; the answer says whether there may be more. Raises NotFound and
        Usage."""
        query = read_arguments(dict(arguments), RedriveQuery)
        queue = self.context.defined.get(query.name)
        if query.to:
            self.context.defined.get(query.to)
        if query.to == query.name:
            raise Usage(f"the messages of {query.name} would go where they are")
        if query.limit < 0:
            raise Usage("the limit is the number of messages to move, 1 or more")
        Redrive(self, query, queue, inbound).next()


class Redrive:
    """One under way."""

    def __init__(self, redriving: Redriving, query: RedriveQuery, queue: Queue, inbound: Inbound) -> None:
        self.redriving = redriving
        self.context = redriving.context
        self.query = query
        self.queue = queue
        self.inbound = inbound
        self.moved = 0
        self.waiting = 0
        self.error: ClusterError | None = None

    def next(self) -> None:
        """One batch more."""
        left = self.query.limit - self.moved if self.query.limit else BATCH
        deadline = self.inbound.deadline - ANSWER_S
        if left <= 0 or self.error is not None or self.context.now() > deadline - STEP_S:
            self._end(left=True)
            return
        body = QueueReceive(self.query.name, min(left, BATCH), 0.0, VISIBILITY_S, "redrive")
        self.redriving.receiving.begin(self.queue, body, self.context.now(), deadline, self._received)

    def _received(self, received: QueueReceived) -> bool:
        if not received.messages:
            self._end(left=bool(received.shards_unreachable))
            return True
        by_target: dict[str, list[Delivered]] = {}
        for message in received.messages:
            target = self.query.to or (message.headers or {}).get(SOURCE, "")
            by_target.setdefault(target, []).append(message)
        self.waiting = len(by_target)
        for target, messages in by_target.items():
            self._send(target, messages)
        return True

    def _send(self, target: str, messages: list[Delivered]) -> None:
        outgoing: list[Outgoing] = []
        for message in messages:
            headers = {name: text for name, text in (message.headers or {}).items() if name not in (SOURCE, RECEIVES)}
            outgoing.append((message.body, headers or None, 0.0, f"redrive:{message.id}"))

        def sent(results: list[SendResult]) -> None:
            done: dict[int, dict[str, list[int]]] = {}
            failed: list[Delivered] = []
            for message, (_, outcome, _, _, (code, text)) in zip(messages, results, strict=True):
                if outcome in (NO, MAYBE):
                    failed.append(message)
                    self.error = from_code(code or "maybe", text or f"it is not known whether {target} took a message")
                else:
                    receipt = decode_receipt(message.receipt)
                    done.setdefault(receipt.shard, {}).setdefault(receipt.actor, []).append(receipt.number)
                    self.moved += 1
            self._give_back(failed)
            self.waiting += len(done) - 1
            for shard, numbers in done.items():
                deadline = self.context.write_deadline()
                self.redriving.acking.mark(self.queue.id, shard, numbers, deadline, self._marked, REDRIVEN)
            if not self.waiting:
                self.next()

        try:
            if not target:
                raise Usage(f"message {messages[0].id} does not say where it came from: name a queue with --to")
            self.redriving.sending.deliver(target, outgoing, self.context.write_deadline(), sent)
        except ClusterError as error:
            self.error = error
            self._give_back(messages)
            self._marked(("", ("", "")))

    def _marked(self, result: ReturnResult) -> None:
        """What could not be marked is sent again, under the same id."""
        self.waiting -= 1
        if not self.waiting:
            self.next()

    def _give_back(self, messages: list[Delivered]) -> None:
        by_giver: dict[str, list[Delivered]] = {}
        for message in messages:
            by_giver.setdefault(decode_receipt(message.receipt).giver, []).append(message)
        for giver, given in by_giver.items():
            self.redriving.receiving.release(giver, given)

    def _end(self, left: bool) -> None:
        if self.error is not None and not self.moved:
            self.inbound.fail(self.error)
            return
        answer = {"from": self.query.name, "to": self.query.to or None, "moved": self.moved, "left": left}
        self.inbound.reply(AdminAnswer(answer))
