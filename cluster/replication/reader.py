"""Replicated reads: one full answer and digests, merge on mismatch, repair of the read set before the answer.

An owner compares the digest it is sent with its own and answers `same`, or at once with all that it holds: a mismatch
costs no second round. Dynamo (2007) sections 4.5 and 4.7 (read repair).
"""

from collections.abc import Callable, Sequence

from cluster.errors import ClusterError, QuorumMissing
from cluster.ports import Inbound
from cluster.replication.context import ReplicationContext
from cluster.replication.preference import UNANSWERED, split_owners
from cluster.replication.quorum import NO_VOTE, QuorumRead, ReadVerdict
from cluster.rpc import BatchedCalls
from cluster.transport import Connection
from cluster.wire.handshake import LANE_FOREGROUND
from cluster.wire.replication import Fetch, Fetched, Replicate, Replicated

ReadDone = Callable[[ReadVerdict | None, int, ClusterError | None], None]
"""(verdict, replicas repaired, None), or (None, 0, why there is none), once."""


class Reader:
    """Starts reads, and widens those that wait too long."""

    def __init__(self, context: ReplicationContext) -> None:
        self.context = context
        self.calls: BatchedCalls[ReadOperation] = context.messenger.batched(Fetch)
        self.in_flight = self.calls.in_flight

    def read(
        self, table: int, partition: int, key: str, *, r: int, strict: bool, deadline: float, done: ReadDone
    ) -> None:
        """Read from enough owners. `done` may come before this returns when this node alone suffices."""
        context = self.context
        owners = len(context.view.others(partition)) + context.view.mine(partition)
        needed = min(r or context.settings.r, owners)
        absent = owners - min(context.settings.w, owners) + 1
        quorum = QuorumRead(needed, absent, strict, context.mergeables[table])
        operation = ReadOperation(self, table, partition, key, quorum, strict, deadline, done)
        self.calls.begin(operation)
        operation.start()

    def answered(self, inbound: Inbound) -> None:
        """An owner, or a holder of hints, answers some questions."""
        body: Fetched = inbound.body
        name, in_flight = inbound.sender, self.in_flight
        for id, same, blob, vote in body.answers:
            operation = in_flight.get(id)
            if operation is not None and name in operation.waiting:
                del operation.waiting[name]
                operation.on_answer(name, operation.held if same else blob, vote)


