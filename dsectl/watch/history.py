"""All that the screen shows, fed with one sight after the other. Pure: the same sights give the same picture.

Nothing here waits, and a node that does not answer leaves a gap, not a zero.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cluster.client.vitals import Vitals
from dsectl.snapshot.sight import Sight
from dsectl.watch.rates import Rates, average, rates, together
from dsectl.watch.story import Story

TICKS_MAX = 600
"""Looks that are remembered: five minutes at two a second, more than any screen is wide."""
SETTLED_TICKS = 2
"""A number that is shown is the mean of so many looks: the last alone jumps too much to be read."""


@dataclass(frozen=True)
class Tick:
    """One look's worth of traffic: in all, and of each node; None where it is not known."""

    wall: float
    all: Rates | None
    nodes: dict[str, Rates | None]

    def of(self, node: str | None) -> Rates | None:
        """Of a node, or of all."""
        return self.all if node is None else self.nodes.get(node)


class History:
    """The cluster as it is, and how it came here."""

    def __init__(self) -> None:
        self.sight: Sight | None = None
        self.ticks: deque[Tick] = deque(maxlen=TICKS_MAX)
        self.count = 0
        """How many ticks there were."""
        self.story = Story()
        self._vitals: dict[str, Vitals] = {}
        self._receipts: dict[str, dict[str, dict[str, int]]] = {}  # node: what it said last
        self._cpu: dict[str, tuple[float, float]] = {}  # node: processor time, and when
        self.busy: dict[str, float] = {}
        """The part of a processor that each node uses."""

    def add(self, sight: Sight) -> None:
        """The next sight."""
        found: dict[str, Rates | None] = {}
        for name, node in sight.nodes.items():
            found[name] = None
            if node.vitals is not None:
                found[name] = rates(self._vitals.get(name), node.vitals)
                self._vitals[name] = node.vitals
                self._receipts[name] = node.vitals.receipts
            self._note_cpu(name, node.cpu_s, sight.at)
        if sight.lost:  # what comes next is another cluster
            self._vitals, self._receipts, self.story = {}, {}, Story()
        self.story.add(event for node in sight.nodes.values() if node.vitals for event in node.vitals.events)
        known = [one for one in found.values() if one is not None]
        self.ticks.append(Tick(sight.wall, together(known), found))
        self.count += 1
        self.sight = sight

    def _note_cpu(self, name: str, used_s: float, at: float) -> None:
        before, then = self._cpu.get(name, (used_s, at))
        if at - then >= 1.0 or used_s < before or name not in self._cpu:  # /proc counts in hundredths
            self.busy[name] = max(0.0, used_s - before) / (at - then) if at > then else 0.0
            self._cpu[name] = (used_s, at)

    def now(self, node: str | None = None) -> Rates | None:
        """What flows, of a node or of all, over the last looks."""
        recent = list(self.ticks)[-SETTLED_TICKS:]
        if not recent or recent[-1].of(node) is None:
            return None
        return average(tick.of(node) for tick in recent)

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
            found.append(([one for tick in group if (one := tick.of(node)) is not None], start, end))
            start = end
        return found[-limit:]

    def faults(self) -> list[dict[str, Any]]:
        """All faults with what the nodes counted, `affected` and `links` as `faults --json` has them. The last word of
        a node that is silent now still counts."""
        return [self._with_receipt(fault) for fault in (self.sight.faults if self.sight else ())]

    def _with_receipt(self, fault: dict[str, Any]) -> dict[str, Any]:
        links: dict[str, int] = {}
        for said in self._receipts.values():
            for link, number in said.get(fault["id"], {}).items():
                links[link] = links.get(link, 0) + number
        return {**fault, "affected": sum(links.values()), "links": dict(sorted(links.items()))}


def mean(values: Sequence[float]) -> float | None:
    """None of nothing."""
    return sum(values) / len(values) if values else None
