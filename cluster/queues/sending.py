"""Sends: what one pass brings for a queue becomes one block of one shard, one replicated write for all of it.

The node that takes a send accepts it, in one of the shards that it owns, in turn; one that owns none passes it on. So
no send waits for a node that stopped, and the shards fill evenly. Only where no owner can be reached does a node accept
for owners: what it keeps for them is a hint. An item has its number once its block is put; which numbers are given is
remembered by no row: a boot of the node, or a lost write, begins under another name (`QueueContext.actor`).

What is sent with a deduplication id goes to the giver of the shard that the id names, see `deduplication`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from cluster.chain.queue import DELAY_MAX_S, Queue
from cluster.errors import ClusterError, QueueFull, QuorumMissing, TooLarge, Unreachable, Usage, from_code
from cluster.limits import (
    DEDUP_ID_BYTES_MAX,
    HEADER_BYTES_MAX,
    HEADERS_MAX,
    QUEUE_BATCH_MAX,
    QUEUE_SHARD_BYTES_MAX,
    VALUE_BYTES_MAX,
)
from cluster.ports import Inbound, Outcome
from cluster.queues.context import QueueContext, is_refused
from cluster.queues.deduplication import Deduplication
from cluster.queues.results import HOPS_MAX, NOTHING, Gathered, Sent, refused, unknown
from cluster.queues.rows import (
    BLOCK_BYTES_MAX,
    BLOCK_ITEMS_MAX,
    Dedup,
    Item,
    block_key,
    dedup_hash,
    dedup_key,
    encode_block,
    encode_dedup,
    partition_of_shard,
)
from cluster.queues.steps import ACCEPTED
from cluster.replication.mergeable import TABLE_QUEUES
from cluster.replication.quorum import MAYBE, NO, OK, OK_SLOPPY, UNANSWERED
from cluster.replication.writer import WriteOperation
from cluster.wire.queues import Outgoing, QueueSend, QueueSent, SendResult

_WORSE: Final = {OK: 0, OK_SLOPPY: 1, MAYBE: 2}


class OpenBlock:
    """What this pass has brought so far for one queue. `shard`: it is for this one, and not for the next in turn.
    `stays`: its deduplication ids are remembered for as long as its items live."""

    __slots__ = ("items", "queue", "senders", "shard", "size", "stays")

    def __init__(self, queue: Queue, shard: int | None, stays: bool) -> None:
        self.queue = queue
        self.shard = shard
        self.stays = stays
        self.items: list[Item] = []
        self.size = 0
        self.senders: list[tuple[int, Sent]] = []
        """How many items, and who hears of them, in the order of the items."""


class Sending:
    """One node's part in sends."""

    def __init__(self, context: QueueContext) -> None:
        self.context = context
        self._open: dict[tuple[int, bool, int | None, bool], OpenBlock] = {}
        """By queue, whether they are delayed (a block that is not due is not looked into), their shard, and `stays`."""
        self._turn = 0
        self._numbers: dict[tuple[int, int], int] = {}
        """By queue and shard the next number of the present actor."""
        self._actor = context.actor
        self._mine: dict[int, list[int]] = {}
        self.deduplication = Deduplication(context, self.accept)
        context.replication.view.on_change.append(lambda entry: self._mine.clear())

    def send(self, inbound: Inbound) -> None:
        """Handle a send. Raises NotFound, and Usage or TooLarge for one that no node may take."""
        body: QueueSend = inbound.body
        if not body.hops:
            check_messages(body.messages)

        def sent(results: list[SendResult]) -> None:
            if results[0][1] == NO and all(result[1] == NO for result in results):
                inbound.fail(from_code(*results[0][4]))
            else:
                inbound.reply(QueueSent(results))

        self.deliver(body.queue, body.messages, inbound.deadline, sent, hops=body.hops, stays=body.stays)

    def deliver(
        self, name: str, messages: list[Outgoing], deadline: float, sent: Sent, *, hops: int = 0, stays: bool = False
    ) -> None:
        """Send messages. Raises NotFound. `stays`: see `QueueSend`."""
        queue = self.context.defined.get(name)
        deduplicated = [place for place, message in enumerate(messages) if message[3]]
        if not deduplicated:  # the usual case
            self._route(queue, name, messages, deadline, sent, hops)
            return
        gathered = Gathered(len(messages), sent)
        plain = [place for place, message in enumerate(messages) if not message[3]]
        if plain:
            self._route(queue, name, [messages[place] for place in plain], deadline, gathered.part(plain), hops)
        by_shard: dict[int, list[int]] = {}
        for place in deduplicated:
            by_shard.setdefault(int(dedup_hash(messages[place][3])[:8], 16) % queue.shards, []).append(place)
        for shard, places in by_shard.items():
            body = QueueSend(name, [messages[place] for place in places], hops, stays)
            self.deduplication.send(queue, body, shard, deadline, gathered.part(places))

    def _route(self, queue: Queue, name: str, messages: list[Outgoing], deadline: float, sent: Sent, hops: int) -> None:
        if self.owned(queue) or hops >= HOPS_MAX:
            self.accept(queue, messages, sent)
            return
        self._turn += 1
        owners = self.context.owners(queue.id, self._turn % queue.shards)
        owners.sort(key=self.context.is_draining)
        SendForward(self.context, owners, QueueSend(name, messages, hops + 1), deadline, sent, self._accept_all).next()

    def owned(self, queue: Queue) -> list[int]:
        """The shards of a queue that this node owns."""
        mine = self._mine.get(queue.id)
        if mine is None:
            is_mine, shards = self.context.replication.view.mine, range(queue.shards)
            mine = self._mine[queue.id] = [s for s in shards if is_mine(partition_of_shard(queue.id, s))]
        return mine

    def _accept_all(self, body: QueueSend, sent: Sent) -> None:
        """No owner took it."""
        try:
            self.accept(self.context.defined.get(body.queue), body.messages, sent)
        except ClusterError as error:
            sent(refused(error, len(body.messages)))

    # -- accepting

    def accept(
        self,
        queue: Queue,
        messages: Sequence[Outgoing],
        sent: Sent,
        shard: int | None = None,
        stays: bool = False,
    ) -> None:
        """Into the blocks of this pass, whether or not this node owns a shard of the queue."""
        if len(messages) > 1:
            runs = self._runs(queue, messages)
            if len(runs) > 1:
                gathered = Gathered(len(messages), sent)
                for places in runs:
                    self._add(queue, [messages[place] for place in places], gathered.part(places), shard, stays)
                return
        self._add(queue, messages, sent, shard, stays)

    def _runs(self, queue: Queue, messages: Sequence[Outgoing]) -> list[list[int]]:
        """The places of messages that may share a block: all delayed or none, few enough, and not too large."""
        runs: list[list[int]] = []
        last: dict[bool, tuple[list[int], int]] = {}
        for place, (body, _, delay_s, _) in enumerate(messages):
            delayed = (queue.delay_s if delay_s < 0 else delay_s) > 0
            run, size = last.get(delayed, ([], BLOCK_BYTES_MAX))
            size += len(body)
            if size > BLOCK_BYTES_MAX or len(run) == BLOCK_ITEMS_MAX:
                run, size = [], len(body)
                runs.append(run)
            run.append(place)
            last[delayed] = run, size
        return runs

    def _add(self, queue: Queue, messages: Sequence[Outgoing], sent: Sent, shard: int | None, stays: bool) -> None:
        """Messages that may share a block."""
        open, own_s = self._open, queue.delay_s
        if not open:
            self.context.tick.before_log(self._seal)
        if len(messages) == 1:
            body, headers, delay_s, dedup_id = messages[0]
            items = [Item(body, headers, int((own_s if delay_s < 0 else delay_s) * 1000), dedup_id)]
            size = len(body)
        else:
            items = [
                Item(body, headers, int((own_s if delay_s < 0 else delay_s) * 1000), dedup_id)
                for body, headers, delay_s, dedup_id in messages
            ]
            size = sum(len(item.body) for item in items)
        key = queue.id, items[0].delay_ms > 0, shard, stays
        block = open.get(key)
        if block is None or len(block.items) + len(items) > BLOCK_ITEMS_MAX or block.size + size > BLOCK_BYTES_MAX:
            if block is not None:
                self._put(block)
            block = open[key] = OpenBlock(queue, shard, stays)
        block.items += items
        block.size += size
        block.senders.append((len(items), sent))

    def _seal(self) -> None:
        """The end of the pass."""
        open, self._open = self._open, {}
        for block in open.values():
            self._put(block)

    def _put(self, block: OpenBlock) -> None:
        context, queue, items = self.context, block.queue, block.items
        count = len(items)
        try:
            shard = self._choose(queue, block.shard)
        except ClusterError as error:
            self._failed(block, error)
            return
        actor, partition = context.actor, partition_of_shard(queue.id, shard)
        if actor != self._actor:
            self._actor = actor
            self._numbers.clear()
        first = self._numbers.get((queue.id, shard), 0)
        accepted_ms = int(context.wall_s() * 1000)
        blob = encode_block(accepted_ms, accepted_ms + int(queue.retention_s * 1000), items)
        prefix = f"q{queue.id}-{shard}-{actor}-"
        mine = context.replication.view.mine(partition)
        rows = [(first + place, item.dedup_id) for place, item in enumerate(items)] if block.shard is not None else []
        verdicts: list[tuple[str, int]] = []

        def decided(outcome: str, write: WriteOperation) -> None:
            if not mine and outcome in (NO, MAYBE) and context.actor == actor:
                context.renew()  # it may be nowhere, and no number may be missing
            if outcome == NO:
                error = write.error
                reached = error is not None and not isinstance(error, UNANSWERED)
                self._failed(block, error if error is not None and reached else QuorumMissing(str(error)))
            elif rows:
                verdicts.insert(0, (outcome, len(write.filled)))
                answer_with_rows()
            else:
                answer(outcome, len(write.filled))

        def remembered(outcome: str, write: WriteOperation) -> None:
            verdicts.append((outcome if outcome in (OK, OK_SLOPPY) else MAYBE, len(write.filled)))
            answer_with_rows()

        def answer_with_rows() -> None:
            if len(verdicts) == 1 + len(rows):
                outcome = max(verdicts, key=lambda verdict: _WORSE[verdict[0]])[0]
                if outcome != MAYBE:
                    for number, dedup_id in rows:
                        key = dedup_key(queue.id, shard, dedup_id)
                        sure = Dedup(f"{prefix}{number}", accepted_ms, block.stays, sure=True)
                        context.spread(partition, key, encode_dedup(sure))
                answer(outcome, verdicts[0][1])

        def answer(outcome: str, holders: int) -> None:
            number = first
            for of_sender, sent in block.senders:
                if of_sender == 1:
                    sent([(f"{prefix}{number}", outcome, holders, False, NOTHING)])
                else:
                    numbers = range(number, number + of_sender)
                    sent([(f"{prefix}{number}", outcome, holders, False, NOTHING) for number in numbers])
                number += of_sender

        deadline = context.write_deadline()
        write = partial(context.writer.write, TABLE_QUEUES, partition, w=0, strict=False, deadline=deadline)
        try:
            write(block_key(queue.id, shard, actor, first), blob, done=decided)
        except ClusterError as error:
            self._failed(block, error)
            return
        self._numbers[queue.id, shard] = first + count
        context.steps.note(ACCEPTED, queue.id, shard, actor, range(first, first + count))
        for number, dedup_id in rows:
            row = encode_dedup(Dedup(f"{prefix}{number}", accepted_ms, block.stays))
            write(dedup_key(queue.id, shard, dedup_id), row, done=remembered)

    def _failed(self, block: OpenBlock, error: ClusterError) -> None:
        for count, sent in block.senders:
            sent(refused(error, count))

    def _choose(self, queue: Queue, wanted: int | None) -> int:
        """The shard that is wanted, if it has room; or the next in turn that has, of those that this node owns; any,
        where it owns none. Raises QueueFull, and Unreachable where it may not even accept for owners."""
        view, mine = self.context.replication.view, self.owned(queue) if wanted is None else [wanted]
        self._turn += 1
        if not mine:
            number = self._turn % queue.shards
            if view.me not in view.fallbacks(partition_of_shard(queue.id, number)):
                raise Unreachable(f"{view.me} joins or leaves, and reaches no owner of the queue")
            return number
        depth_max = queue.max_depth / queue.shards if queue.max_depth else float("inf")
        for place in range(len(mine)):
            number = mine[(self._turn + place) % len(mine)]
            shard = self.context.shards.get(queue.id, number)
            if shard is None or (shard.depth < depth_max and shard.size < QUEUE_SHARD_BYTES_MAX):
                return number
        name = self.context.defined.name_of(queue.id)
        raise QueueFull(f"the shards of {name} at {view.me} are full: messages are sent faster than they are received")


