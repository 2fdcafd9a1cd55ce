"""All that the screen shows, fed with one snapshot after the other. Pure: the same snapshots give the same picture.

Nothing here waits, and a node that does not answer leaves a gap, not a zero. Nodes say totals, so what flows is the
difference of two answers of one node over that node's own time: a late answer or a pause does not distort it, and after
a boot everything counts from zero.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from cluster.client.vitals import Vitals, quantile_s
from dsectl.snapshot.snapshot import Snapshot
from dsectl.ui.faults import with_receipt
from dsectl.ui.units import unix_time

TICKS_MAX = 600
"""Looks that are remembered: five minutes at two a second, more than any screen is wide."""
SETTLED_TICKS = 2
"""A number that is shown is the mean of so many looks: the last alone jumps too much to be read."""
GROUPED_S = 3.0
"""Events of one kind about one subject so close together are one group: gossip reaches everybody in less, and a
suspicion that comes back later is another."""
GROUPS_MAX = 300
K = TypeVar("K")
SUBJECTS = ("member", "target", "peer", "fault", "operation", "pattern", "key", "slot")
"""The fields that say what an event is about, the first that is there."""


@dataclass(frozen=True)
class Rates:
    """Of one node, or of several together: what happened in a second, and how long it took (counts by bucket)."""

    writes: float = 0.0
    reads: float = 0.0
    failed: float = 0.0
    """Writes, reads and calls that were not acknowledged, were refused or broke. They are in nothing else here but the
    durations."""
    published: float = 0.0
    dropped: float = 0.0
    served: float = 0.0
    """Calls whose handler ran here, and replied."""
    moved_bytes: float = 0.0
    """Received as an owner to come, or as one that lost data."""
    kv_s: Mapping[int, int] = field(default_factory=dict)

    @property
    def kv(self) -> float:
        """Writes and reads that succeeded."""
        return self.writes + self.reads

    def kv_quantile_s(self, part: float) -> float | None:
        """How long a write or read took that is slower than `part` of them."""
        return quantile_s(self.kv_s, part)


TOTALS = ("published", "dropped", "served", "moved_bytes")
NUMBERS = ("writes", "reads", "failed", *TOTALS)


def rates(before: Vitals | None, after: Vitals) -> Rates | None:
    """What happened between two answers; None when the first is all that there is."""
    if before is None or (before.epoch == after.epoch and after.uptime_s <= before.uptime_s):
        return None
    first = before if before.epoch == after.epoch else None
    elapsed = after.uptime_s - (first.uptime_s if first else 0.0)
    if elapsed <= 0:
        return None

    def grown(name: str) -> int:
        return after.totals.get(name, 0) - (first.totals.get(name, 0) if first else 0)

    took: dict[str, dict[int, int]] = {}
    succeeded: dict[str, int] = {}
    for kind in ("writes", "reads"):
        then = first.counted(kind) if first else {}
        counts = {bucket: number - then.get(bucket, 0) for bucket, number in after.counted(kind).items()}
        took[kind] = {bucket: number for bucket, number in counts.items() if number > 0}
        succeeded[kind] = max(0, sum(took[kind].values()) - grown(f"{kind}_failed"))  # a failure has a duration too
    return Rates(
        writes=succeeded["writes"] / elapsed,
        reads=succeeded["reads"] / elapsed,
        failed=(grown("writes_failed") + grown("reads_failed") + grown("calls_failed")) / elapsed,
        kv_s=added([took["writes"], took["reads"]]),
        **{name: grown(name) / elapsed for name in TOTALS},
    )


def together(many: Iterable[Rates], *, mean: bool = False) -> Rates | None:
    """The sum, or over several looks the mean with all durations of them; None of nothing."""
    found = list(many)
    if not found:
        return None
    parts = len(found) if mean else 1
    numbers = {name: sum(getattr(one, name) for one in found) / parts for name in NUMBERS}
    return Rates(**numbers, kv_s=added(one.kv_s for one in found))


def added(many: Iterable[Mapping[K, int]]) -> dict[K, int]:
    """The sum of counts by what they count."""
    total: dict[K, int] = {}
    for counts in many:
        for bucket, number in counts.items():
            total[bucket] = total.get(bucket, 0) + number
    return total


@dataclass(frozen=True)
class EventGroup:
    """Events of the same, as when five nodes learn of one death. `cause` is what the first node says. `subject` is the
    first of `subjects`, which are many for what happens to key after key."""

    at: str
    last: str
    kind: str
    subject: str
    nodes: tuple[str, ...]
    cause: str
    subjects: int = 1


class EventGroups:
    """The last groups, oldest first."""

    def __init__(self) -> None:
        self._groups: deque[EventGroup] = deque(maxlen=GROUPS_MAX)

    def add(self, events: Iterable[dict[str, Any]]) -> None:
        """Events of any nodes, in any order."""
        for event in sorted(events, key=lambda one: (one["at"], one["node"])):
            self._add(event)

    def _add(self, event: dict[str, Any]) -> None:
        kind, at, node = event["kind"], event["at"], event["node"]
        name = next((name for name in SUBJECTS if event.get(name)), "")
        about = str(event.get(name, ""))
        for index in range(len(self._groups) - 1, -1, -1):
            one = self._groups[index]
            if unix_time(at) - unix_time(one.last) > GROUPED_S:
                break
            if one.kind == kind and (one.subject == about or name == "key"):
                nodes = one.nodes if node in one.nodes else (*one.nodes, node)
                more = one.subjects + (one.subject != about)
                self._groups[index] = replace(one, last=max(at, one.last), nodes=nodes, subjects=more)
                return
        self._groups.append(EventGroup(at, at, kind, about, (node,), event["cause"]))

    def last(self, limit: int, node: str | None = None) -> list[EventGroup]:
        """The newest, oldest first; of one node those that it had a part in."""
        found = [one for one in self._groups if node is None or node in one.nodes or one.subject == node]
        return found[-limit:] if limit > 0 else []


@dataclass(frozen=True)
class Tick:
    """What flowed in one look: of each node, and for the name None in all; None where it is not known."""

    wall: float
    rates: Mapping[str | None, Rates | None]


class History:
    """The cluster as it is, and how it came here."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None
        self.ticks: deque[Tick] = deque(maxlen=TICKS_MAX)
        self.count = 0
        """How many ticks there were."""
        self.groups = EventGroups()
        self.busy: dict[str, float] = {}
        """The part of a processor that each node uses."""
        self._vitals: dict[str, Vitals] = {}
        self._receipts: dict[str, dict[str, dict[str, int]]] = {}  # node: what it said last
        self._cpu: dict[str, tuple[float, float]] = {}  # node: processor time, and when

    def add(self, snapshot: Snapshot) -> None:
        """The next snapshot."""
        found: dict[str | None, Rates | None] = {}
        for name, node in snapshot.nodes.items():
            found[name] = None
            if node.vitals is not None:
                found[name] = rates(self._vitals.get(name), node.vitals)
                self._vitals[name] = node.vitals
                self._receipts[name] = node.vitals.receipts
            used_s, (before, then) = node.cpu_s, self._cpu.get(name, (node.cpu_s, snapshot.at))
            if snapshot.at - then >= 1.0 or used_s < before or name not in self._cpu:  # /proc counts in hundredths
                self.busy[name] = max(0.0, used_s - before) / (snapshot.at - then) if snapshot.at > then else 0.0
                self._cpu[name] = (used_s, snapshot.at)
        if snapshot.lost is not None:  # what comes next is another cluster
            self._vitals, self._receipts, self.groups = {}, {}, EventGroups()
        self.groups.add(event for node in snapshot.nodes.values() if node.vitals for event in node.vitals.events)
        found[None] = together(one for one in found.values() if one is not None)
        self.ticks.append(Tick(snapshot.wall, found))
        self.count += 1
        self.snapshot = snapshot

    def now(self, node: str | None = None) -> Rates | None:
        """What flows, of a node or of all, over the last looks."""
        recent = [tick.rates.get(node) for tick in list(self.ticks)[-SETTLED_TICKS:]]
        if not recent or recent[-1] is None:
            return None
        return together((one for one in recent if one is not None), mean=True)

    def buckets(self, node: str | None, step: int, limit: int) -> list[tuple[list[Rates], float, float]]:
        """The last `limit` groups of `step` ticks, oldest first: what is known of each, and the wall time it spans. The
        groups keep their ticks while others come, so that a chart scrolls and does not boil."""
        ticks = list(self.ticks)[-step * (limit + 2) :]
        groups: dict[int, list[Tick]] = {}
        for index, tick in enumerate(ticks, self.count - len(ticks)):
            groups.setdefault(index // step, []).append(tick)
        found: list[tuple[list[Rates], float, float]] = []
        start = ticks[0].wall if ticks else 0.0
        for group in groups.values():
            end = group[-1].wall
            found.append(([one for tick in group if (one := tick.rates.get(node)) is not None], start, end))
            start = end
        return found[-limit:]

    def faults(self) -> list[dict[str, Any]]:
        """All faults with what the nodes counted, `affected` and `links` as `faults --json` has them. What a node said
        last still counts while it does not answer."""
        faults = self.snapshot.faults if self.snapshot else ()
        return [with_receipt(fault, self._receipts.values()) for fault in faults]


def mean(values: Sequence[float]) -> float | None:
    """None of nothing."""
    return sum(values) / len(values) if values else None
