"""Sights for tests: a cluster in a few words."""

from typing import Any

from cluster.client.vitals import Vitals
from dsectl.snapshot.sight import NodeSight, Sight

NO_TOTALS = dict.fromkeys(
    ("writes_failed", "reads_failed", "published", "delivered", "dropped", "calls_failed", "served"), 0
)
FAST, SLOW = 33, 65
"""Buckets of 0.7 ms and of 0.2 s."""


def vitals(
    uptime_s: float = 10.0,
    writes: int = 0,
    *,
    epoch: int = 1,
    state: str = "running",
    sees: dict[str, str] | None = None,
    hints: dict[str, int] | None = None,
    receipts: dict[str, dict[str, int]] | None = None,
    events: list[dict[str, Any]] | None = None,
    bucket: int = FAST,
    **totals: int,
) -> Vitals:
    """What a node says that has coordinated so many writes."""
    latency = {"writes": [(bucket, writes)] if writes else [], "reads": [], "calls": []}
    return Vitals(
        epoch, uptime_s, state, "", [], 1, sees or {}, hints or {}, receipts or {}, {**NO_TOTALS, **totals}, latency,
        len(events or []), events or [],
    )  # fmt: skip


def sight(at: float = 0.0, nodes: dict[str, Vitals | str] | None = None, **fields: Any) -> Sight:
    """A cluster whose nodes say these things, or are in a state that keeps them from it."""
    told = {
        name: NodeSight(said, None, "did not answer in time", "z1", 100)
        if isinstance(said, str)
        else NodeSight("running", said, "", "z1", 100, rss_mb=25.0)
        for name, said in (nodes or {}).items()
    }
    known = {"colour": "green", "reason": "all vote", "viewer": "n1", "layout": 1, **fields}
    return Sight("default", at, 1_700_000_000.0 + at, nodes=told, **known)


def event(kind: str, node: str, second: float = 0.0, cause: str = "because", **fields: Any) -> dict[str, Any]:
    """One event, so many seconds after noon."""
    minutes = int(second) // 60
    at = f"2026-03-01T{12 + minutes // 60:02}:{minutes % 60:02}:{second % 60:06.3f}Z"
    return {"id": f"{node}-1-000001", "at": at, "node": node, "kind": kind, "cause": cause, **fields}