class ReadOperation:
    """One read in flight."""

    held: bytes | None = None
    digest = b""
    repairing = 0
    widened = False

    def __init__(
        self,
        reader: Reader,
        table: int,
        partition: int,
        key: str,
        quorum: QuorumRead,
        strict: bool,
        deadline: float,
        done: ReadDone,
    ) -> None:
        self.reader = reader
        self.table = table
        self.partition = partition
        self.key = key
        self.quorum = quorum
        self.strict = strict
        self.deadline = deadline
        self.done: ReadDone | None = done
        self.id = 0
        self.started = reader.context.env.clock.now()
        self.asked: dict[str, None] = {}
        self.waiting: dict[str, Connection | None] = {}

    @property
    def owners(self) -> tuple[str, ...]:
        """The partition's owners."""
        return self.reader.context.view.owners(self.partition)

    def start(self) -> None:
        """Look here, then ask as many others as the quorum lacks."""
        context = self.reader.context
        status = context.status
        if context.view.mine(self.partition):
            self.held = context.store.logged(self.table, self.partition, self.key)
            if self.held is not None:
                self.digest = context.mergeables[self.table].digest(self.held)
            self.quorum.on_answer(context.me, self.held, status.vote(self.partition))
            self.asked[context.me] = None
        else:
            hinted = context.hints.find(self.table, self.partition, self.key, logged=True)
            if hinted is not None:
                self.quorum.on_answer(context.me, hinted, NO_VOTE)
        lacking = self.quorum.lacking()
        if lacking <= 0:
            self._decide()
            return
        reachable = context.view.others(self.partition)
        if not context.reach.all_well():
            reachable, _ = split_owners(reachable, context.avoided)
        self._ask(reachable[:lacking])
        if not self.waiting:
            self.widen()

    def widen(self) -> None:
        """Ask every owner not asked yet, then whoever may hold hints; give up when nobody is left."""
        context = self.reader.context
        if self.done is None or self.repairing:
            return
        fresh = [name for name in self.owners if name not in self.asked]
        if not self.widened:
            self.widened = True
            holders = context.view.fallbacks(self.partition)[: len(self.owners)]
            fresh += [
                name for name in holders if name not in self.asked and name != context.me and not context.avoided(name)
            ]
        self._ask(fresh)
        if not self.waiting:
            self._give_up()

    def _ask(self, names: Sequence[str]) -> None:
        if not names:
            return
        for name in names:
            self.asked[name] = self.waiting[name] = None
        reader = self.reader
        reader.calls.call(names, (self.id, self.deadline, self.table, self.partition, self.key, self.digest))

    def again(self, peer: str) -> None:
        """Under another layout. Whoever answers says itself what its answer counts for there."""
        self._ask((peer,))

    def on_answer(self, name: str, blob: bytes | None, vote: int) -> None:
        """All that a node holds."""
        if self.done is None or self.repairing:
            self._retire()
            return
        if vote or blob is not None or name in self.owners:
            try:
                self.quorum.on_answer(name, blob, vote)
            except ClusterError as error:  # this row alone is bad: the other reads of the batch go on
                self._end(None, 0, error)
                return
        self._proceed()

    def failed(self, name: str, error: ClusterError) -> None:
        """A node gives no answer."""
        context = self.reader.context
        self.waiting.pop(name, None)
        if isinstance(error, UNANSWERED):
            context.reach.failed(name)
        if self.done is None or self.repairing:
            self._retire()
        else:
            self._proceed()

    def _proceed(self) -> None:
        lacking = self.quorum.lacking()
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
        if self.done is None or self.repairing or self.strict or context.reach.all_well():
            return
        if all(context.avoided(name) for name in self.waiting) and self.quorum.shows_value():
            self._decide()

    def _give_up(self) -> None:
        """Nobody is left to ask: a value may still be returned as degraded; its absence may not."""
        quorum = self.quorum
        if not self.strict and quorum.shows_value():
            self._decide()
            return
        answered = ", ".join(quorum.answers) or "nobody"
        message = f"too few owners vote on {self.key!r}: {quorum.lacking()} more are needed, {answered} answered"
        self._end(None, 0, QuorumMissing(message))

    # -- repair

    def _decide(self) -> None:
        verdict = self.quorum.verdict(self.owners)
        if verdict.blob is None or not verdict.stale:
            self._end(verdict, 0, None)
            return
        self._repair(verdict, verdict.blob)

    def _repair(self, verdict: ReadVerdict, blob: bytes) -> None:
        """Bring the read set up to date, then answer; at the deadline answer all the same."""
        context = self.reader.context
        repaired = 0
        self.repairing = len(verdict.stale)

        def settled(ok: bool) -> None:
            nonlocal repaired
            self.repairing -= 1
            repaired += ok
            if self.repairing == 0:
                context.record(
                    "read.repair",
                    f"answers differed among {', '.join(self.quorum.answers)}",
                    key=self.key,
                    repaired=repaired,
                )
                self._end(verdict, repaired, None)

        others = [name for name in verdict.stale if name != context.me]
        if others:
            body = Replicate(self.table, self.partition, self.key, blob)
            context.messenger.request(
                others, body, self.deadline, lambda name, outcome: settled(type(outcome) is Replicated), LANE_FOREGROUND
            )
        if len(others) < len(verdict.stale):
            merged = context.merge_in(self.table, self.partition, self.key, blob)
            context.store.put(self.table, self.partition, self.key, merged, lambda error: settled(error is None))

    def _end(self, verdict: ReadVerdict | None, repaired: int, error: ClusterError | None) -> None:
        done, self.done = self.done, None
        self._retire()
        if done is not None:
            done(verdict, repaired, error)

    def _retire(self) -> None:
        """Leave, once the reader of this was told and nobody is waited for: a peer that fails to answer is noted."""
        if self.done is None and not self.waiting:
            self.reader.in_flight.pop(self.id, None)
