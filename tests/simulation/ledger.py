"""Every write of a run, what its writer had seen, and what that allows a read to say.

The model of causality is a set: a write *covers* the writes that its context covers, and those that these cover. A read
returns siblings, and with them all that they cover. Two things then hold, exactly:

- nothing acknowledged vanishes: it is returned, or covered by what is returned, or by a delete (which a read hides);
- nothing comes back: what an acknowledged write covers is not returned once all replicas were read.

Contexts are tokens here as for any client: the model never looks into them.
"""

from dataclasses import dataclass, field

from cluster.simulation.client import ClientOperation, SimulatedClient
from cluster.simulation.fleet import Fleet, SimulatedRequest
from cluster.wire.kv import Get, Got, Put, PutDone
from tests.simulation.witness import Witness

TIMEOUT_S = 1.0
MARGIN_S = 0.3
"""How long after its deadline a client's operation must have ended: its grace of 0.1 s, and a beat."""
LATE_S = 0.01
"""Clocks of two nodes are compared over a connection, so a deadline is exact to this."""

Seen = frozenset[int]
"""Numbers of writes."""

NOTHING: Seen = frozenset()


@dataclass
class Write:
    """One write. `covers` is what its context covers, as far as its writer can know."""

    number: int
    key: str
    covers: Seen
    deletes: bool
    result: SimulatedRequest | ClientOperation
    asked_at: float
    by_client: bool
    value: bytes
    """Unlike that of any other write; of any length, so that records lie anywhere."""

    @property
    def outcome(self) -> str:
        """`ok`, `ok-sloppy`, `maybe`, `no`, or `unknown` while there is no answer (or its node died)."""
        if isinstance(self.result.answer, PutDone):
            return self.result.answer.outcome
        return "unknown" if self.result.error is None else "no" if self.result.error.definite else "maybe"

    @property
    def acknowledged(self) -> bool:
        """Whether the client was told that it is kept."""
        return self.outcome in ("ok", "ok-sloppy")


@dataclass
class Read:
    """One read. `promised` are the writes that were `ok` when it was asked."""

    key: str
    result: SimulatedRequest | ClientOperation
    promised: Seen
    session: "Session | None"
    asked_at: float
    via: str | None
    by_client: bool
    strict: bool


@dataclass
class Session:
    """One client: the context that it has of each key, and what that covers. One operation a key at a time."""

    client: SimulatedClient | None = None
    """Its connections; without, its operations enter at the handlers of a node."""
    contexts: dict[str, tuple[bytes | None, Seen]] = field(default_factory=dict)
    busy: dict[str, Write | Read] = field(default_factory=dict)


