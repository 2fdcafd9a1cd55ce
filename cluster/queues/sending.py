"""Sends: what one pass brings for a queue becomes one block of one shard, one replicated write for all of it.

The node that takes a send accepts it, in one of the shards that it owns, in turn; one that owns none passes it on. So
no send waits for a node that stopped, and the shards fill evenly. Only where no owner can be reached does a node accept
for owners: what it keeps for them is a hint. An item has its number once its block is put; which numbers are given is
remembered by no row: a boot of the node, or a lost write, begins under another name (`QueueContext.actor`).

What is sent with a deduplication id goes to the giver of the shard that the id names, see `deduplication`.
"""

from collections.abc import Callable, Sequence
from functools import partial

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
from cluster.queues.results import HOPS_MAX, NOTHING, WORSE, Gathered, Sent, refused, unknown
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
    id_prefix,
    item_id,
    partition_of_shard,
)
from cluster.queues.steps import ACCEPTED
from cluster.replication.mergeable import TABLE_QUEUES
from cluster.replication.quorum import MAYBE, NO, OK, OK_SLOPPY, UNANSWERED
from cluster.replication.writer import WriteOperation
from cluster.wire.queues import Outgoing, QueueSend, QueueSent, SendResult


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

    def refuse(self, error: ClusterError) -> None:
        """Nothing of it was accepted."""
        for count, sent in self.senders:
            sent(refused(error, count))


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
        context = self.context
        # With a full disk it keeps nothing of its own, and would need a new name for what comes next.
        if (self.owned(queue) and not context.replication.store.full) or hops >= HOPS_MAX:
            self.accept(queue, messages, sent)
            return
        self._turn += 1
        owners = [name for name in context.owners(queue.id, self._turn % queue.shards) if name != context.me]
        owners.sort(key=context.is_draining)
        SendForward(context, owners, QueueSend(name, messages, hops + 1), deadline, sent, self._accept_all).next()

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
        most = block_items_max(queue)
        runs: list[list[int]] = []
        last: dict[bool, tuple[list[int], int]] = {}
        for place, (body, _, delay_s, _) in enumerate(messages):
            delayed = (queue.delay_s if delay_s < 0 else delay_s) > 0
            run, size = last.get(delayed, ([], BLOCK_BYTES_MAX))
            size += len(body)
            if size > BLOCK_BYTES_MAX or len(run) == most:
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
        if (
            block is None
            or len(block.items) + len(items) > block_items_max(queue)
            or block.size + size > BLOCK_BYTES_MAX
        ):
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
        context, queue = self.context, block.queue
        if context.actor != self._actor:
            self._actor = context.actor
            self._numbers.clear()
        try:
            shard = self._choose(queue, block.shard, len(block.items))
            first = self._numbers.get((queue.id, shard), 0)
            BlockWrite(context, block, shard, first).start()
        except ClusterError as error:
            block.refuse(error)
            return
        self._numbers[queue.id, shard] = first + len(block.items)

    def _choose(self, queue: Queue, wanted: int | None, count: int) -> int:
        """The shard that is wanted, if it has room for so many; or the next in turn that has, of those that this node
        owns; any, where it owns none. Raises QueueFull, and Unreachable where it may not even accept for owners."""
        view, mine = self.context.replication.view, self.owned(queue) if wanted is None else [wanted]
        self._turn += 1
        if not mine:
            number = self._turn % queue.shards
            if view.me not in view.fallbacks(partition_of_shard(queue.id, number)):
                raise Unreachable(f"{view.me} joins or leaves, and reaches no owner of the queue")
            return number
        for place in range(len(mine)):
            number = mine[(self._turn + place) % len(mine)]
            shard = self.context.shards.get(queue.id, number)
            if queue.max_depth and self._depth(queue.id, number) + count > queue.shard_depth_max:
                continue
            if shard is None or shard.size < QUEUE_SHARD_BYTES_MAX:
                return number
        name = self.context.defined.name_of(queue.id)
        raise QueueFull(f"the shards of {name} at {view.me} are full: messages are sent faster than they are received")

    def _depth(self, queue: int, number: int) -> int:
        """Items of a shard, with those that were put in this pass: the shard has them at its end."""
        put, shard = self._numbers.get((queue, number), 0), self.context.shards.get(queue, number)
        return put if shard is None else shard.depth + max(0, put - shard.end(self._actor))


