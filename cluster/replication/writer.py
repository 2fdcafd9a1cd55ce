"""Replicated writes: to all owners, to fallbacks for those that cannot be reached, with hints for all who missed it.

A write lives until every copy is accounted for, also after its verdict: an owner that has not acknowledged by the
deadline gets a hint. Dynamo (2007) sections 4.5 and 4.6.
"""

from collections.abc import Callable, Sequence

from cluster.errors import ClusterError, Maybe, QuorumMissing, StaleLayout, TooLarge, from_code
from cluster.ports import Inbound, Outcome
from cluster.replication.context import ReplicationContext
from cluster.replication.hints import HintKey
from cluster.replication.mergeable import MARK
from cluster.replication.quorum import MAYBE, NO, OK, OK_SLOPPY, UNANSWERED, QuorumWrite, next_fallback, split_owners
from cluster.rpc import BatchedCalls
from cluster.transport import Connection
from cluster.wire.handshake import LANE_FOREGROUND
from cluster.wire.replication import Replicate, ReplicateBatch, Replicated, ReplicatedBatch

WriteDone = Callable[[str, "WriteOperation"], None]
"""(outcome, the write with its counts), once, when the verdict is in."""


class Writer:
    """Starts writes, and hears what became of their copies."""

    def __init__(self, context: ReplicationContext) -> None:
        self.context = context
        self.me = context.me
        self.calls: BatchedCalls[WriteOperation] = context.messenger.batched(ReplicateBatch)
        self.in_flight = self.calls.in_flight

    def write(
        self,
        table: int,
        partition: int,
        key: str,
        blob: bytes,
        *,
        w: int,
        strict: bool,
        deadline: float,
        done: WriteDone,
        trace: str = "",
        here: bytes | None = None,
    ) -> None:
        """Store `blob` here (as an owner, or as a fallback) and at the other owners. With `here` this is what an owner
        stores, and `blob` only what it adds. Raises QuorumMissing before anything is sent when too few can be reached:
        a definite no."""
        context, me = self.context, self.me
        view = context.view
        mine, reachable = view.mine(partition), view.others(partition)
        sets: tuple[tuple[str, ...], ...] = ()
        missing: Sequence[str] = ()
        owners = len(reachable) + mine
        if view.moving and view.joining(partition):
            sets = view.owners(partition), view.coming(partition)
            reachable = tuple(name for name in view.takers(partition) if name != me)
            owners = min(map(len, sets))  # fewer are to come where members were forgotten by force
        promised = context.settings.w if context.settings.w < owners else owners
        needed = (w if w < owners else owners) or promised
        if not context.reach.all_well():
            reachable, missing = split_owners(reachable, context.avoided)
            for names in sets or (view.owners(partition),):
                there = sum(name == me or name in reachable for name in names)
                absent = [name for name in names if name in missing]
                self._check(partition, there, absent, mine, needed, strict)
        operation = (MovingWrite if sets else ExplainedWrite if trace else WriteOperation)(
            self, table, partition, key, blob, deadline, done, reachable, needed, promised, strict
        )
        if trace or sets:
            assert isinstance(operation, ExplainedWrite)
            operation.trace = trace
        if sets:
            assert isinstance(operation, MovingWrite)
            operation.sets = sets
            mine = view.holds(partition)
        self.calls.begin(operation)
        operation.start(mine, reachable, missing, blob if here is None else here)

    def answered(self, inbound: Inbound) -> None:
        """An owner has dealt with a batch."""
        body: ReplicatedBatch = inbound.body
        owner, in_flight = inbound.sender, self.in_flight
        for id in body.ids:
            operation = in_flight.get(id)
            if operation is not None and owner in operation.waiting:
                del operation.waiting[owner]
                outcome = operation.on_ack(owner, owner)  # `acknowledged`, without a call
                if outcome is not None or operation.outstanding == 0:
                    operation.tell(outcome)
        for id, code, message in body.failed:
            operation = in_flight.get(id)
            if operation is not None and owner in operation.waiting:
                operation.failed(owner, from_code(code, message))

    def _check(
        self, partition: int, owners: int, missing: Sequence[str], mine: bool, needed: int, strict: bool
    ) -> None:
        """Refuse what cannot succeed, before anything is sent."""
        if owners >= needed:
            return
        avoided, me = self.context.avoided, self.context.me
        spare = 0
        if not strict:
            fallbacks = self.context.view.fallbacks(partition)
            spare = sum(1 for name in fallbacks if name == me or not avoided(name))
        reached = owners + min(spare, len(missing))
        if reached < needed:
            kind = "owners" if strict else "nodes"
            raise QuorumMissing(f"{needed} {kind} are needed and {reached} can be reached: {', '.join(missing)} cannot")

    def waiting_for(self, target: str, since: float) -> int:
        """Writes begun before `since` whose copy for `target` is under way, to it or as a hint to a fallback: it may
        still become a hint there or here."""
        count = 0
        for operation in self.in_flight.values():
            if operation.started > since:
                break  # in order of their start
            spread = operation.spread
            count += target in operation.waiting or (spread is not None and target in spread.values())
        return count


