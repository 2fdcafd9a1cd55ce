"""Replicated writes: to all owners, to stand-ins for those that cannot be reached, with hints for all who missed it.

A write lives until every copy is accounted for, also after its verdict: an owner that has not acknowledged by the
deadline gets a hint. Dynamo (2007) sections 4.5 and 4.6.
"""

from collections.abc import Callable, Sequence

from cluster.errors import ClusterError, Maybe, QuorumMissing, StorageFull
from cluster.replication.ground import Ground
from cluster.replication.hints import HintKey
from cluster.replication.messenger import Outcome
from cluster.replication.preference import split_owners, stand_in
from cluster.replication.quorum import MAYBE, NO, QuorumWrite
from cluster.wire.handshake import LANE_FOREGROUND
from cluster.wire.replication import Replicate, Replicated

SPECULATE_S = 0.15
"""A write without a verdict for so long also asks stand-ins: well over a round trip, well under the write timeout."""
SWEEP_S = 0.05

WriteDone = Callable[[str, QuorumWrite, int, ClusterError | None], None]
"""(outcome, counts, hints, the last error), once, when the verdict is in."""


class Writer:
    """Starts writes and sweeps those that wait too long."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.in_flight: dict[int, WriteOperation] = {}
        self._next_id = 0
        self._sweeping = False

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
    ) -> None:
        """Store `blob` here (as an owner, or as a stand-in) and at the other owners. Raises QuorumMissing before
        anything is sent when too few can be reached: a definite no."""
        ground = self.ground
        mine, reachable = ground.mine[partition], ground.others[partition]
        missing: Sequence[str] = ()
        needed = min(w or ground.settings.w, len(reachable) + mine)
        if not ground.avoidance.quiet():
            reachable, missing = split_owners(reachable, ground.avoided)
            self._check(partition, len(reachable) + mine, missing, mine, needed, strict)
        operation = WriteOperation(self, table, partition, key, blob, QuorumWrite(needed, strict), deadline, done)
        self._next_id += 1
        operation.id = self._next_id
        self.in_flight[operation.id] = operation
        operation.start(mine, reachable, missing)
        if not self._sweeping:
            self._sweeping = True
            ground.env.clock.call_later(SWEEP_S, self._sweep)

    def _check(
        self, partition: int, owners: int, missing: Sequence[str], mine: bool, needed: int, strict: bool
    ) -> None:
        """Refuse what cannot succeed, before anything is sent."""
        if owners >= needed:
            return
        avoided, me = self.ground.avoided, self.ground.me
        spare = 0
        if not strict:
            fallbacks = self.ground.placement.fallbacks(partition)
            spare = sum(1 for name in fallbacks if name == me or not avoided(name))
        reached = owners + min(spare, len(missing))
        if reached < needed:
            kind = "owners" if strict else "nodes"
            raise QuorumMissing(f"{needed} {kind} are needed and {reached} can be reached: {', '.join(missing)} cannot")

    def waiting_for(self, target: str, since: float) -> int:
        """Writes begun before `since` that wait for `target`: they may still become hints."""
        count = 0
        for operation in self.in_flight.values():
            if operation.started > since:
                break  # in order of their start
            count += target in operation.waiting
        return count

    def _sweep(self) -> None:
        horizon = self.ground.env.clock.now() - SPECULATE_S
        for operation in list(self.in_flight.values()):
            if operation.started > horizon:
                break
            if operation.quorum.decided is None:
                operation.speculate()
        self._sweeping = bool(self.in_flight)
        if self._sweeping:
            self.ground.env.clock.call_later(SWEEP_S, self._sweep)


class WriteOperation:
    """One write in flight: an object keyed by id, fed by acknowledgements; no task."""

    waiting: dict[str, None]  # owners that have not acknowledged
    hints = 0
    error: ClusterError | None = None
    taken: tuple[str, ...] = ()  # stand-ins in use
    spread: dict[str, str] | None = None  # stand-in -> owner it stands in for, while there are any

    def __init__(
        self,
        writer: Writer,
        table: int,
        partition: int,
        key: str,
        blob: bytes,
        quorum: QuorumWrite,
        deadline: float,
        done: WriteDone,
    ) -> None:
        self.writer = writer
        self.table = table
        self.partition = partition
        self.key = key
        self.blob = blob
        self.quorum = quorum
        self.deadline = deadline
        self.done = done
        self.id = 0
        self.started = writer.ground.env.clock.now()

    def start(self, mine: bool, reachable: Sequence[str], missing: Sequence[str]) -> None:
        """Apply here first, then send."""
        ground = self.writer.ground
        if mine:
            self.quorum.sent()
            ground.store.put(self.table, self.partition, self.key, self.blob, self._stored_here)
        self.waiting = dict.fromkeys(reachable)
        if reachable:
            self.quorum.sent(len(reachable))
            body = Replicate(self.table, self.partition, self.key, self.blob)
            ground.messenger.request(reachable, body, self.deadline, self._on_owner, LANE_FOREGROUND)
        if not mine:
            self.taken = (ground.me,)
            self._hint_here(missing[0] if missing else reachable[0], counts=True)
            missing = missing[1:]
        for owner in missing:
            self._stand_in(owner)

    def speculate(self) -> None:
        """No verdict yet: ask stand-ins for the owners that keep us waiting."""
        for owner in list(self.waiting):
            if not self._has_stand_in(owner):
                self._stand_in(owner, keep_if_none=False)

    # -- copies

    def _stored_here(self, error: ClusterError | None) -> None:
        if error is None:
            self._acknowledged(owner=True)
        else:
            self._failed(error)

    def _on_owner(self, owner: str, outcome: Outcome) -> None:
        ground = self.writer.ground
        self.waiting.pop(owner, None)
        if type(outcome) is Replicated:
            ground.avoidance.heard(owner)
            self._acknowledged(owner=True)
            return
        error = outcome if isinstance(outcome, ClusterError) else Maybe(f"{owner} answered out of turn")
        if not isinstance(error, StorageFull):
            ground.avoidance.failed(owner, ground.env.clock.now())
        if not self._has_stand_in(owner):
            self._stand_in(owner)
        self._failed(error)

    def _has_stand_in(self, owner: str) -> bool:
        return self.spread is not None and owner in self.spread.values()

    def _stand_in(self, owner: str, keep_if_none: bool = True) -> None:
        """Send the copy of `owner` to the next fallback as a hint; to this node's own hints when there is none."""
        ground = self.writer.ground
        name = stand_in(ground.placement.fallbacks(self.partition), [*self.taken, ground.me], ground.avoided)
        if name is None or ground.env.clock.now() >= self.deadline:
            if keep_if_none:
                self._hint_here(owner, counts=False)
            return
        self.taken = (*self.taken, name)
        self.spread = {**(self.spread or {}), name: owner}
        self.quorum.sent()
        body = Replicate(self.table, self.partition, self.key, self.blob, hint_for=owner)
        ground.messenger.request([name], body, self.deadline, self._on_stand_in, LANE_FOREGROUND)

    def _on_stand_in(self, name: str, outcome: Outcome) -> None:
        ground = self.writer.ground
        assert self.spread is not None
        owner = self.spread.pop(name)
        if type(outcome) is Replicated:
            ground.avoidance.heard(name)
            self.hints += 1
            self._acknowledged(owner=False)
            return
        ground.avoidance.failed(name, ground.env.clock.now())
        if owner not in self.waiting:  # the owner itself is lost to this write: its copy must wait somewhere
            self._stand_in(owner)
        self._failed(outcome if isinstance(outcome, ClusterError) else Maybe(f"{name} answered out of turn"))

    def _hint_here(self, owner: str, counts: bool) -> None:
        """Keep the copy of `owner` among this node's own hints; it counts only when this node is no owner itself."""
        ground = self.writer.ground
        if counts:
            self.quorum.sent()
        self.hints += 1

        def kept(error: ClusterError | None) -> None:
            if error is not None:
                self.hints -= 1
                ground.record("hint.refused", error.message, target=owner, key=self.key)
            if counts:
                self._acknowledged(owner=False) if error is None else self._failed(error)

        ground.hints.add(HintKey(owner, self.table, self.partition, self.key), self.blob, kept)

    # -- the verdict

    def _acknowledged(self, owner: bool) -> None:
        self._tell(self.quorum.on_ack(owner))

    def _failed(self, error: ClusterError) -> None:
        self.error = error
        self._tell(self.quorum.on_failure(error.definite))

    def _tell(self, outcome: str | None) -> None:
        if self.quorum.outstanding == 0:
            self.writer.in_flight.pop(self.id, None)
            outcome = outcome or self.quorum.settle()
        if outcome is not None:
            assert outcome not in (MAYBE, NO) or self.quorum.outstanding == 0
            self.done(outcome, self.quorum, self.hints, self.error)
