"""The account of a bucket in which the last writer wins: users over a few keys, and what reads may say.

A stamp travels in each context, so the account is exact: it compares stamps instead of guessing an order from times.

- of all that was acknowledged on a key nothing with a greater stamp than what is left at the end is missing;
- all owners end with the same bytes;
- a strict read finds nothing older than what had ended `ok` when it was asked;
- nothing is read that was never written, that was refused, or that has expired by every clock that may be.
"""

from dataclasses import dataclass, field
from random import Random

from cluster.errors import WrongClock
from cluster.kv.objects import split
from cluster.simulation.fleet import Fleet, SimulatedRequest
from cluster.versions import decode_cell_context
from cluster.wire.kv import Got, PutDone
from tests.simulation.nemesis import Nemesis

TIMEOUT_S = 1.0
CLOCKS_APART_S = 60.0
"""How far the clock of a node may be off that stamps, or that judges what has expired by itself."""


def stamp_of(context: bytes) -> int:
    """The newest stamp that a context has seen."""
    seen = decode_cell_context(context)
    return 0 if seen is None else seen.stamp


@dataclass
class Stamped:
    """One write."""

    value: bytes
    deletes: bool
    result: SimulatedRequest
    asked_at: float

    @property
    def stamp(self) -> int:
        """Its own if it was acknowledged, else 0."""
        answer = self.result.answer
        is_kept = isinstance(answer, PutDone) and answer.outcome in ("ok", "ok-sloppy")
        return stamp_of(answer.context) if is_kept and isinstance(answer, PutDone) else 0

    @property
    def refused(self) -> bool:
        """Whether it surely did not happen."""
        return self.result.error is not None and self.result.error.definite


@dataclass
class Look:
    """One read. `promised` is the greatest stamp that had ended `ok` when it was asked."""

    key: str
    result: SimulatedRequest
    promised: int
    asked_at: float


@dataclass
class LastWrites:
    """See above. `ttl_s` is that of the bucket, 0 for none."""

    fleet: Fleet
    random: Random
    ttl_s: float = 0.0
    writes: dict[str, list[Stamped]] = field(default_factory=dict)
    looks: list[Look] = field(default_factory=list)
    contexts: dict[str, bytes] = field(default_factory=dict)
    checked: int = 0
    refused_by_clock: int = 0

    def __post_init__(self) -> None:
        self.writes = {f"last/{number}": [] for number in range(6)}

    def act(self, nemesis: Nemesis) -> None:
        """One operation through a node that runs."""
        random, fleet = self.random, self.fleet
        if not nemesis.running:
            return
        via, key, dice = random.choice(nemesis.running), random.choice(list(self.writes)), random.random()
        if dice < 0.6:
            number = sum(map(len, self.writes.values()))
            value, deletes = b"%d" % number, dice < 0.1
            context = self.contexts.get(key) if random.random() < 0.5 else None
            put = fleet.put(via, key, b"" if deletes else value, TIMEOUT_S, context=context, deleted=deletes)
            self.writes[key].append(Stamped(value, deletes, put, fleet.world.now))
        else:
            promised = max((one.stamp for one in self.writes[key] if self._is_ok(one)), default=0)
            self.looks.append(Look(key, fleet.get(via, key, TIMEOUT_S, strict=True), promised, fleet.world.now))
        self.look()

    def _is_ok(self, write: Stamped) -> bool:
        answer = write.result.answer
        return isinstance(answer, PutDone) and answer.outcome == "ok"

    def look(self) -> None:
        """Check the reads that have ended."""
        ended = [look for look in self.looks if look.result.ended]
        self.looks = [look for look in self.looks if not look.result.ended]
        for look in ended:
            answer = look.result.answer
            if isinstance(answer, Got):
                self._check_read(look, answer)
                self.contexts[look.key] = answer.context

    def _check_read(self, look: Look, got: Got) -> None:
        self.checked += 1
        seen = stamp_of(got.context)
        if seen or got.siblings:  # else the tombstone of what was deleted, or has expired, was collected
            assert seen >= look.promised, (
                f"{look.key}: a strict read finds {seen}, and {look.promised} was acknowledged"
            )
        elif look.promised:
            last = max(self.writes[look.key], key=lambda one: one.stamp)
            is_over = last.deletes or self.ttl_s or self._may_be_deleted(look.key)
            assert is_over, f"{look.key}: nothing is found of {last.value!r}"
        for value in got.siblings:
            self._check_value(look.key, value, look.asked_at)

    def _may_be_deleted(self, key: str) -> bool:
        """Whether a deletion ended as `maybe`: it may have happened, under a stamp of a clock that is ahead."""
        return any(one.deletes and one.result.ended and not one.stamp and not one.refused for one in self.writes[key])

    def _check_value(self, key: str, value: bytes, asked_at: float) -> None:
        [write] = [one for one in self.writes[key] if one.value == value and not one.deletes]
        assert not write.refused, f"{key}: {value!r} was refused for good and is there"
        if self.ttl_s:
            latest = write.asked_at + TIMEOUT_S + self.ttl_s + 2 * CLOCKS_APART_S
            assert asked_at <= latest, f"{key}: {value!r} ended long ago and is there"

    def check(self) -> None:
        """Once all has settled."""
        fleet = self.fleet
        nodes = fleet.nodes.values()
        fleet.until(lambda: not any(node.replication.antientropy.unverified() for node in nodes), 120.0)
        self.look()
        for key, writes in self.writes.items():
            self.refused_by_clock += sum(isinstance(one.result.error, WrongClock) for one in writes)
            rows = {fleet.stored(name, key) for name in fleet.owners(key)}
            assert len(rows) == 1, f"{key} differs between its owners"
            _, cell = split(rows.pop())
            acknowledged = [one for one in writes if one.stamp]
            if cell is None:
                greatest = max(acknowledged, key=lambda one: one.stamp, default=None)
                is_over = greatest is None or greatest.deletes or self.ttl_s or self._may_be_deleted(key)
                assert is_over, f"{key}: {greatest} is lost"
                continue
            for one in acknowledged:
                assert one.stamp <= cell.generation[0], (
                    f"{key}: {one.value!r} was acknowledged, is greater, and is lost"
                )
                if one.stamp == cell.generation[0] and len({w.stamp for w in acknowledged}) == len(acknowledged):
                    assert cell.value == (None if one.deletes else one.value)
            if cell.value is not None:
                self._check_value(key, cell.value, 0.0)