class SendForward:
    """A send at one owner after the other: the next one gets it only if the one before surely did nothing. What an
    owner that was reached refuses, as because it is full, no other node accepts in its place."""

    def __init__(
        self,
        context: QueueContext,
        owners: list[str],
        body: QueueSend,
        deadline: float,
        sent: Sent,
        accept: Callable[[QueueSend, Sent], None],
    ) -> None:
        self.context = context
        self.left = owners
        self.body = body
        self.deadline = min(deadline, context.now() + context.replication.settings.write_timeout_s)
        self.sent = sent
        self.accept = accept
        self.full: QueueFull | None = None

    def next(self) -> None:
        """Try the next owner; accept it here where none can be reached."""
        if self.left and self.context.now() < self.deadline:
            self.context.ask(self.left.pop(0), self.body, self.deadline, self._answered)
        elif self.full is not None:
            self.sent(refused(self.full, len(self.body.messages)))
        else:
            self.accept(self.body, self.sent)

    def _answered(self, outcome: Outcome) -> None:
        if isinstance(outcome, QueueSent):
            self.sent(outcome.results)
        elif isinstance(outcome, QueueFull):  # the shards of the next one may have room
            self.full = outcome
            self.next()
        elif is_refused(outcome):
            self.next()
        else:
            self.sent(unknown(outcome, len(self.body.messages)))


