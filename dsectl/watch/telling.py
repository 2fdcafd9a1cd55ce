"""A sight as JSON: one object that covers what happened since the one before. Pure."""

from typing import Any

from dsectl.snapshot.sight import NodeSight
from dsectl.ui.units import rfc3339
from dsectl.watch.history import History
from dsectl.watch.rates import Rates


def sight_json(history: History) -> dict[str, Any]:
    """The last sight with its rates; rates are null where they are not known."""
    sight = history.sight
    assert sight is not None
    at = rfc3339(sight.wall)
    if sight.lost:
        return {"at": at, "cluster": sight.cluster, "lost": sight.lost}
    hints = sight.hints()
    total = max(1, sum(node.owned for node in sight.nodes.values()))
    tick = history.ticks[-1]
    events = [event for node in sight.nodes.values() if node.vitals for event in node.vitals.events]
    return {
        "at": at,
        "cluster": sight.cluster,
        "verdict": sight.colour,
        "reason": sight.reason,
        "view": sight.viewer,
        "answering": sight.answering,
        "nodes": {
            name: {**_node(node, total), "hints": hints.get(name, 0), **_rates(tick.of(name))}
            for name, node in sight.nodes.items()
        },
        "total": _rates(tick.all),
        "hints": {"pending": sum(hints.values()), "by_target": hints},
        "faults": [fault for fault in history.faults() if fault["active"]],
        "events": sorted(events, key=lambda event: (event["at"], event["node"])),
    }


def _node(node: NodeSight, total: int) -> dict[str, Any]:
    return {
        "state": node.state,
        "note": node.note,
        "zone": node.zone,
        "sees": node.vitals.sees if node.vitals is not None else None,
        "partitions": node.owned,
        "share": round(node.owned / total, 4),
        "rss_mb": node.rss_mb,
    }


def _rates(rates: Rates | None) -> dict[str, Any]:
    if rates is None:
        return dict.fromkeys(
            ("writes_per_s", "reads_per_s", "failed_per_s", "published_per_s", "served_per_s", "p50_ms", "p99_ms")
        )
    return {
        "writes_per_s": round(rates.writes, 1),
        "reads_per_s": round(rates.reads, 1),
        "failed_per_s": round(rates.failed, 1),
        "published_per_s": round(rates.published, 1),
        "served_per_s": round(rates.served, 1),
        "p50_ms": _milliseconds(rates.kv_quantile_s(0.5)),
        "p99_ms": _milliseconds(rates.kv_quantile_s(0.99)),
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
