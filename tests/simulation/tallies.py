"""The account of counters and sets under faults: what was counted and added, and what the end has to show.

Each increment of a counter is a power of four, so that the digits of the sum say of each how often it was counted: not
at all, once, or (red) more than once. Items are added under many names, some again and again, and removed with the
context of a read that showed them.
"""

from dataclasses import dataclass, field
from functools import partial
from random import Random

from cluster.simulation.fleet import Fleet, SimulatedRequest
from cluster.wire.kv import AddItems, Got, Increment, KvOperation, Remove, RemoveItems, Updated

ACKNOWLEDGED = ("ok", "ok-sloppy")
DIGITS_MAX = 30
"""Of a counter of 64 bits."""
COUNTERS = [f"hits-{number}" for number in range(5)]
SETS = [f"tags-{number}" for number in range(3)]
ITEMS_OFTEN = [b"often-%d" % number for number in range(4)]
"""Those that are added again and again."""


@dataclass
class Change:
    """One update of a key, with its retries."""

    key: str
    change: KvOperation
    operation: str
    results: list[SimulatedRequest]
    seen: frozenset[int] = frozenset()
    """Of a removal: the numbers of the additions that its context covers."""

    @property
    def outcome(self) -> str:
        """`ok`, `ok-sloppy`, `maybe`, `no`, or `unknown` (its coordinator is gone): the best that any attempt heard."""
        found = [_outcome(result) for result in self.results]
        first = found[0]
        return next((one for one in found if one in ACKNOWLEDGED), first)

    @property
    def acknowledged(self) -> bool:
        return self.outcome in ACKNOWLEDGED

    @property
    def may_have_happened(self) -> bool:
        return self.outcome != "no"


def _outcome(result: SimulatedRequest) -> str:
    if isinstance(result.answer, Updated):
        return result.answer.outcome
    return "unknown" if result.error is None else "no" if result.error.definite else "maybe"


@dataclass
class Seen:
    """A read of a set that has ended: its context, its items, and the additions that had been acknowledged when it was
    asked and may since be in what it shows."""

    context: bytes
    items: list[bytes]
    additions: frozenset[int]


