"""What flows through services, fed with one snapshot after the other. Pure.

Nodes say totals, so what flows is the difference of two answers of one node over that node's own time; a look that came
late, or a pause, does not distort it. It is taken over the last seconds: over half a second a rate jumps too much to be
read. A node that does not answer adds nothing, and after its boot everything counts from zero.
"""

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from cluster.client.vitals import quantile_s
from dsectl.snapshot.services import CallTotals, ServicesSnapshot, ServiceStats

WINDOW_S = 3.0
"""Rates are those of the last so many seconds, at least of the last two looks."""
COUNTED = ("calls", "failed", "declared", "shed", "retries", "hedges")


class FlowKey(NamedTuple):
    """What is counted by itself. `entry` is the node that took the calls in; without an `endpoint` they are whole
    calls, with one the attempts that were made there."""

    entry: str
    service: str
    operation: str
    endpoint: str
    version: int


@dataclass(frozen=True)
class Flow:
    """What happened in a second, how much of it is under way now, and how long it took (counts by bucket)."""

    calls: float = 0.0
    failed: float = 0.0
    declared: float = 0.0
    shed: float = 0.0
    retries: float = 0.0
    hedges: float = 0.0
    in_flight: int = 0
    took: Mapping[int, int] = field(default_factory=dict)

    def quantile_s(self, part: float) -> float | None:
        """How long a call took that is slower than `part` of them."""
        return quantile_s(self.took, part)


class ServiceRates:
    """The services as they are, and what flows."""

    def __init__(self) -> None:
        self.snapshot: ServicesSnapshot | None = None
        self.flows: dict[FlowKey, Flow] = {}
        """None of a node that was seen only once."""
        self.count = 0
        """How many snapshots there were."""
        self._said: dict[str, deque[ServiceStats]] = {}

    def add(self, snapshot: ServicesSnapshot) -> None:
        """The next snapshot."""
        self.snapshot = snapshot
        self.count += 1
        if snapshot.lost is not None:  # what comes next is another cluster
            self._said.clear()
        self.flows = {}
        for entry, stats in snapshot.stats.items():
            said = self._said.setdefault(entry, deque())
            if said and (said[-1].epoch != stats.epoch or said[-1].uptime_s >= stats.uptime_s):
                said.clear()
            said.append(stats)
            while len(said) > 2 and stats.uptime_s - said[0].uptime_s > WINDOW_S:
                said.popleft()
            if len(said) > 1:
                self.flows |= _flows(entry, said[0], stats)

    @property
    def is_known(self) -> bool:
        """Whether some node was seen twice, so that there are rates."""
        return any(len(said) > 1 for said in self._said.values())

    def calls(self) -> dict[FlowKey, Flow]:
        """Whole calls."""
        return {row: flow for row, flow in self.flows.items() if not row.endpoint}

    def attempts(self) -> dict[FlowKey, Flow]:
        """What was sent to endpoints."""
        return {row: flow for row, flow in self.flows.items() if row.endpoint}


def _flows(entry: str, before: ServiceStats, after: ServiceStats) -> dict[FlowKey, Flow]:
    elapsed = after.uptime_s - before.uptime_s
    known = {_row(entry, one): one for one in before.rows}
    found = {}
    for one in after.rows:
        row = _row(entry, one)
        then = known.get(row)
        grown = {name: (getattr(one, name) - (getattr(then, name) if then else 0)) / elapsed for name in COUNTED}
        took = Counter(dict(one.latency))
        took.subtract(dict(then.latency) if then else {})
        found[row] = Flow(**grown, in_flight=one.in_flight, took=+took)
    return found


def _row(entry: str, one: CallTotals) -> FlowKey:
    return FlowKey(entry, one.service, one.operation, one.endpoint, one.version)


K = TypeVar("K", bound=Hashable)


def together(flows: Mapping[FlowKey, Flow], key: Callable[[FlowKey], K]) -> dict[K, Flow]:
    """The sums of those that have the same key."""
    groups: dict[K, list[Flow]] = {}
    for row, flow in flows.items():
        groups.setdefault(key(row), []).append(flow)
    return {one: total(group) for one, group in groups.items()}


def total(flows: Iterable[Flow]) -> Flow:
    """The sum."""
    many = list(flows)
    took: Counter[int] = Counter()
    for one in many:
        took.update(one.took)
    sums = {name: sum(getattr(one, name) for one in many) for name in COUNTED}
    return Flow(**sums, in_flight=sum(one.in_flight for one in many), took=took)
