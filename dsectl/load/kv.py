"""The load on the key-value store: what one operation does, and what its answer means for the ledger.

The hot path: an operation is one small object, called back with the outcome. A key that has a write under way is passed
over for the next free one, so that every write has the context of the one before; when all have, the operation waits,
and its waiting counts.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from random import Random
from time import monotonic

from cluster.client.aio import Calls, Got, KeysFound, Outcome
from dsectl.load.cells import CellKey, is_updated
from dsectl.load.generator import FamilyLoad, OfferedOperation
from dsectl.load.ledger import Key, Ledger, is_acknowledged, read_all
from dsectl.load.plan import INCR, INSERT, READ, RMW, SADD, SCAN, WRITE, KeySpace, LoadPlan, key_chooser, kind_chooser
from dsectl.load.tally import KindTally, Tally

SCAN_KEYS_MAX = 100
"""A scan asks for 1 to so many keys, evenly, as YCSB's does."""
PAUSE_S = 0.1
"""Between two times of reading back."""
FIRST_S = 2.0


class _Write(OfferedOperation):
    """One write; as the second half of `rmw`, its times are those of the whole."""

    __slots__ = ("index", "key")
    load: "KvLoad"

    def __init__(self, load: "KvLoad", kind: KindTally, index: int, due: float) -> None:
        super().__init__(load, kind, due)
        self.index = index
        self.key = load.ledger.keys[index]

    def send(self) -> None:
        self.load.calls.put(self.key.name, self.load.ledger.begin(self.key), self.key.context, self)

    def __call__(self, outcome: Outcome) -> None:
        load = self.load
        refused = self.count(outcome, is_acknowledged(outcome))
        load.ledger.settle(self.key, self.index, outcome)
        load.freed(self.index)
        load.ended(refused)


class _Read(OfferedOperation):
    """One read. What it shows must have been written, and `stale` counts when it is older than what was promised."""

    __slots__ = ("acknowledged", "key", "value")
    load: "KvLoad"

    def __init__(self, load: "KvLoad", kind: KindTally, key: Key, due: float) -> None:
        super().__init__(load, kind, due)
        self.key = key
        self.acknowledged, self.value = key.acknowledged, key.value
        load.calls.get(key.name, self)

    def __call__(self, outcome: Outcome) -> None:
        load = self.load
        refused = self.count(outcome, type(outcome) is Got)
        if type(outcome) is Got:
            load.look(self.key, outcome.siblings, self.acknowledged, self.value)
        load.ended(refused)


class _ReadThenWrite(_Write):
    """Read-modify-write: it holds its key from the beginning, so that nothing is written in between."""

    __slots__ = ()

    def send(self) -> None:
        self.key.busy = True
        self.load.calls.get(self.key.name, self.read)

    def read(self, outcome: Outcome) -> None:
        load, key = self.load, self.key
        key.busy = False
        if type(outcome) is Got:
            load.look(key, outcome.siblings, key.acknowledged, key.value)
            super().send()
            return
        refused = self.count(outcome, False)
        load.freed(self.index)
        load.ended(refused)


class _KeyScan(OfferedOperation):
    """The next keys in order: every node lists those that it owns, and the answers make one page."""

    __slots__ = ("errors", "left")
    load: "KvLoad"

    def __init__(self, load: "KvLoad", kind: KindTally, due: float, after: str, limit: int) -> None:
        super().__init__(load, kind, due)
        self.errors: list[Outcome] = []
        nodes = load.calls.router.nodes
        self.left = len(nodes)
        for node in nodes:
            load.calls.keys(node, load.ledger.prefix, after, limit, self)

    def __call__(self, outcome: Outcome) -> None:
        self.left -= 1
        if type(outcome) is not KeysFound:
            self.errors.append(outcome)
        if not self.left:  # of every key at least one owner has answered when fewer than all its copies are silent
            refused = self.count(self.errors[0] if self.errors else outcome, len(self.errors) < self.load.copies)
            self.load.ended(refused)


class _CellUpdate(OfferedOperation):
    """One increment, or addition to a set; others may be under way on the same key."""

    __slots__ = ("cell", "item")
    load: "KvLoad"

    def __init__(self, load: "KvLoad", kind: KindTally, cell: CellKey, due: float) -> None:
        super().__init__(load, kind, due)
        self.cell = cell
        self.item, change = cell.begin()
        load.calls.update(cell.name, change, self)

    def __call__(self, outcome: Outcome) -> None:
        refused = self.count(outcome, is_updated(outcome))
        self.cell.settle(self.item, outcome)
        self.load.ended(refused)