class Ledger:
    """All writes, by number, and the reads under way."""

    def __init__(self, fleet: Fleet, *, large_bytes: int = 0) -> None:
        """`large_bytes`: the size of every fourth value."""
        self.fleet = fleet
        self.large_bytes = large_bytes
        self.writes: list[Write] = []
        self.keys: dict[str, list[Write]] = {}
        self.reading: list[Read] = []
        self.done: list[Read] = []
        self.reads_checked = 0
        self._ended = 0  # all writes before this one have
        self.witness = Witness(fleet.world)

    # -- operations

    def write(self, via: str | None, key: str, session: Session, *, deletes: bool = False, blind: bool = False) -> None:
        """Write through a node, or the one that the client chooses, with the session's context unless `blind`."""
        token, seen = (None, NOTHING) if blind else session.contexts.get(key, (None, NOTHING))
        number = len(self.writes)
        size = self.large_bytes if number % 4 == 3 and self.large_bytes else number * 37 % 200
        value = b"" if deletes else b"%d:" % number + bytes(size)
        client = session.client
        write = Write(
            number, key, seen, deletes, SimulatedRequest(None, 0.0), self.fleet.world.now, client is not None, value
        )
        if client is None:
            assert via is not None
            write.result = self.fleet.put(via, key, value, TIMEOUT_S, context=token, deleted=deletes)
        else:
            body = Put(key, value, client.router.operation_id(), token, deleted=deletes)
            write.result = client.ask(body, key=key, node=via, timeout=TIMEOUT_S)
        self.writes.append(write)
        self.keys.setdefault(key, []).append(write)
        if not blind:
            session.busy[key] = write

    def read(self, via: str | None, key: str, session: Session | None = None, *, strict: bool = False) -> None:
        """Read through a node, or one of the client's choice; checked once it has ended, see `look`."""
        self.look()
        promised = frozenset(write.number for write in self.keys.get(key, []) if write.outcome == "ok")
        client = None if session is None else session.client
        if client is None:
            assert via is not None
            result: SimulatedRequest | ClientOperation = self.fleet.get(via, key, TIMEOUT_S, strict=strict)
        else:
            result = client.ask(Get(key, strict=strict), key=key, node=via, timeout=TIMEOUT_S)
        read = Read(key, result, promised, session, self.fleet.world.now, via, client is not None, strict)
        self.reading.append(read)
        if session is not None:
            session.busy[key] = read

    def is_busy(self, session: Session, key: str) -> bool:
        """Whether the session waits for an operation on the key: of a node that died, for as long as a deadline."""
        operation = session.busy.get(key)
        if operation is not None and operation.result.ended:
            del session.busy[key]
            self._learn(session, key, operation)
            return False
        return operation is not None

    def _learn(self, session: Session, key: str, operation: Write | Read) -> None:
        answer = operation.result.answer
        if isinstance(answer, PutDone) and isinstance(operation, Write):
            if answer.context:
                session.contexts[key] = answer.context, operation.covers | {operation.number}
        elif isinstance(answer, Got):
            session.contexts[key] = answer.context, self._covered(key, answer)

    def give_up(self, session: Session, key: str) -> None:
        """The node that was asked is gone: the client goes on with the context that it has."""
        session.busy.pop(key, None)

    def _covered(self, key: str, got: Got) -> Seen:
        """All that a read's siblings are and cover."""
        shown = [self._written(key, value) for value in got.siblings]
        return frozenset(write.number for write in shown).union(*(write.covers for write in shown))

    def _written(self, key: str, value: bytes) -> Write:
        number = value.partition(b":")[0]
        assert number.isdigit() and int(number) < len(self.writes), f"{key}: {value!r} was never written"
        write = self.writes[int(number)]
        assert (write.key, write.value) == (key, value) and not write.deletes, f"{key}: {value!r} was never written"
        assert write.outcome != "no", f"{key}: {value!r} was refused for good and is there"
        return write

    # -- what reads may say

    def look(self) -> None:
        """Check the reads that have ended, and that what clients asked for has ended in time."""
        self._check_ended()
        for read in [read for read in self.reading if read.result.ended]:
            self.reading.remove(read)
            self.done.append(read)
            answer = read.result.answer
            if isinstance(answer, Got):
                strict = read.strict
                self._check_values(read.key, answer)
                if strict or not answer.degraded:
                    how = f"{'strict' if strict else 'plain'} read through {read.via} at {read.asked_at:.3f}"
                    self._check_promised(read.key, answer, read.promised, how)
                    self.reads_checked += 1

    def _check_ended(self) -> None:
        """A client's operation ends with its deadline, whatever happens to the nodes."""
        now = self.fleet.world.now
        operations: list[Read | Write] = [*self.reading, *self.writes[self._ended :]]
        waiting = [one for one in operations if not one.result.ended]
        late = [one for one in waiting if one.by_client and now > one.asked_at + TIMEOUT_S + MARGIN_S]
        assert not late, f"{len(late)} operations have not ended {MARGIN_S} s after their deadline: {late[0]}"
        while self._ended < len(self.writes) and self.writes[self._ended].result.ended:
            self._ended += 1

    def _check_values(self, key: str, got: Got) -> None:
        assert len(set(got.siblings)) == len(got.siblings), f"{key}: a value is returned twice"
        for value in got.siblings:
            self._written(key, value)

    def _check_promised(self, key: str, got: Got, promised: Seen, how: str) -> None:
        """Whether what was promised is returned, or covered by what is, or by a delete."""
        told = self._covered(key, got)
        for write in self.keys.get(key, []):
            if write.deletes and write.outcome != "no":
                told |= write.covers | {write.number}
        lost = sorted(promised - told)
        shown = [value.partition(b":")[0].decode() for value in got.siblings]
        assert not lost, f"{how}: {key} shows writes {shown}, and not {lost}, which were acknowledged"

    # -- the end

    def check(self) -> None:
        """After everything has healed: every node is well, nothing was done late, and all keys are there. They are
        read strictly from all owners, which also repairs what differs."""
        self.look()
        self.check_executed()
        self.check_health()
        fleet = self.fleet
        for place, (key, writes) in enumerate(sorted(self.keys.items())):
            via = fleet.up[place % len(fleet.up)]
            got = self._read_all_owners(via, key)
            self._check_values(key, got)
            assert not got.degraded, f"{key}: degraded, though everything has settled"
            acknowledged = frozenset(write.number for write in writes if write.acknowledged)
            self._check_promised(key, got, acknowledged, f"after healing, through {via}")
            gone = NOTHING.union(*(write.covers for write in writes if write.acknowledged))
            back = [value for value in got.siblings if self._written(key, value).number in gone]
            assert not back, f"{key}: {back} are back, though acknowledged writes had replaced them"

    def _read_all_owners(self, via: str, key: str) -> Got:
        """A strict read of all three. The first one over a connection whose other end lost power in silence fails."""
        for _ in range(3):
            result = self.fleet.wait(self.fleet.get(via, key, strict=True, r=3))
            if isinstance(result.answer, Got):
                return result.answer
        raise AssertionError(f"{key}: {result.error}")

    def check_executed(self) -> None:
        """Whether every write that a coordinator began was still wanted then."""
        for write in self.writes:
            body = write.result.body
            assert isinstance(body, Put)
            at = self.witness.executed.get(body.operation)
            late = 0.0 if at is None else at - write.asked_at - TIMEOUT_S
            assert late < LATE_S, f"write {write.number} to {write.key} was begun {late:.3f} s after its deadline"

    def check_health(self) -> None:
        """Whether every node says that it is well."""
        ill = {
            name: told for name, node in self.fleet.nodes.items() if not (told := node.answers.health({}))["healthy"]
        }
        assert not ill, f"unwell, though everything has settled: {ill}"

    def acknowledged(self) -> int:
        """How many writes were acknowledged."""
        return sum(write.acknowledged for write in self.writes)
