"""From totals to what happens in a second: the difference of two answers of one node. Pure.

The time between them is the node's own, so a late answer or a pause does not distort it. After a boot everything counts
from zero.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cluster.client.vitals import KINDS, Vitals, quantile_s


@dataclass(frozen=True)
class Rates:
    """Of one node, or of several together: what happened in a second, and how long it took (counts by bucket)."""

    writes: float = 0.0
    reads: float = 0.0
    failed: float = 0.0
    """Writes, reads and calls that were not acknowledged, were refused or broke."""
    published: float = 0.0
    delivered: float = 0.0
    dropped: float = 0.0
    served: float = 0.0
    """Calls whose handler ran here."""
    kv_s: Mapping[int, int] = field(default_factory=dict)
    calls_s: Mapping[int, int] = field(default_factory=dict)

    @property
    def kv(self) -> float:
        """Writes and reads."""
        return self.writes + self.reads

    def kv_quantile_s(self, part: float) -> float | None:
        """How long a write or read took that is slower than `part` of them."""
        return quantile_s(self.kv_s, part)


def rates(before: Vitals | None, after: Vitals) -> Rates | None:
    """What happened between two answers; None when the first is all that there is."""
    if before is None or (before.epoch == after.epoch and after.uptime_s <= before.uptime_s):
        return None
    first = before if before.epoch == after.epoch else None
    elapsed = after.uptime_s - (first.uptime_s if first else 0.0)
    if elapsed <= 0:
        return None
    took = {kind: _difference(first.counted(kind) if first else {}, after.counted(kind)) for kind in KINDS}

    def grown(name: str) -> int:
        return after.totals.get(name, 0) - (first.totals.get(name, 0) if first else 0)

    return Rates(
        writes=sum(took["writes"].values()) / elapsed,
        reads=sum(took["reads"].values()) / elapsed,
        failed=(grown("writes_failed") + grown("reads_failed") + grown("calls_failed")) / elapsed,
        published=grown("published") / elapsed,
        delivered=grown("delivered") / elapsed,
        dropped=grown("dropped") / elapsed,
        served=grown("served") / elapsed,
        kv_s=_sum([took["writes"], took["reads"]]),
        calls_s=took["calls"],
    )


def together(many: Iterable[Rates]) -> Rates | None:
    """The sum; None of nothing."""
    found = list(many)
    return _combined(found, 1) if found else None


def average(many: Iterable[Rates | None]) -> Rates | None:
    """Over several looks: the mean of what is known, with all durations of them."""
    found = [one for one in many if one is not None]
    return _combined(found, len(found)) if found else None


def _combined(found: Sequence[Rates], parts: int) -> Rates:
    numbers = {name: sum(getattr(one, name) for one in found) / parts for name in NUMBERS}
    return Rates(**numbers, kv_s=_sum(one.kv_s for one in found), calls_s=_sum(one.calls_s for one in found))


NUMBERS = ("writes", "reads", "failed", "published", "delivered", "dropped", "served")


def _difference(before: Mapping[int, int], after: Mapping[int, int]) -> dict[int, int]:
    grown = {bucket: count - before.get(bucket, 0) for bucket, count in after.items()}
    return {bucket: count for bucket, count in grown.items() if count > 0}


def _sum(many: Iterable[Mapping[int, int]]) -> dict[int, int]:
    total: dict[int, int] = {}
    for counts in many:
        for bucket, count in counts.items():
            total[bucket] = total.get(bucket, 0) + count
    return total
