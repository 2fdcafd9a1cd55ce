"""All that somebody who watches the cluster wants of one node, in one answer that is cheap to make.

Totals since this boot, not rates: whoever asks twice takes the difference, over the node's own time between them.
"""

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from cluster.wire.admin import read_arguments

if TYPE_CHECKING:
    from cluster.node.node import Node

EVENTS_MAX = 100
"""Events in one answer; in a storm the oldest are left out."""


class VitalsQuery(Struct):
    """Which events come with the answer: those after the first `seen` of this boot epoch."""

    epoch: int | None = None
    seen: int = 0
    limit: int = EVENTS_MAX


def vitals(node: "Node", arguments: dict[str, Any]) -> dict[str, Any]:
    """State, view of the others, hints, receipts, totals and latencies; and the events after the first `seen` of boot
    epoch `epoch`, or the last ones when this is another boot."""
    context, moved = node.replication.context, node.replication.completing.receiver.moved
    status = context.status
    query = read_arguments(arguments, VitalsQuery)
    seen = query.seen if query.epoch == node.boot.epoch else 0
    limit = max(0, min(query.limit, EVENTS_MAX))
    not_voting = node.replication.not_voting()
    calls, calls_failed = node.requests.router.totals()
    return {
        "epoch": node.boot.epoch,
        "uptime_s": round(node.env.clock.now() - node.started_at, 6),
        "state": status.state(),
        "reason": "; ".join(not_voting),
        "recovering": sorted(status.recovering),
        "full": node.store.full,
        "draining": node.drain.draining,
        "problems": problems(node, not_voting),
        "may_have_lost": node.replication.completing.losses,
        "layout": node.view.number,
        "moving": node.layouts.moving(),
        "throttle": context.throttle.status(),
        "sees": {name: view.state for name, view in node.membership.table().items()},
        "hints": context.hints.by_target(),
        "receipts": node.faults.receipts(),
        # Since this boot. A write, read or call is counted where it was coordinated; `served` and `serve_failed` where
        # its handler ran.
        "totals": {
            "writes_failed": node.kv.writes_failed,
            "reads_failed": node.kv.reading.failed,
            "published": node.topics.published,
            "delivered": node.topics.delivered,
            "dropped": node.topics.dropped,
            "calls_failed": calls_failed,
            "served": node.requests.server.served,
            "serve_failed": node.requests.server.failed,
            "moved_bytes": moved.bytes,
            "moved_rows": moved.rows,
            "moved_partitions": moved.partitions,
        },
        "storage": node.store.status(),
        "gateways": {name: gateway.status() for name, gateway in node.gateways.items()},
        "queues": node.queues.given(),
        "latency": {
            "writes": node.kv.writes.sparse(),
            "reads": node.kv.reading.latencies.sparse(),
            "calls": calls.sparse(),
        },
        "event_count": node.events.count,
        "events": node.events.newest(seen, limit),
    }


def problems(node: "Node", not_voting: list[str]) -> list[str]:
    """Why this node is not healthy: what it refuses, lacks, cannot reach, and keeps for others. Empty when it is."""
    context = node.replication.context
    found = list(not_voting)
    if node.store.full:
        found.insert(0, f"refuses writes, its disk is full: {node.store.full}")
    refused = context.hints.refused()
    if refused:
        first = ", ".join(f"{hint.key!r} by {hint.target} ({code})" for hint, code in list(refused.items())[:3])
        found.append(f"holds {len(refused)} hints that are refused: {first}")
    for name, gateway in node.gateways.items():
        if not gateway.status()["places"]:
            found.append(f"its {name} gateway turns clients away: {gateway.status()['clients']} are connected")
    found += node.requests.panics()
    lost = [name for name, view in node.membership.table().items() if view.state in ("dead", "suspect")]
    if lost:
        found.append(f"cannot reach {', '.join(lost)}")
    waiting = context.hints.by_target()
    if waiting:
        found.append("holds hints for " + ", ".join(f"{target} ({count})" for target, count in sorted(waiting.items())))
    return found
