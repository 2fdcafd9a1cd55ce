"""What the key-value store has promised, key by key, and the look at the end whether it kept it.

Each key has one writer with one write under way at a time, and each write names in its context the one before. So there
is one value that must be there: the one acknowledged last. A write that ended `maybe` may be there instead of it, for
good or later; such a key is not written again (a fresh one takes its place), and both values are allowed.

Every acknowledged write is read back, strictly, and until the cluster has had the time to repair itself. A promise
counts as broken only if a strict read that was not degraded misses it after every node has reported that it votes and
keeps no hint for anybody: before that, the copy may be on its way. What could not be read so until the deadline is
`unchecked`, which makes a run inconclusive, never green.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from time import monotonic
from typing import NamedTuple, TypeGuard

from cluster.client.aio import Calls, Got, Outcome, PutDone
from cluster.errors import ClusterError
from dsectl.load.cells import CellKey
from dsectl.load.plan import Payloads
from dsectl.load.tally import LoadReport

KEPT_BYTES_MAX = 256


class Key:
    """One key, from its first write to its last."""

    __slots__ = ("acknowledged", "busy", "context", "doubtful", "name", "refused", "sent", "value")
    cell = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.context: bytes | None = None
        """The encoded clock of the acknowledged value: what the next write replaces."""
        self.sent = 0
        """The number of the last write; numbers begin with 1."""
        self.acknowledged = 0
        """The number of the write that must be there; 0 for none."""
        self.doubtful = 0
        """The number of the write that may be there instead; 0 for none."""
        self.refused: set[int] | None = None
        """Writes that surely did not happen."""
        self.busy = False
        """A write is under way."""
        self.value: bytes | None = None
        """The last value that was sent, where it is small enough to be kept: most reads show just that."""


class Reading(NamedTuple):
    """What values that were read from a key tell."""

    strange: list[bytes]
    """Those that nobody wrote: unknown, altered, or refused for certain."""
    risen: list[bytes]
    """Those that an acknowledged write has replaced, and that are there beside it all the same."""
    is_kept: bool
    """The promise is kept, if no write is under way: the value acknowledged last is there, or the one that may have
    replaced it."""
    newest: int


class Ledger:
    """All keys of one generator. Those of one ledger begin with `prefix`, and nobody else writes there."""

    def __init__(self, prefix: str, count: int, payloads: Payloads) -> None:
        self.prefix = prefix
        self.payloads = payloads
        self.keys: list[Key] = []
        """By index, those that are in use."""
        self.retired: list[Key] = []
        """Those whose last write ended `maybe`."""
        for _ in range(count):
            self.add()

    def add(self) -> Key:
        """One more key."""
        key = Key(f"{self.prefix}{len(self.keys):06d}")
        self.keys.append(key)
        return key

    def written(self) -> list[Key]:
        """All keys that were written, or may have been."""
        return [key for key in (*self.retired, *self.keys) if key.sent]

    # -- writing

    def begin(self, key: Key) -> bytes:
        """A write of `key` is sent; returns its value."""
        assert not key.busy and not key.doubtful
        key.busy = True
        key.sent += 1
        value = self.payloads.make(key.name, key.sent)
        key.value = value if len(value) <= KEPT_BYTES_MAX else None
        return value

    def acknowledge(self, key: Key, context: bytes) -> None:
        """The write was acknowledged, with the context that covers it."""
        key.busy = False
        key.acknowledged = key.sent
        key.context = context or None

    def refuse(self, key: Key) -> None:
        """The write surely did not happen."""
        key.busy = False
        if key.refused is None:
            key.refused = set()
        key.refused.add(key.sent)

    def doubt(self, key: Key, index: int) -> Key:
        """The write may have happened. Returns the key that takes its place at `index`."""
        key.busy = False
        key.doubtful = key.sent
        self.retired.append(key)
        stem, _, turn = key.name.partition("+")
        fresh = Key(f"{stem}+{int(turn or 0) + 1}")
        self.keys[index] = fresh
        return fresh

    def settle(self, key: Key, index: int, outcome: Outcome) -> None:
        """The write of the key at `index` has ended."""
        if is_acknowledged(outcome):
            self.acknowledge(key, outcome.context)
        elif isinstance(outcome, ClusterError) and outcome.definite:
            self.refuse(key)
        else:
            self.doubt(key, index)

    # -- reading

    def is_newest(self, key: Key, values: list[bytes], then: bytes | None) -> bool:
        """Whether a read shows just the last write, or just that which was the last (`then`) when the read began: that
        answers all questions. False where values are not kept."""
        return len(values) == 1 and values[0] in (key.value, then) and not key.refused

    def reading(self, key: Key, values: list[bytes]) -> "Reading":
        """Compare what was read from `key` with what was written."""
        numbers = [self.payloads.number(key.name, value) or 0 for value in values]
        refused, allowed = key.refused or (), {key.acknowledged, key.doubtful} - {0}
        written = [1 <= number <= key.sent and number not in refused for number in numbers]
        read = list(zip(values, numbers, written, strict=True))
        there = not allowed.isdisjoint(numbers)
        return Reading(
            [value for value, _, is_written in read if not is_written],
            [value for value, number, is_written in read if is_written and there and number not in allowed],
            there or not key.acknowledged,
            max(numbers, default=0),
        )

    # -- accounting

    def accuse(self, key: Key, values: list[bytes], found: LoadReport, why: str = ", which was never written") -> None:
        """Values were read that must not be there."""
        found.unexpected += len(values)
        for value in values:
            found.example(f"{key.name} held {value[:40]!r}{why}")

    def decide(self, key: Key, answer: Outcome | None, settled: bool, found: LoadReport) -> bool:
        """Judge what a strict read shows of a key once no write is under way; whether it is decided by that."""
        if not isinstance(answer, Got):
            return False
        strange, risen, kept, _ = self.reading(key, answer.siblings)
        sure = settled and not answer.degraded
        if not sure and not strange and (risen or not kept):
            return False
        found.checked += 1
        if sure and not kept:
            found.lost += 1
            found.example(f"{key.name}: write {key.acknowledged} was acknowledged and is lost")
        self.accuse(key, strange, found)
        if sure:
            self.accuse(key, risen, found, " beside the write that replaced it")
        return True


def is_acknowledged(outcome: Outcome) -> TypeGuard[PutDone]:
    """Whether an outcome says that a write was done."""
    return type(outcome) is PutDone and outcome.outcome != "maybe"


AT_ONCE = 64
PREPARE_S = 30.0


async def read_all(calls: Calls, keys: Iterable[Key | CellKey], until: float, answers: dict[str, Outcome]) -> None:
    """Read each key strictly, some at a time; its outcome is put among the answers, by name. Those that the time did
    not suffice for are missing."""

    def reads() -> Iterator[Begin]:
        for key in list(keys):
            left_s = until - monotonic()
            if left_s <= 0:
                return
            begin = partial(calls.get, key.name, strict=True, within=min(calls.timeout, left_s), cell=key.cell)
            yield begin, partial(answers.__setitem__, key.name)

    await some_at_a_time(reads())


async def prepare_keys(calls: Calls, ledger: Ledger, is_stopped: Callable[[], bool]) -> int:
    """Write every key once, some at a time, as YCSB's load phase does. Returns how many were acknowledged; raises the
    last error when none was."""
    errors: list[ClusterError] = []
    until = monotonic() + PREPARE_S

    def writes() -> Iterator[Begin]:
        for index, key in enumerate(list(ledger.keys)):
            if monotonic() >= until or is_stopped():
                return
            yield partial(calls.put, key.name, ledger.begin(key), None), partial(answered, key, index)

    def answered(key: Key, index: int, outcome: Outcome) -> None:
        if isinstance(outcome, ClusterError) and outcome.definite:
            errors.append(outcome)
        ledger.settle(key, index, outcome)

    await some_at_a_time(writes())
    acknowledged = sum(bool(key.acknowledged) for key in ledger.keys)
    if not acknowledged and errors:
        raise errors[-1]
    return acknowledged


Begin = tuple[Callable[[Callable[[Outcome], None]], object], Callable[[Outcome], None]]
"""What begins an operation, given whom to call with its outcome, and who wants that."""


async def some_at_a_time(operations: Iterator[Begin]) -> None:
    """Keep AT_ONCE operations under way until there is none any more and all have ended. The next one is asked for when
    it can begin."""
    free = asyncio.Semaphore(AT_ONCE)

    def ended(answered: Callable[[Outcome], None], outcome: Outcome) -> None:
        answered(outcome)
        free.release()

    await free.acquire()
    while (operation := next(operations, None)) is not None:
        begin, answered = operation
        begin(partial(ended, answered))
        await free.acquire()
    for _ in range(AT_ONCE - 1):
        await free.acquire()
