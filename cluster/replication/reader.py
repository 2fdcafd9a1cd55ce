"""Replicated reads: one full answer and digests, merge on mismatch, repair of the read set before the answer.

An owner compares the digest it is sent with its own and answers `same`, or at once with all that it holds: a mismatch
costs no second round. Dynamo (2007) sections 4.5 and 4.7 (read repair).
"""

from collections.abc import Callable, Sequence

from cluster.errors import ClusterError, Damaged, Maybe, QuorumMissing, TooLarge
from cluster.observe.events import LimitedRecorder
from cluster.ports import Inbound, Outcome
from cluster.replication.context import ReplicationContext
from cluster.replication.mergeable import Mergeable, excess
from cluster.replication.quorum import NO_VOTE, UNANSWERED, QuorumRead, split_owners
from cluster.rpc import BatchedCalls
from cluster.transport import Connection
from cluster.wire.handshake import LANE_FOREGROUND
from cluster.wire.replication import Fetch, Fetched, Replicate, Replicated

ReadDone = Callable[["ReadOperation", ClusterError | None], None]
"""(the read with what it found, None), or (the read, why there is no result), once."""


class Reader:
    """Starts reads, and widens those that wait too long."""

    def __init__(self, context: ReplicationContext) -> None:
        self.context = context
        self.calls: BatchedCalls[ReadOperation] = context.messenger.batched(Fetch)
        self.in_flight = self.calls.in_flight
        self.record = LimitedRecorder(context.env.clock, context.record)
        """Of repairs: an owner whose disk is full is repaired in vain by each read."""

    def read(
        self,
        table: int,
        partition: int,
        key: str,
        *,
        r: int,
        strict: bool,
        deadline: float,
        done: ReadDone,
        trace: str = "",
        repairs: bool = True,
    ) -> None:
        """Read from enough owners. `done` may come before this returns when this node alone suffices. Without `repairs`
        owners that are behind are left so: the asker writes what comes of it to all of them."""
        context = self.context
        owners, settings = len(context.view.owners(partition)), context.settings
        needed = r or settings.r
        if needed > owners:
            needed = owners
        absent = owners - settings.w + 1 if settings.w < owners else 1
        mergeable = context.mergeables[table]
        operation = (ExplainedRead if trace or not repairs else ReadOperation)(
            self, table, partition, key, deadline, done, needed, absent, strict, mergeable
        )
        if trace or not repairs:
            assert isinstance(operation, ExplainedRead)
            operation.trace, operation.repairs = trace, repairs
        self.calls.begin(operation)
        operation.start()

    def answered(self, inbound: Inbound) -> None:
        """An owner, or a holder of hints, answers some questions."""
        self.take(inbound.sender, inbound.body)

    def take(self, name: str, body: Fetched) -> None:
        """The answers of a node."""
        in_flight = self.in_flight
        for id, same, blob, vote in body.answers:
            operation = in_flight.get(id)
            if operation is None or name not in operation.waiting:
                continue
            if blob is not None:
                try:
                    self.context.mergeables[operation.table].check(blob)
                except ClusterError as error:  # what one owner holds of one key must not hold up the other answers
                    operation.failed(name, error)
                    continue
            del operation.waiting[name]
            operation.answered(name, operation.held if same else blob, vote)


