"""What people see of a queue: its rules in a few words, and what is in it."""

from collections.abc import Sequence
from typing import Any

from dsectl.ui.table import Cell, table
from dsectl.ui.text import Paint, count
from dsectl.ui.units import show_age, show_duration


def rules(queue: dict[str, Any]) -> str:
    """What holds for a queue."""
    parts = [count(queue["shards"], "shard"), f"leases of {show_duration(queue['visibility_s'])}"]
    parts.append(f"messages kept for {show_duration(queue['retention_s'])}")
    if queue["delay_s"]:
        parts.append(f"delayed by {show_duration(queue['delay_s'])}")
    if queue["max_depth"]:
        parts.append(f"at most {queue['max_depth']} messages")
    if queue["dead_letter"]:
        parts.append(f"after {count(queue['max_receives'], 'delivery', 'deliveries')} to {queue['dead_letter']}")
    if queue["patterns"]:
        parts.append(f"bound to {', '.join(queue['patterns'])}")
    return ", ".join(parts)


def contents(queue: dict[str, Any]) -> str:
    """What is in a queue."""
    oldest = "" if queue["oldest_s"] is None else f", the oldest {show_age(queue['oldest_s'])} old"
    counted = f"{queue['redelivered']:,} redelivered and {queue['dead']:,} dead since the nodes booted"
    return f"{count(queue['depth'], 'message')}, {queue['in_flight']:,} in flight{oldest}; {counted}"


def queues_table(queues: Sequence[dict[str, Any]], paint: Paint, columns: int | None) -> list[str]:
    """A line for each queue."""
    header = ("QUEUE", "SHARDS", "DEPTH", "IN FLIGHT", "OLDEST", "REDELIVERED", "DEAD", "DEAD LETTERS TO", "BOUND TO")
    rows: list[tuple[Cell, ...]] = [
        (
            (one["name"], "name"),
            str(one["shards"]),
            *_figures(one),
            f"{one['dead_letter']} after {one['max_receives']}" if one["dead_letter"] else "",
            " ".join(one["patterns"]),
        )
        for one in queues
    ]
    return table(header, rows, paint, columns, right=header[1:7])


def shards_table(shards: Sequence[dict[str, Any]], paint: Paint, columns: int | None) -> list[str]:
    """A line for each shard of a queue."""
    header = ("SHARD", "DEPTH", "IN FLIGHT", "OLDEST", "REDELIVERED", "DEAD", "GIVER", "OWNERS")
    rows: list[tuple[Cell, ...]] = [
        (str(one["shard"]), *_figures(one), (one["giver"] or "", "name"), " ".join(one["owners"])) for one in shards
    ]
    return table(header, rows, paint, columns, right=header[:6])


def _figures(one: dict[str, Any]) -> list[Cell]:
    if one["depth"] is None:
        return [("unknown", "warn"), "", "", "", ""]
    age = "" if one["oldest_s"] is None else show_age(one["oldest_s"])
    return [str(one["depth"]), str(one["in_flight"]), age, str(one["redelivered"]), str(one["dead"])]
