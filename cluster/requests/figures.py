"""What became of the calls of one operation, and of the attempts at one endpoint. Totals since this boot, so whoever
looks twice takes the difference, and those of several nodes add up. Pure."""

from typing import Any

from cluster.observe.latency import Latencies, quantile_s

RECENT_S = 10.0
"""A quantile for hedges is of the calls of the last one or two such spans."""
RECENT_CALLS_MIN = 20
"""Of fewer calls there is no p95."""
LOOK_S = 1.0


class Figures:
    """`latencies` are of all that ended in any other way than by being shed or cancelled."""

    __slots__ = ("declared", "failed", "hedges", "latencies", "retries", "shed")

    def __init__(self) -> None:
        self.latencies = Latencies()
        self.failed = 0
        self.declared = 0
        """Errors that the operation declares."""
        self.shed = 0
        self.retries = 0
        self.hedges = 0

    def told(self) -> dict[str, Any]:
        """As a row of the statistics."""
        latency = self.latencies.sparse()
        return {
            "calls": sum(count for _, count in latency) + self.shed,
            "failed": self.failed,
            "declared": self.declared,
            "shed": self.shed,
            "retries": self.retries,
            "hedges": self.hedges,
            "latency": latency,
        }


class OperationFigures(Figures):
    """The calls of an operation, as clients see them, and how long nearly all take at the moment."""

    __slots__ = ("_before", "_looked_at", "_p95_s", "_since", "_turned_at", "in_flight")

    def __init__(self) -> None:
        super().__init__()
        self.in_flight = 0
        self._before = self._since = list(self.latencies.counts)
        self._turned_at = self._looked_at = float("-inf")
        self._p95_s: float | None = None

    def p95_s(self, now: float) -> float | None:
        """Of late; None when there were too few."""
        if now - self._looked_at < LOOK_S:
            return self._p95_s
        self._looked_at = now
        counts = self.latencies.counts
        if now - self._turned_at >= RECENT_S:
            self._before, self._since, self._turned_at = self._since, list(counts), now
        recent = {bucket: count - self._before[bucket] for bucket, count in enumerate(counts)}
        self._p95_s = quantile_s(recent, 0.95) if sum(recent.values()) >= RECENT_CALLS_MIN else None
        return self._p95_s