class WriteOperation(QuorumWrite):
    """One write in flight: an object keyed by id, fed by acknowledgements; no task."""

    trace = ""
    """Of one that is to be explained: it leaves the batches, so that its trace goes with each copy."""

    __slots__ = (
        "blob", "deadline", "done", "error", "hints", "id", "key", "partition", "spread", "started", "table", "taken",
        "waiting", "writer",
    )  # fmt: skip

    def __init__(
        self,
        writer: Writer,
        table: int,
        partition: int,
        key: str,
        blob: bytes,
        deadline: float,
        done: WriteDone,
        reachable: Sequence[str],
        needed: int,
        promised: int,
        strict: bool,
    ) -> None:
        QuorumWrite.__init__(self, needed, promised, strict)
        self.writer = writer
        self.table = table
        self.partition = partition
        self.key = key
        self.blob = blob
        self.deadline = deadline
        self.done = done
        self.id = 0
        self.started = writer.context.env.clock.now()
        self.waiting: dict[str, Connection | None] = dict.fromkeys(reachable)
        """Owners that have not acknowledged."""
        self.hints = 0
        self.error: ClusterError | None = None
        """The last one."""
        self.taken: tuple[str, ...] = ()
        """Fallbacks in use."""
        self.spread: dict[str, str] | None = None
        """Fallback -> the owner for whom it keeps a hint, while there are any."""

    def start(self, mine: bool, reachable: Sequence[str], missing: Sequence[str], here: bytes) -> None:
        """Apply here first, then send."""
        writer, table, partition, key, blob = self.writer, self.table, self.partition, self.key, self.blob
        context = writer.context
        self.outstanding = len(reachable) + mine
        if mine:
            context.store.put(table, partition, key, here, self._stored_here)
        if reachable:
            if self.trace:
                context.steps.add(self.trace, "replicate", key=key, to=list(reachable), here=mine, bytes=len(blob))
                body = Replicate(table, partition, key, blob)
                request = context.messenger.request
                request(reachable, body, self.deadline, self._answered_alone, LANE_FOREGROUND, self.trace)
            else:
                writer.calls.call(reachable, (self.id, self.deadline, table, partition, key, blob))
        if not mine:
            self.taken = (context.me,)
            self._hint_here(missing[0] if missing else reachable[0], counts=True)
            missing = missing[1:]
        for owner in missing:
            self._use_fallback(owner)

    def _answered_alone(self, owner: str, outcome: Outcome) -> None:
        if owner not in self.waiting:
            return  # it has timed out here, or was given up
        if type(outcome) is Replicated:
            del self.waiting[owner]
            self.writer.context.steps.add(self.trace, "acknowledged", by=owner)
            self.acknowledged(owner, owner)
        else:
            error = outcome if isinstance(outcome, ClusterError) else Maybe(f"{owner} answered out of turn")
            self.writer.context.steps.add(self.trace, "no acknowledgement", of=owner, error=error.code)
            self.failed(owner, error)

    def again(self, peer: str) -> None:
        """Under another layout, with the same bytes and so the same dot. Who is no owner there takes no copy."""
        if peer in self.writer.context.view.takers(self.partition):
            entry = (self.id, self.deadline, self.table, self.partition, self.key, self.blob)
            self.writer.calls.call((peer,), entry)
        else:
            self.failed(peer, StaleLayout(f"{peer} no longer owns partition {self.partition}"))

    def linger(self, now: float) -> None:
        """Without a verdict yet, use fallbacks for the owners that have fallen silent, and in the end for all that are
        waited for; they may acknowledge all the same."""
        if self.decided is not None:
            return
        context = self.writer.context
        slow = now >= self.started + context.settings.write_hedge_s
        if not slow and context.reach.all_well():  # the usual case: each sweep meets most of what is in flight
            return
        for owner in list(self.waiting):
            late = slow or context.avoided(owner)
            if late and not self._has_fallback(owner) and owner not in self.filled:
                self._use_fallback(owner, keep_if_none=False)

    # -- copies

    def _stored_here(self, error: ClusterError | None) -> None:
        if error is None:
            me = self.writer.me
            self.acknowledged(me, me)
        else:
            self._failed(error)

    def failed(self, owner: str, error: ClusterError) -> None:
        """An owner has not, or perhaps not, taken its copy: a fallback is to."""
        context = self.writer.context
        self.waiting.pop(owner, None)
        if isinstance(error, UNANSWERED):
            context.reach.unanswered(owner, error)
        if not self._has_fallback(owner) and owner not in self.filled:
            self._use_fallback(owner)
        self._failed(error)

    def _has_fallback(self, owner: str) -> bool:
        return self.spread is not None and owner in self.spread.values()

    def _use_fallback(self, owner: str, keep_if_none: bool = True) -> None:
        """Send the copy of `owner` to the next fallback as a hint; to this node's own hints when there is none, and
        where a mark there says enough."""
        context = self.writer.context
        if keep_if_none and self._mark() and self._owners_suffice():
            self._hint_here(owner, counts=False)
            return
        name = next_fallback(context.view.fallbacks(self.partition), [*self.taken, context.me], context.avoided)
        if name is None or context.env.clock.now() >= self.deadline:
            if keep_if_none:
                self._hint_here(owner, counts=False)
            return
        self.taken = (*self.taken, name)
        self.spread = {**(self.spread or {}), name: owner}
        self.outstanding += 1
        body = Replicate(self.table, self.partition, self.key, self.blob, hint_for=owner)
        if self.trace:
            context.steps.add(self.trace, "fallback", to=name, hint_for=owner)
        context.messenger.request([name], body, self.deadline, self._on_fallback, LANE_FOREGROUND, self.trace)

    def _on_fallback(self, name: str, outcome: Outcome) -> None:
        context = self.writer.context
        assert self.spread is not None
        owner = self.spread.pop(name)
        if type(outcome) is Replicated:
            self.hints += 1
            self.acknowledged(owner, name)
            return
        if isinstance(outcome, UNANSWERED):
            context.reach.unanswered(name, outcome)
        if owner not in self.waiting:  # the owner itself is lost to this write: its copy must wait somewhere
            self._use_fallback(owner)
        self._failed(outcome if isinstance(outcome, ClusterError) else Maybe(f"{name} answered out of turn"))

    def _mark(self) -> str:
        """The key of the mark that stands for this row; empty where the row itself must be kept: who has no copy of
        its own could not deliver it."""
        context = self.writer.context
        return context.mergeables[self.table].mark(self.key) if context.view.mine(self.partition) else ""

    def _owners_suffice(self) -> bool:
        """Whether owners alone have this write, or may still, in the number that it needs."""
        there = {self.writer.me, *self.waiting, *(owner for owner, node in self.filled.items() if owner == node)}
        return all(sum(name in there for name in names) >= self.needed for names in self._sets())

    def _sets(self) -> tuple[tuple[str, ...], ...]:
        return (self.writer.context.view.owners(self.partition),)

    def _hint_here(self, owner: str, counts: bool) -> None:
        """Keep the copy of `owner` among this node's own hints, or a mark for it; it counts only when this node is no
        owner itself."""
        context = self.writer.context
        mark = "" if counts else self._mark()
        self.outstanding += 1

        def kept(error: ClusterError | None) -> None:
            if error is not None:
                context.record("hint.refused", error.message, target=owner, key=self.key)
                self._failed(error)
                return
            self.hints += 1
            if self.trace:
                context.steps.add(self.trace, "hint kept", hint_for=owner)
            if counts:
                self.acknowledged(owner, context.me)
            else:
                self.tell(self.on_kept())

        hint = HintKey(owner, self.table, self.partition, mark or self.key)
        context.hints.add(hint, MARK if mark else self.blob, kept)

    # -- the verdict

    def acknowledged(self, owner: str, node: str) -> None:
        """The copy of `owner` is durable: its own, or at a fallback."""
        outcome = self.on_ack(owner, node)
        if outcome is not None or self.outstanding == 0:
            self.tell(outcome)

    def _failed(self, error: ClusterError) -> None:
        self.error = error
        self.tell(self.on_failure(error.definite))

    def tell(self, outcome: str | None) -> None:
        """The counts have changed: give the verdict if there is one now, and end with the last copy."""
        if self.outstanding == 0:
            self.writer.in_flight.pop(self.id, None)
            outcome = outcome or self.settle()
        if outcome is not None:
            assert outcome not in (MAYBE, NO) or self.outstanding == 0
            self.done(outcome, self)


