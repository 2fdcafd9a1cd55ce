"""Acknowledgements, returns and extensions.

To acknowledge an item is to set its bit at W owners: any owner does it, from any lease of the item, any number of
times. All that one pass brings for a chunk of bits is one write. The owners are sent the new bits alone; each joins
them to what it has. A return and an extension are of the current lease, and go to the node that gave it.
"""

from collections.abc import Callable, Sequence
from functools import partial

from cluster.chain.queue import VISIBILITY_MAX_S
from cluster.errors import ClusterError, LeaseLost, Maybe, QuorumMissing, Usage
from cluster.limits import QUEUE_BATCH_MAX
from cluster.ports import Inbound, Outcome
from cluster.queues.context import QueueContext, is_refused
from cluster.queues.done import chunks_of
from cluster.queues.giving import Giving
from cluster.queues.receipts import Receipt, decode_receipt
from cluster.queues.results import NOTHING, WORSE
from cluster.queues.rows import bits_key, decode_bits, encode_bits, partition_of_shard
from cluster.queues.steps import ACKNOWLEDGED
from cluster.replication.mergeable import TABLE_QUEUES
from cluster.replication.quorum import MAYBE, NO, OK, UNANSWERED
from cluster.replication.writer import WriteOperation
from cluster.wire.queues import QueueAck, QueueAnswered, QueueExtend, QueueReturn, ReturnResult, ShardDone

Marked = Callable[[ReturnResult], None]
Numbers = dict[str, list[int]]
"""By actor the numbers of items."""


class Marking:
    """Items that one request marks: the worst verdict of their rows is its own."""

    __slots__ = ("done", "left", "worst")

    def __init__(self, left: int, done: Marked) -> None:
        self.left = left
        self.done = done
        self.worst: ReturnResult = (OK, NOTHING)

    def decided(self, result: ReturnResult) -> None:
        """Of one row."""
        if WORSE[result[0]] > WORSE[self.worst[0]]:
            self.worst = result
        self.left -= 1
        if not self.left:
            self.done(self.worst)