class ReadOperation(QuorumRead):
    """One read in flight."""

    trace = ""
    """Of one that is to be explained: it leaves the batches, so that its trace goes with each question."""
    repairs = True

    __slots__ = (
        "asked", "deadline", "digest", "done", "held", "id", "partition", "reader", "repaired", "repairing",
        "started", "table", "waiting", "widened",
    )  # fmt: skip

    def __init__(
        self,
        reader: Reader,
        table: int,
        partition: int,
        key: str,
        deadline: float,
        done: ReadDone,
        r: int,
        absent: int,
        strict: bool,
        mergeable: Mergeable,
    ) -> None:
        QuorumRead.__init__(self, key, r, absent, strict, mergeable)
        self.reader = reader
        self.table = table
        self.partition = partition
        self.deadline = deadline
        self.done: ReadDone | None = done
        self.started = reader.context.env.clock.now()
        self.id = 0
        self.asked: tuple[str, ...] = ()
        self.waiting: dict[str, Connection | None] = {}
        self.held: bytes | None = None
        self.digest = b""
        self.widened = False
        self.repairing: dict[str, None] = {}
        self.repaired = 0

    def start(self) -> None:
        """Look here, then ask as many others as the quorum lacks."""
        context, partition = self.reader.context, self.partition
        view = context.view
        if view.mine(partition):
            held = context.store.logged(self.table, partition, self.key)
            if held is not None:
                self.held = held
                self.digest = self.mergeable.digest(held)
            self.on_answer(view.me, held, context.status.vote(partition))
        else:
            hinted = context.hints.find(self.table, partition, self.key, logged=True)
            if hinted is not None:
                self.on_answer(view.me, hinted, NO_VOTE)
        lacking = self.lacking()
        if lacking <= 0:
            self._decide()
            return
        reachable = view.others(partition)
        if not context.reach.all_well():
            reachable, _ = split_owners(reachable, context.avoided)
        self._ask(reachable[:lacking])
        if not self.waiting:
            self.widen()

    def widen(self) -> None:
        """Ask every owner not asked yet, then whoever may hold hints; give up when nobody is left."""
        if self.done is None or self.repairing:
            return
        context = self.reader.context
        view, partition = context.view, self.partition
        fresh = [name for name in view.others(partition) if name not in self.asked]
        if not self.widened:
            self.widened = True
            holders = view.hint_holders(partition)[: len(view.owners(partition))]
            fresh += [
                name for name in holders if name not in self.asked and name != view.me and not context.avoided(name)
            ]
        self._ask(fresh)
        if self.waiting:
            return
        # Nobody is left to ask: a value may still be returned as degraded; its absence may not.
        if not self.strict and self._decide_without_votes():
            return
        answered = ", ".join(self.answers) or "no node"
        lacking = self.lacking()
        needed = f"{lacking} more {'is' if lacking == 1 else 'are'} needed"
        message = f"too few owners vote on {self.key!r}: {needed}, {answered} answered"
        self._end(QuorumMissing(message))

    def _ask(self, names: Sequence[str]) -> None:
        if not names:
            return
        self.asked += tuple(names)
        waiting = self.waiting
        for name in names:
            waiting[name] = None
        reader = self.reader
        entry = (self.id, self.deadline, self.table, self.partition, self.key, self.digest)
        if self.trace:
            reader.context.steps.add(self.trace, "ask", key=self.key, of=list(names))
            messenger = reader.context.messenger
            question = Fetch([entry], messenger.layout)
            messenger.request(names, question, self.deadline, self._answered_alone, LANE_FOREGROUND, self.trace)
        else:
            reader.calls.call(names, entry)

    def _answered_alone(self, name: str, outcome: Outcome) -> None:
        if name not in self.waiting:
            return  # it has timed out here
        if type(outcome) is Fetched:
            self.reader.context.steps.add(self.trace, "answered", by=name)
            self.reader.take(name, outcome)
        else:
            error = outcome if isinstance(outcome, ClusterError) else Maybe(f"{name} answered out of turn")
            self.reader.context.steps.add(self.trace, "no answer", of=name, error=error.code)
            self.failed(name, error)

    def again(self, peer: str) -> None:
        """Under another layout. Whoever answers says itself what its answer counts for there."""
        self._ask((peer,))

    def answered(self, name: str, blob: bytes | None, vote: int) -> None:
        """All that a node holds."""
        if self.done is None or self.repairing:
            self._retire()
            return
        if vote or blob is not None or name in self.reader.context.view.owners(self.partition):
            try:
                self.on_answer(name, blob, vote)
            except ClusterError as error:  # this row alone is bad: the other reads of the batch go on
                self._end(error)
                return
        self._proceed()

    def failed(self, name: str, error: ClusterError) -> None:
        """A node gives no answer."""
        self.waiting.pop(name, None)
        if isinstance(error, UNANSWERED):
            self.reader.context.reach.unanswered(name, error)
        if self.done is None or self.repairing:
            self._retire()
        else:
            self._proceed()

    def _proceed(self) -> None:
        lacking = self.lacking()
        if lacking <= 0:
            self._decide()
        elif len(self.waiting) < lacking:
            self.widen()

    def linger(self, now: float) -> None:
        """No answer for too long: ask the others as well. A value that was found is then all there is to say once
        everybody who is waited for is silent: what is behind a partition never refuses."""
        context = self.reader.context
        if now < self.started + context.settings.read_hedge_s:
            return
        self.widen()
        if self.done is None or context.reach.all_well():
            return
        if self.repairing:
            if all(context.avoided(name) for name in self.repairing):
                self.unrepaired = True
                self._end(None)
        elif not self.strict and all(context.avoided(name) for name in self.waiting):
            self._decide_without_votes()

    def _decide_without_votes(self) -> bool:
        """Answer with a value that was found, whoever brought it. Returns whether the read has ended."""
        if not self._use_aside():
            return True
        if not self.shows_value():
            return False
        self._decide()
        return True

    def _use_aside(self, but: Sequence[str] = ()) -> bool:
        try:
            self.use_aside(but)
        except ClusterError as error:
            self._end(error)
            return False
        return True

    # -- repair

    def _decide(self) -> None:
        """Answer, once the read set is up to date; at the deadline all the same. What no vote brought repairs nobody:
        it may have been deleted where the votes are. A hint goes home by itself."""
        context = self.reader.context
        owners = context.view.owners(self.partition)
        if self.aside is not None and not self._use_aside(owners):
            return
        merged = self.merged
        behind = self.behind(owners)
        if merged is None or not behind or not self.repairs or self.unrepaired or excess(self.mergeable, merged):
            self._end(None)
            return
        self.repairing = dict.fromkeys(behind)
        me, others = context.me, [name for name in behind if name != context.me]
        if others:
            body = Replicate(self.table, self.partition, self.key, merged)
            context.messenger.request(
                others,
                body,
                self.deadline,
                lambda name, outcome: self._settled(name, type(outcome) is Replicated),
                LANE_FOREGROUND,
                self.trace,
            )
        if len(others) < len(behind):
            try:
                if not context.wanted(self.table, self.partition, self.key, merged):
                    self._settled(me, True)
                    return
                blob = context.merge_in(self.table, self.partition, self.key, merged)
            except (Damaged, TooLarge):
                self._settled(me, False)
                return
            context.store.put(
                self.table, self.partition, self.key, blob, lambda error: self._settled(me, error is None)
            )

    def _settled(self, name: str, ok: bool) -> None:
        self.repairing.pop(name, None)
        self.repaired += ok
        self.unrepaired |= not ok
        if not self.repairing and self.done is not None:
            cause = f"answers differed among {', '.join(self.answers)}"
            self.reader.record("read.repair", cause, key=self.key, repaired=self.repaired)
            self._end(None)

    def _end(self, error: ClusterError | None) -> None:
        done, self.done = self.done, None
        self._retire()
        if done is not None:
            done(self, error)

    def _retire(self) -> None:
        """Leave, once the reader of this was told and nobody is waited for: a peer that fails to answer is noted."""
        if self.done is None and not self.waiting:
            self.reader.in_flight.pop(self.id, None)


class ExplainedRead(ReadOperation):
    """One that has a trace, or does not repair; the others pay nothing for it."""

    __slots__ = ("repairs", "trace")