class ExplainedWrite(WriteOperation):
    """One that may have a trace; the others pay nothing for it."""

    __slots__ = ("trace",)


class MovingWrite(ExplainedWrite):
    """A write while the owners of its partition change: it needs W of the owners in force and W of those to come, and
    whoever is both counts for both."""

    __slots__ = ("sets",)

    sets: tuple[tuple[str, ...], ...]
    """The owners in force, and those to come."""

    def start(self, mine: bool, reachable: Sequence[str], missing: Sequence[str], here: bytes) -> None:
        """As of any write. A node that is only to come may hold more of the key than the write that it coordinates
        has seen."""
        context = self.writer.context
        if mine and not context.view.mine(self.partition):
            try:
                self.blob = here = context.merge_in(self.table, self.partition, self.key, here)
            except TooLarge:
                mine, missing = False, (*missing, context.me)
        WriteOperation.start(self, mine, reachable, missing, here)

    def _sets(self) -> tuple[tuple[str, ...], ...]:
        return self.sets

    def on_ack(self, slot: str, node: str) -> str | None:
        """See `QuorumWrite.on_ack`; decided once both sets are."""
        self.outstanding -= 1
        filled = self.filled
        if node == slot or (slot not in filled and node not in filled.values()):
            filled[slot] = node
        if self.decided is not None:
            return None
        outcome = OK
        for owners in self.sets:
            acks = sum(filled.get(name) == name for name in owners)
            slots = sum(name in filled for name in owners)
            if (acks if self.strict else slots) < self.needed:
                return None
            if acks < self.needed or acks < self.promised:
                outcome = OK_SLOPPY
        self.decided = outcome
        return outcome