CHANGES = {WRITE: _Write, RMW: _ReadThenWrite}


class KvLoad(FamilyLoad):
    """One generator's load. `copies`: how many a key has; `is_settled` asks all nodes whether nothing is on its way any
    more."""

    def __init__(
        self,
        plan: LoadPlan,
        calls: Calls,
        tally: Tally,
        ledger: Ledger,
        copies: int,
        is_settled: Callable[[], Awaitable[bool]],
    ) -> None:
        super().__init__(calls, tally)
        random = Random(plan.seed)
        self.ledger = ledger
        self.copies = copies
        self._is_settled = is_settled
        self._random = random
        self._kinds = {kind: tally.kind(kind) for kind in plan.mix.shares}
        self._next = kind_chooser(plan.mix, random)
        self._pick = key_chooser(KeySpace(plan.keys.count, plan.keys.distribution or plan.mix.distribution), random)
        self._busy = 0
        self._waiting: deque[tuple[type[_Write], KindTally, float]] = deque()
        self._cells = {
            kind: [CellKey(kind, f"{ledger.prefix}{kind}-{number:06d}") for number in range(plan.keys.count)]
            for kind in (INCR, SADD)
            if kind in plan.mix.shares
        }
        self._undecided: list[Key | CellKey] | None = None
        """Keys that were not read back yet; None before it begins."""

    def start(self, due: float) -> None:
        """Begin one operation that was due then. A change meets the chosen key, or the next one that has no write under
        way."""
        kind, keys = self._next(), self.ledger.keys
        tally = self._kinds[kind]
        if kind == READ:
            _Read(self, tally, keys[self._pick(len(keys))], due)
        elif kind == SCAN:
            after = keys[self._pick(len(keys))].name
            _KeyScan(self, tally, due, after, self._random.randint(1, SCAN_KEYS_MAX))
        elif kind == INSERT:
            self.ledger.add()
            self._busy += 1
            _Write(self, tally, len(keys) - 1, due).send()
        elif kind in self._cells:
            cells = self._cells[kind]
            _CellUpdate(self, tally, cells[self._pick(len(keys)) % len(cells)], due)
        elif self._busy >= len(keys):
            self._waiting.append((CHANGES[kind], tally, due))
        else:
            index = self._pick(len(keys))
            while keys[index].busy:
                index = (index + 1) % len(keys)
            self._busy += 1
            CHANGES[kind](self, tally, index, due).send()

    def freed(self, index: int) -> None:
        """A write of the key at `index` is over."""
        self._busy -= 1
        if self._waiting:
            operation, kind, due = self._waiting.popleft()
            self._busy += 1
            operation(self, kind, index, due).send()

    def look(self, key: Key, values: list[bytes], acknowledged: int, then: bytes | None) -> None:
        """Compare what a read shows with what was written, and with what was acknowledged and sent when it began."""
        if self.ledger.is_newest(key, values, then):
            return
        reading = self.ledger.reading(key, values)
        self.ledger.accuse(key, reading.strange, self.found)
        self.found.stale += reading.newest < acknowledged

    async def check(self, patience_s: float) -> None:
        """Read all keys back; those in doubt again and again for so long. The first time is given FIRST_S at least.
        When it is cancelled, what was read by then counts."""
        until = monotonic() + patience_s
        left = self._undecided = self._written()
        settled, at_least = False, monotonic() + FIRST_S
        while True:
            answers: dict[str, Outcome] = {}
            try:
                await read_all(self.calls, left, max(until, at_least), answers)
            finally:
                left = [key for key in left if not self._decide(key, answers.get(key.name), settled)]
                self._undecided = left
            at_least = 0.0
            if not left or monotonic() >= until:
                return
            await asyncio.sleep(PAUSE_S)
            settled = await self._is_settled()

    def end(self) -> None:
        """What was not read back is unchecked."""
        self.found.unchecked = len(self._written() if self._undecided is None else self._undecided)

    def _written(self) -> list[Key | CellKey]:
        return [*self.ledger.written(), *(cell for cells in self._cells.values() for cell in cells if cell.sent)]

    def _decide(self, key: Key | CellKey, answer: Outcome | None, settled: bool) -> bool:
        if isinstance(key, CellKey):
            return key.decide(answer, settled, self.found)
        return self.ledger.decide(key, answer, settled, self.found)