class BlockWrite:
    """A block on its way to W owners, with the rows of its deduplication ids: the senders hear the worst verdict of
    all."""

    __slots__ = (
        "accepted_ms",
        "actor",
        "block",
        "context",
        "dedup_ids",
        "first",
        "holders",
        "left",
        "mine",
        "partition",
        "shard",
        "worst",
    )

    def __init__(self, context: QueueContext, block: OpenBlock, shard: int, first: int) -> None:
        self.context = context
        self.block = block
        self.shard = shard
        self.first = first
        self.actor = context.actor
        self.partition = partition_of_shard(block.queue.id, shard)
        self.mine = context.replication.view.mine(self.partition)
        self.accepted_ms = int(context.wall_s() * 1000)
        # Only what was sent to this very shard is remembered: the id has named it.
        ids = [item.dedup_id for item in block.items] if block.shard is not None else []
        self.dedup_ids = [(first + place, dedup_id) for place, dedup_id in enumerate(ids)]
        self.left = 1 + len(ids)
        self.worst = OK
        self.holders = 0

    def start(self) -> None:
        """Put the block, and behind it the rows: whoever has a row has the item. Raises what refuses the block, and
        then no number was given."""
        context, block, queue = self.context, self.block, self.block.queue
        write = partial(
            context.writer.write, TABLE_QUEUES, self.partition, w=0, strict=False, deadline=context.write_deadline()
        )
        expires_ms = self.accepted_ms + int(queue.retention_s * 1000)
        blob = encode_block(self.accepted_ms, expires_ms, block.items)
        write(block_key(queue.id, self.shard, self.actor, self.first), blob, done=self._decided)
        numbers = range(self.first, self.first + len(block.items))
        context.steps.note(ACCEPTED, queue.id, self.shard, self.actor, numbers)
        for number, dedup_id in self.dedup_ids:
            try:
                write(dedup_key(queue.id, self.shard, dedup_id), self._row(number), done=self._remembered)
            except ClusterError:  # the block is on its way
                self._end_one(MAYBE)

    def _row(self, number: int, sure: bool = False) -> bytes:
        item = item_id(self.block.queue.id, self.shard, self.actor, number)
        return encode_dedup(Dedup(item, self.accepted_ms, self.block.stays, sure=sure))

    def _decided(self, outcome: str, write: WriteOperation) -> None:
        context = self.context
        if not self.mine and outcome in (NO, MAYBE) and context.actor == self.actor:
            context.renew()  # it may be nowhere, and no number may be missing
        if outcome == NO:
            error = write.error
            reached = error is not None and not isinstance(error, UNANSWERED)
            self.block.refuse(error if error is not None and reached else QuorumMissing(str(error)))
        else:
            self.holders = len(write.filled)
            self._end_one(outcome)

    def _remembered(self, outcome: str, write: WriteOperation) -> None:
        self._end_one(outcome if outcome in (OK, OK_SLOPPY) else MAYBE)

    def _end_one(self, outcome: str) -> None:
        if WORSE[outcome] > WORSE[self.worst]:
            self.worst = outcome
        self.left -= 1
        if self.left:
            return
        if self.worst != MAYBE:
            for number, dedup_id in self.dedup_ids:
                key = dedup_key(self.block.queue.id, self.shard, dedup_id)
                self.context.spread(self.partition, key, self._row(number, sure=True))
        prefix, number = id_prefix(self.block.queue.id, self.shard, self.actor), self.first
        for count, sent in self.block.senders:
            end = number + count
            sent([(f"{prefix}{each}", self.worst, self.holders, False, NOTHING) for each in range(number, end)])
            number = end


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


def block_items_max(queue: Queue) -> int:
    """Items of a block: a shard takes it whole or not at all, so it is no larger than what a shard may hold."""
    return min(BLOCK_ITEMS_MAX, queue.shard_depth_max)


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
