"""Snapshots for tests: a cluster in a few words."""

from typing import Any

from cluster.client.locate import Location
from cluster.client.vitals import Vitals
from cluster.emulator.inspect import NodeProcess, ProcessState
from cluster.errors import DeadlinePassed, UnknownCluster
from cluster.layout import LayoutEntry, LayoutMember
from dsectl.snapshot.snapshot import NodeSnapshot, Snapshot, judge

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
    reason: str = "",
    full: str = "",
    recovering: list[int] | None = None,
    draining: bool = False,
    problems: list[str] | None = None,
    sees: dict[str, str] | None = None,
    hints: dict[str, int] | None = None,
    receipts: dict[str, dict[str, int]] | None = None,
    events: list[dict[str, Any]] | None = None,
    bucket: int = FAST,
    **totals: int,
) -> Vitals:
    """What a node answers that has coordinated so many writes."""
    latency = {"writes": [(bucket, writes)] if writes else [], "reads": [], "calls": []}
    return Vitals(
        epoch, uptime_s, state, reason, recovering or [], 1, sees or {}, hints or {}, receipts or {},
        {**NO_TOTALS, **totals}, latency, len(events or []), events or [], full, draining, problems or [],
    )  # fmt: skip


def node(name: str, said: Vitals | str) -> NodeSnapshot:
    """A node that answers this, or whose process is in a state and does not answer."""
    if isinstance(said, Vitals):
        return NodeSnapshot(name, NodeProcess("running", 7, 25.0), said, None, "z1", 1000, 100)
    process: ProcessState = said  # type: ignore[assignment]
    return NodeSnapshot(
        name, NodeProcess(process), None, DeadlinePassed(f"{name}: did not answer in time"), "z1", 1000, 100
    )


def snapshot(at: float = 0.0, nodes: dict[str, Vitals | str] | None = None, **fields: Any) -> Snapshot:
    """A cluster whose nodes answer this, or are in a state that keeps them from it; `fields` instead of a verdict."""
    told = {name: node(name, said) for name, said in (nodes or {}).items()}
    known = {"verdict": "green", "reason": "all vote", "viewer": "n1", "layout": 1, **fields}
    return Snapshot("default", at, 1_700_000_000.0 + at, nodes=told, **known)


def judged(nodes: dict[str, Vitals | str], via: str | None = None, replicas: int = 3, **fields: Any) -> Snapshot:
    """The same with the verdict that it deserves."""
    members = tuple(LayoutMember(name, "z1", "127.0.0.1", 1000 + number) for number, name in enumerate(nodes))
    needed = replicas // 2 + 1
    location = Location("default", b"", {}, LayoutEntry(1, "default", members, replicas, needed, needed))
    told = {name: node(name, said) for name, said in nodes.items()}
    return judge(location, told, via, Snapshot("default", 0.0, 1_700_000_000.0, **fields))


LOST = UnknownCluster("unknown cluster 'default'")


def event(kind: str, node: str, second: float = 0.0, cause: str = "because", **fields: Any) -> dict[str, Any]:
    """One event, so many seconds after noon."""
    minutes = int(second) // 60
    at = f"2026-03-01T{12 + minutes // 60:02}:{minutes % 60:02}:{second % 60:06.3f}Z"
    return {"id": f"{node}-1-000001", "at": at, "node": node, "kind": kind, "cause": cause, **fields}