class Acking:
    """One node's part."""

    def __init__(self, context: QueueContext, giving: Giving) -> None:
        self.context = context
        self.giving = giving
        self._open: dict[tuple[int, int, str, int], tuple[int, list[Marking]]] = {}
        """What this pass has brought: by queue, shard, actor and chunk the bits, and who hears of them."""

    def ack(self, inbound: Inbound) -> None:
        """Handle acknowledgements."""
        body: QueueAck = inbound.body
        answers = ReceiptResults(inbound, body.receipts)
        groups: dict[tuple[int, int], tuple[Numbers, list[int]]] = {}
        for place, receipt in answers.receipts():
            numbers, places = groups.setdefault((receipt.queue, receipt.shard), ({}, []))
            numbers.setdefault(receipt.actor, []).append(receipt.number)
            places.append(place)
        for (queue, shard), (numbers, places) in groups.items():
            self.mark(queue, shard, numbers, inbound.deadline, partial(answers.all, places))
        answers.begun()

    def on_done(self, inbound: Inbound) -> None:
        """Another node passes on what its clients acknowledged. Raises NotFound."""
        body: ShardDone = inbound.body
        self.context.queue_of(body.queue)
        self._set(body.queue, body.shard, body.items, lambda result: inbound.reply(QueueAnswered([result])))

    def mark(
        self, queue: int, shard: int, items: Numbers, deadline: float, marked: Marked, what: str = ACKNOWLEDGED
    ) -> None:
        """Have these items of a shard done with, at W owners. `what` says why, for people."""
        context = self.context
        try:
            context.queue_of(queue)
        except ClusterError as error:
            marked(failed(error))
            return
        if context.replication.view.mine(partition_of_shard(queue, shard)):
            self._set(queue, shard, items, marked, what)
            return
        deadline = min(deadline, context.write_deadline())
        asked: list[str] = []
        doubt: ReturnResult | None = None

        def next() -> None:
            left = [name for name in context.owners(queue, shard) if name not in asked]
            if left and context.now() < deadline:
                asked.append(left[0])
                context.ask(left[0], ShardDone(queue, shard, items), deadline, answered)
            else:
                self._set(queue, shard, items, decided, what)

        def answered(outcome: Outcome) -> None:
            nonlocal doubt
            if isinstance(outcome, QueueAnswered):
                decided(outcome.results[0])
            elif is_refused(outcome):
                next()
            elif isinstance(outcome, Maybe):  # another owner may set the same bits again
                doubt = failed(outcome)
                next()
            else:
                decided(failed(outcome))

        def decided(result: ReturnResult) -> None:
            marked(doubt if doubt is not None and result[0] == NO else result)

        next()

    def over(self, queue: int, shard: int, items: Numbers, what: str) -> None:
        """These are done with, and nobody waits for it: what fails is found again."""
        self.mark(queue, shard, items, self.context.write_deadline(), lambda result: None, what)

    def _set(self, queue: int, shard: int, items: Numbers, marked: Marked, what: str = ACKNOWLEDGED) -> None:
        for actor, numbers in items.items():
            self.context.steps.note(what, queue, shard, actor, numbers)
        chunks = [(actor, chunk, bits) for actor in items for chunk, bits in chunks_of(items[actor]).items()]
        marking = Marking(len(chunks), marked)
        open = self._open
        if not open:
            self.context.tick.before_log(self._seal)
        for actor, chunk, bits in chunks:
            key = queue, shard, actor, chunk
            others = open.get(key)
            if others is None:
                open[key] = bits, [marking]
            else:
                others[1].append(marking)
                open[key] = others[0] | bits, others[1]

    def _seal(self) -> None:
        """The end of the pass."""
        open, self._open = self._open, {}
        context = self.context
        deadline = context.write_deadline()
        for (queue, shard, actor, chunk), (bits, markings) in open.items():
            partition, key = partition_of_shard(queue, shard), bits_key(queue, shard, actor, chunk)

            def decided(outcome: str, write: WriteOperation, markings: list[Marking] = markings) -> None:
                result: ReturnResult = (outcome, NOTHING)
                if outcome == NO:
                    error = write.error
                    reached = error is not None and not isinstance(error, UNANSWERED)
                    result = failed(error if error is not None and reached else QuorumMissing(str(error)))
                for marking in markings:
                    marking.decided(result)

            held = None
            if context.replication.view.mine(partition):
                held = context.replication.store.get(TABLE_QUEUES, partition, key)
            here = None if held is None else encode_bits(bits | decode_bits(held))
            try:
                context.writer.write(
                    TABLE_QUEUES,
                    partition,
                    key,
                    encode_bits(bits),
                    w=0,
                    strict=False,
                    deadline=deadline,
                    done=decided,
                    here=here,
                )
            except ClusterError as error:
                for marking in markings:
                    marking.decided(failed(error))

    # -- of the current lease

    def put_back(self, inbound: Inbound) -> None:
        """Handle returns. Raises Usage."""
        body: QueueReturn = inbound.body
        if not 0 <= body.delay_s <= VISIBILITY_MAX_S:
            raise Usage(f"the delay in seconds is from 0 to {VISIBILITY_MAX_S:g}, not {body.delay_s:g}")
        self._leases(inbound, body, lambda receipt: self.giving.put_back(receipt, body.delay_s, body.begun))

    def extend(self, inbound: Inbound) -> None:
        """Handle extensions. Raises Usage."""
        body: QueueExtend = inbound.body
        if not 0 < body.visibility_s <= VISIBILITY_MAX_S:
            raise Usage(f"the visibility in seconds is from 0 to {VISIBILITY_MAX_S:g}, not {body.visibility_s:g}")
        self._leases(inbound, body, lambda receipt: self.giving.extend(receipt, body.visibility_s))

    def _leases(self, inbound: Inbound, body: QueueReturn | QueueExtend, change: Callable[[Receipt], None]) -> None:
        context, answers = self.context, ReceiptResults(inbound, body.receipts)
        elsewhere: dict[str, list[int]] = {}
        for place, receipt in answers.receipts():
            if receipt.giver != context.me and not body.hops and receipt.giver in context.replication.view.members:
                elsewhere.setdefault(receipt.giver, []).append(place)
                continue
            try:
                context.queue_of(receipt.queue)
                change(receipt)
            except ClusterError as error:
                answers.one(place, failed(error))
            else:
                answers.one(place, (OK, NOTHING))
        deadline = min(inbound.deadline, context.write_deadline())
        for giver, places in elsewhere.items():
            receipts = [body.receipts[place] for place in places]
            onward: QueueReturn | QueueExtend
            if isinstance(body, QueueReturn):
                onward = QueueReturn(receipts, body.delay_s, 1, body.begun)
            else:
                onward = QueueExtend(receipts, body.visibility_s, 1)

            def answered(outcome: Outcome, giver: str = giver, places: list[int] = places) -> None:
                if isinstance(outcome, QueueAnswered):
                    for place, result in zip(places, outcome.results, strict=True):
                        answers.one(place, result)
                elif isinstance(outcome, ClusterError) and outcome.definite:
                    answers.all(places, failed(LeaseLost(f"{giver}, which gave the lease: {outcome.message}")))
                else:
                    answers.all(places, failed(outcome))

            context.ask(giver, onward, deadline, answered)
        answers.begun()


class ReceiptResults:
    """The results of the receipts of one request."""

    def __init__(self, inbound: Inbound, receipts: Sequence[str]) -> None:
        """Raises Usage."""
        if not 0 < len(receipts) <= QUEUE_BATCH_MAX:
            raise Usage(f"1 to {QUEUE_BATCH_MAX} receipts are given at once, not {len(receipts)}")
        self._inbound = inbound
        self._receipts = receipts
        self._results: list[ReturnResult] = [(NO, NOTHING)] * len(receipts)
        self._left = len(receipts) + 1

    def receipts(self) -> list[tuple[int, Receipt]]:
        """Those that are some, with their places; the others have their results."""
        found: list[tuple[int, Receipt]] = []
        for place, text in enumerate(self._receipts):
            try:
                found.append((place, decode_receipt(text)))
            except Usage as error:
                self.one(place, failed(error))
        return found

    def one(self, place: int, result: ReturnResult) -> None:
        """The result of one receipt; at once for many, the request is answered with the last."""
        self._results[place] = result
        self._end(1)

    def all(self, places: Sequence[int], result: ReturnResult) -> None:
        """Those have the same."""
        for place in places:
            self._results[place] = result
        self._end(len(places))

    def begun(self) -> None:
        """All are under way, or have their results."""
        self._end(1)

    def _end(self, count: int) -> None:
        self._left -= count
        if not self._left:
            self._inbound.reply(QueueAnswered(self._results))


def failed(outcome: Outcome) -> ReturnResult:
    """What came of a receipt where there is no verdict of owners."""
    error = outcome if isinstance(outcome, ClusterError) else Maybe("another node answered out of turn")
    return NO if error.definite else MAYBE, (error.code, error.message)
