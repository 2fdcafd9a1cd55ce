"""What counters and sets have promised, key by key, and the look at the end whether they kept it.

Unlike those of values, their writes need no order: many are under way on one key at a time, from everywhere, and each
that was acknowledged counts for ever. So a counter is at least the sum of the acknowledged increments, and a set holds
at least the items whose addition was. What ended as `maybe` may be there on top; what surely did not happen, or was
never sent, may not.
"""

from collections import Counter
from typing import TypeGuard

from cluster.client.aio import AddItems, Got, Increment, Outcome, Updated
from cluster.errors import ClusterError
from dsectl.load.plan import INCR, SADD
from dsectl.load.tally import LoadReport

ITEMS_MAX = 100
"""Of a set: each addition ships all of it."""


class CellKey:
    """One counter or set, from its first write to its last."""

    __slots__ = ("acknowledged", "doubtful", "kind", "name", "sent")
    cell = True

    def __init__(self, kind: str, name: str) -> None:
        self.kind = kind
        self.name = name
        self.sent = 0
        self.acknowledged: Counter[bytes] = Counter()
        """What must be there: items, or increments (of no item), and how many."""
        self.doubtful: Counter[bytes] = Counter()
        """What may be there as well."""

    def begin(self) -> tuple[bytes, Increment | AddItems]:
        """The next write: what it adds, and how that is said."""
        self.sent += 1
        if self.kind == INCR:
            return b"", Increment(1)
        item = b"item-%02d" % (self.sent % ITEMS_MAX)
        return item, AddItems([item])

    def settle(self, item: bytes, outcome: Outcome) -> None:
        """The write has ended."""
        if is_updated(outcome):
            self.acknowledged[item] += 1
        elif not (isinstance(outcome, ClusterError) and outcome.definite):
            self.doubtful[item] += 1

    def decide(self, answer: Outcome | None, settled: bool, found: LoadReport) -> bool:
        """Judge what a strict read shows once no write is under way; whether it is decided by that."""
        if not isinstance(answer, Got):
            return False
        missing, strange = self._compare(answer.siblings)
        if missing and not (settled and not answer.degraded):
            return False
        found.checked += 1
        found.lost += missing
        found.unexpected += strange
        what = "increments" if self.kind == INCR else "items"
        if missing:
            found.example(f"{self.name}: {missing} {what} were acknowledged and are lost")
        if strange:
            found.example(f"{self.name}: {strange} {what} are there that were never added, or were refused")
        return True

    def _compare(self, values: list[bytes]) -> tuple[int, int]:
        """How many are missing, and how many are there that may not be."""
        if self.kind == SADD:
            members = set(values)
            return len(self.acknowledged.keys() - members), len(members - {*self.acknowledged, *self.doubtful})
        number = int(values[0]) if values else 0
        least = self.acknowledged[b""]
        return max(0, least - number), max(0, number - least - self.doubtful[b""])


def is_updated(outcome: Outcome) -> TypeGuard[Updated]:
    """Whether an outcome says that an update was done."""
    return type(outcome) is Updated and outcome.outcome != "maybe"