@dataclass
class Tallies:
    """See the module."""

    fleet: Fleet
    random: Random
    counted: dict[str, list[Change]] = field(default_factory=lambda: {key: [] for key in COUNTERS})
    added: list[Change] = field(default_factory=list)
    removed: list[Change] = field(default_factory=list)
    reads: list[tuple[str, frozenset[int], SimulatedRequest]] = field(default_factory=list)
    seen: dict[str, Seen] = field(default_factory=dict)
    retried: int = 0
    promised: tuple[str, ...] = ACKNOWLEDGED
    """How those ended that are to be there."""

    def act(self, via: str) -> None:
        """One operation through a node, of any kind."""
        self._look()
        dice = self.random.random()
        if dice < 0.45:
            self._count(via)
        elif dice < 0.55:
            self._retry(via)
        elif dice < 0.75:
            self._add(via)
        elif dice < 0.88:
            self._read(via)
        else:
            self._remove(via)

    def _update(self, via: str, key: str, change: KvOperation, context: bytes | None = None) -> Change:
        result = self.fleet.update(via, key, change, context=context)
        return Change(key, change, result.body.operation, [result])

    def _count(self, via: str) -> None:
        key = self.random.choice(COUNTERS)
        done = self.counted[key]
        if len(done) < DIGITS_MAX:
            done.append(self._update(via, key, Increment(4 ** len(done))))

    def _retry(self, via: str) -> None:
        """Of a `maybe` that names its coordinator, at any node."""
        all_changes = [*(one for changes in self.counted.values() for one in changes), *self.added]
        maybes = [one for one in all_changes if one.outcome == "maybe"]
        if maybes:
            one = self.random.choice(maybes)
            answer = one.results[0].answer
            if isinstance(answer, Updated) and answer.coordinator:
                self.retried += 1
                coordinator = answer.coordinator
                one.results.append(
                    self.fleet.update(via, one.key, one.change, operation=one.operation, coordinator=coordinator)
                )

    def _add(self, via: str) -> None:
        often = self.random.choice(ITEMS_OFTEN)
        item = often if self.random.random() < 0.5 else b"item-%d" % len(self.added)
        self.added.append(self._update(via, self.random.choice(SETS), AddItems([item])))

    def _read(self, via: str) -> None:
        key = self.random.choice(SETS)
        asked = frozenset(number for number, one in enumerate(self.added) if one.key == key and one.outcome == "ok")
        self.reads.append((key, asked, self.fleet.get(via, key, cell=True, strict=self.random.random() < 0.5)))

    def _look(self) -> None:
        for key, asked, result in [read for read in self.reads if read[2].ended]:
            self.reads.remove((key, asked, result))
            if isinstance(result.answer, Got) and result.answer.siblings:
                self.seen[key] = Seen(result.answer.context, result.answer.siblings, asked)

    def _remove(self, via: str) -> None:
        key = self.random.choice(SETS)
        seen = self.seen.get(key)
        if seen is None:
            return
        items = self.random.sample(seen.items, self.random.randint(1, min(3, len(seen.items))))
        removal = self._update(via, key, RemoveItems(items), seen.context)
        removal.seen = frozenset(number for number in seen.additions if self._item(number) in items)
        self.removed.append(removal)

    def _item(self, number: int) -> bytes:
        change = self.added[number].change
        assert isinstance(change, AddItems)
        return change.items[0]

    # -- the end

    def check(self) -> None:
        """After everything has healed."""
        for number, key in enumerate(COUNTERS):
            self._check_counter(key, self._got(number, key))
        for number, key in enumerate(SETS):
            self._check_set(key, self._got(number, key))

    def _got(self, number: int, key: str) -> Got:
        """A strict read of all three. The first one over a connection whose other end lost power in silence fails."""
        via = self.fleet.up[number % len(self.fleet.up)]
        for _ in range(3):
            result = self.fleet.wait(self.fleet.get(via, key, strict=True, cell=True, r=3))
            if isinstance(result.answer, Got):
                return result.answer
        raise AssertionError(f"{key}: {result.error}")

    def _check_counter(self, key: str, got: Got) -> None:
        total = int(got.siblings[0]) if got.siblings else 0
        assert total >= 0, f"{key} is {total}"
        for place, one in enumerate(self.counted[key]):
            times = total // 4**place % 4
            what = f"{key}: increment {place}, which ended {one.outcome}, is counted {times} times"
            assert (
                times <= 1
                and (times == 1 or one.outcome not in self.promised)
                and (times == 0 or one.may_have_happened)
            ), what
        assert total < 4 ** len(self.counted[key]), f"{key} is {total}, more than was ever counted"

    def _check_set(self, key: str, got: Got) -> None:
        items = dict.fromkeys(got.siblings)
        additions = [(number, one) for number, one in enumerate(self.added) if one.key == key]
        removals = [one for one in self.removed if one.key == key]
        for number, one in additions:
            item = self._item(number)
            taken = any(isinstance(r.change, RemoveItems) and item in r.change.items for r in removals)
            attempted = any(
                isinstance(r.change, RemoveItems) and item in r.change.items and r.may_have_happened for r in removals
            )
            if one.outcome in self.promised and not attempted:
                assert item in items, f"{key}: {item!r} was added ({one.outcome}), never removed, and is gone"
            again = [other for _, other in additions if other.change == one.change and other.may_have_happened]
            gone = any(number in r.seen and r.outcome in self.promised for r in removals)
            if taken and gone and len(again) == 1:
                assert item not in items, f"{key}: {item!r} was seen and removed, and is back"
        known = {self._item(number) for number, one in additions if one.may_have_happened}
        assert not set(items) - known, f"{key}: never added, or refused: {sorted(set(items) - known)}"

    def delete_all(self) -> None:
        """Delete every key, through any node."""
        for number, key in enumerate((*COUNTERS, *SETS)):
            via = self.fleet.up[number % len(self.fleet.up)]
            self.fleet.until(partial(self._deleted, via, key))

    def _deleted(self, via: str, key: str) -> bool:
        answer = self.fleet.wait(self.fleet.update(via, key, Remove(), strict=True)).answer
        return isinstance(answer, Updated) and answer.outcome == "ok"
