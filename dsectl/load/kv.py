"""The load on the key-value store: what one operation does, and what its answer means for the ledger.

The hot path: an operation is one small object, called back with the outcome. A key that has a write under way is passed
over for the next free one, so that every write has the context of the one before; when all have, the operation waits,
and its waiting counts.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from random import Random
from time import monotonic

from cluster.client.aio import Calls, Got, KeysFound, Outcome, PutDone
from dsectl.load.ledger import Key, Ledger, ReadBack
from dsectl.load.plan import INSERT, READ, RMW, SCAN, WRITE, Chooser, KeySpace, KindChooser, LoadPlan
from dsectl.load.tally import EXAMPLES_MAX, KindTally, LoadReport, Tally

SCAN_KEYS_MAX = 100
"""A scan asks for 1 to so many keys, evenly, as YCSB's does."""
MAYBE = "maybe"
Ended = Callable[[bool], None]


class Write:
    """One write; as the second half of `rmw`, its times are those of the whole."""

    __slots__ = ("due", "index", "key", "kind", "load", "sent")

    def __init__(self, load: "KvLoad", kind: KindTally, index: int, due: float) -> None:
        self.load = load
        self.kind = kind
        self.index = index
        self.key = load.ledger.keys[index]
        self.due = due
        self.sent = monotonic()

    def send(self) -> None:
        """Send it."""
        key, load = self.key, self.load
        load.calls.put(key.name, load.ledger.begin(key), key.context, self)

    def __call__(self, outcome: Outcome) -> None:
        """It was answered, or given up."""
        now = monotonic()
        load, kind = self.load, self.kind
        definite: bool | None = False
        if type(outcome) is PutDone and outcome.outcome != MAYBE:
            kind.ok += 1
            kind.timed(self.due, self.sent, now)
            load.ledger.acknowledge(self.key, outcome.context)
        else:
            definite = load.tally.went_wrong(kind, outcome, self.due, self.sent, now)
            if definite:
                load.ledger.refuse(self.key)
            else:
                load.ledger.doubt(self.key, self.index)
        load.freed(self.index)
        load.ended(definite is True)


class Read:
    """One read. What it shows must have been written, and `stale` counts when it is older than what was promised."""

    __slots__ = ("acknowledged", "due", "key", "kind", "load", "sent", "value")

    def __init__(self, load: "KvLoad", kind: KindTally, key: Key, due: float) -> None:
        self.load = load
        self.kind = kind
        self.key = key
        self.acknowledged, self.value = key.acknowledged, key.value
        self.due = due
        self.sent = monotonic()

    def send(self) -> None:
        """Send it."""
        self.load.calls.get(self.key.name, self)

    def __call__(self, outcome: Outcome) -> None:
        """It was answered, or given up."""
        now = monotonic()
        load, kind = self.load, self.kind
        definite: bool | None = False
        if type(outcome) is Got:
            kind.ok += 1
            kind.timed(self.due, self.sent, now)
            load.look(self.key, outcome.siblings, self.acknowledged, self.value)
        else:
            definite = load.tally.went_wrong(kind, outcome, self.due, self.sent, now)
        load.ended(definite is True)


class ReadThenWrite(Write):
    """Read-modify-write: it holds its key from the beginning, so that nothing is written in between."""

    __slots__ = ()

    def send(self) -> None:
        """Send the read."""
        self.key.busy = True
        self.load.calls.get(self.key.name, self.read)

    def read(self, outcome: Outcome) -> None:
        """The read was answered."""
        load, key = self.load, self.key
        key.busy = False
        if type(outcome) is Got:
            load.look(key, outcome.siblings, key.acknowledged, key.value)
            load.calls.put(key.name, load.ledger.begin(key), key.context, self)
            return
        definite = load.tally.went_wrong(self.kind, outcome, self.due, self.sent, monotonic())
        load.freed(self.index)
        load.ended(definite is True)


class KeyScan:
    """The next keys in order: every node lists those that it owns, and the answers make one page."""

    __slots__ = ("due", "errors", "kind", "left", "load", "sent")

    def __init__(self, load: "KvLoad", kind: KindTally, due: float) -> None:
        self.load = load
        self.kind = kind
        self.due = due
        self.errors: list[Outcome] = []
        self.sent = monotonic()
        self.left = 0

    def send(self, after: str, limit: int) -> None:
        """Ask all nodes."""
        calls = self.load.calls
        nodes = calls.router.nodes
        self.left = len(nodes)
        for node in nodes:
            calls.keys(node, self.load.ledger.prefix, after, limit, self)

    def __call__(self, outcome: Outcome) -> None:
        """One node has answered, or was given up."""
        self.left -= 1
        if type(outcome) is not KeysFound:
            self.errors.append(outcome)
        if self.left:
            return
        now = monotonic()
        load, kind = self.load, self.kind
        definite: bool | None = False
        if len(self.errors) < load.copies:  # of every key at least one owner has answered
            kind.ok += 1
            kind.timed(self.due, self.sent, now)
        else:
            definite = load.tally.went_wrong(kind, self.errors[0], self.due, self.sent, now)
        load.ended(definite is True)


CHANGES = {WRITE: Write, RMW: ReadThenWrite}


class KvLoad:
    """One generator's load. `ended(refused)` is to be set before the first `start`. `copies`: how many a key has;
    `is_settled`: see ReadBack."""

    def __init__(
        self,
        plan: LoadPlan,
        calls: Calls,
        tally: Tally,
        ledger: Ledger,
        copies: int,
        is_settled: Callable[[], Awaitable[bool]],
    ) -> None:
        random = Random(plan.seed)
        self.calls = calls
        self.tally = tally
        self.ledger = ledger
        self.copies = copies
        self.readback = ReadBack(calls, ledger, is_settled)
        self.ended: Ended = lambda refused: None
        self.unexpected = 0
        self.stale = 0
        self.examples: list[str] = []
        self._random = random
        self._kinds = {kind: tally.kind(kind) for kind in plan.mix.shares}
        self._next = KindChooser(plan.mix, random).pick
        space = KeySpace(plan.keys.count, plan.keys.distribution or plan.mix.distribution)
        self._pick = Chooser(space, random).pick
        self._busy = 0
        self._waiting: deque[tuple[type[Write], KindTally, float]] = deque()

    def start(self, due: float) -> None:
        """Begin one operation that was due then. A change meets the chosen key, or the next one that has no write under
        way."""
        kind, keys = self._next(), self.ledger.keys
        tally = self._kinds[kind]
        if kind == READ:
            Read(self, tally, keys[self._pick(len(keys))], due).send()
        elif kind == SCAN:
            after = keys[self._pick(len(keys))].name
            KeyScan(self, tally, due).send(after, self._random.randint(1, SCAN_KEYS_MAX))
        elif kind == INSERT:
            self.ledger.add()
            self._busy += 1
            Write(self, tally, len(keys) - 1, due).send()
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
        for value in self.ledger.unexpected(key, values):
            self.unexpected += 1
            if len(self.examples) < EXAMPLES_MAX:
                self.examples.append(f"{key.name} held {value[:40]!r}, which was never written")
        if acknowledged and self.ledger.is_stale(key, values, acknowledged):
            self.stale += 1

    async def check(self, patience_s: float) -> None:
        """Read all that was acknowledged back."""
        await self.readback.run(patience_s)

    def enter(self, report: LoadReport) -> None:
        """Write the findings down; what was not read back is unchecked."""
        report.unexpected, report.stale, report.examples = self.unexpected, self.stale, self.examples
        self.readback.enter(report)