def check_messages(messages: Sequence[Outgoing]) -> None:
    """Raise Usage or TooLarge for what no queue takes."""
    if not 0 < len(messages) <= QUEUE_BATCH_MAX:
        raise Usage(f"1 to {QUEUE_BATCH_MAX} messages are sent at once, not {len(messages)}")
    for body, headers, delay_s, dedup_id in messages:
        if len(body) > VALUE_BYTES_MAX:
            raise TooLarge(f"a message has at most {VALUE_BYTES_MAX} bytes, this one {len(body)}")
        if not delay_s <= DELAY_MAX_S:
            raise Usage(f"a message is delayed by at most {DELAY_MAX_S:g} s, not {delay_s:g} s")
        if headers:
            size = sum(len(name.encode()) + len(value.encode()) for name, value in headers.items())
            if len(headers) > HEADERS_MAX or size > HEADER_BYTES_MAX:
                raise TooLarge(
                    f"a message has at most {HEADERS_MAX} headers of {HEADER_BYTES_MAX} bytes together, this one "
                    f"{len(headers)} of {size}"
                )
        if dedup_id and len(dedup_id.encode()) > DEDUP_ID_BYTES_MAX:
            raise TooLarge(f"a deduplication id has at most {DEDUP_ID_BYTES_MAX} bytes")
