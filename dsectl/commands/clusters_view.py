"""Clusters and their nodes for people."""

from typing import Any

from dsectl.ui.table import state, table
from dsectl.ui.text import Paint, count, shown


def status_lines(status: dict[str, Any], paint: Paint, columns: int | None) -> list[str]:
    """The verdict with its reason, then a line for each node."""
    head = f"{paint(status['cluster'], 'strong')}  {paint.state(status['verdict'])}  {status['reason']}"
    rows = [
        (
            name,
            state(node["state"]),
            node["zone"],
            str(node["port"]),
            str(node["pid"] or ""),
            f"{node['rss_mb']:.0f} MB" if node["rss_mb"] else "",
            node["note"],
        )
        for name, node in status["nodes"].items()
    ]
    heading = ("NODE", "STATE", "ZONE", "PORT", "PID", "MEMORY", "NOTE")
    return [head, "", *table(heading, rows, paint, columns, right=("PORT", "PID", "MEMORY"))]


def ps_lines(clusters: list[dict[str, Any]], paint: Paint, columns: int | None) -> list[str]:
    """A line for each cluster."""
    rows = [
        (
            one["cluster"],
            state("damaged" if one.get("damaged") else "running" if one["alive"] else "stopped"),
            f"{one['alive']} of {one['nodes']}",
            one["created"],
            one.get("damaged", ""),
        )
        for one in clusters
    ]
    return table(("CLUSTER", "STATE", "ALIVE", "CREATED", "NOTE"), rows, paint, columns)


def progress_text(cluster: str, nodes: int | None, listening: int, stage: str) -> str:
    """The line while `up` works."""
    if stage == "listening":
        wanted = "" if nodes is None else f" of {nodes}"
        return f"{shown(cluster)}: {listening}{wanted} nodes listen"
    if stage == "ready":
        return f"{shown(cluster)}: {count(listening, 'node')} ready"
    return f"{shown(cluster)}: starting nodes"
