"""The life of one message of a queue, as all nodes that answer know it."""

from typing import Any

from dsectl.ui.table import Cell, table
from dsectl.ui.text import Paint, count, shown
from dsectl.ui.units import clock, show_duration

STATES: dict[str, Cell] = {"live": ("live", ""), "done": ("done", "good"), "none": ("none", "dim")}


def message_lines(found: dict[str, Any], paint: Paint, columns: int | None) -> list[str]:
    """Where it was accepted, who has it, who leased it, and what became of it, oldest first."""
    queue = found["queue"] or "a queue that was deleted"
    lines = [
        f"{paint(shown(found['id']), 'strong')}  {shown(queue)}, shard {found['shard']}",
        f"owners {' '.join(found['owners'])}  accepted by {shown(found['accepted_by'])}"
        + (f" at {clock(found['accepted_at'])}" if found["accepted_at"] else ""),
        paint(_fate(found), "strong"),
        "",
        *table(
            ("NODE", "ROLE", "VOTES", "STATE", "ATTEMPT", "LEASE"), _rows(found), paint, columns, right=("ATTEMPT",)
        ),
    ]
    if found["body"] is not None:
        lines += ["", f"body     {shown(str(found['body']))}"]
    if found["dedup_id"]:
        lines.append(f"dedup id {shown(found['dedup_id'])}")
    if found["steps"]:
        rows = [(clock(one["at"]), (one["node"], "name"), one["step"], _details(one)) for one in found["steps"]]
        lines += ["", *table(("AT", "NODE", "STEP", ""), rows, paint, columns)]
    else:
        lines += [
            "",
            paint("no node remembers a step of it: nodes keep their last few thousand, and none over a boot", "dim"),
        ]
    return lines


def _fate(found: dict[str, Any]) -> str:
    """In a sentence."""
    if found["state"] == "done":
        return "done: it is not delivered again"
    if found["state"] == "none":
        return "no node that answers has it: it was never accepted, or has been done with for a while"
    lease = found["lease"]
    if lease is None:
        return "waiting for its first delivery"
    if lease["left_s"] > 0:
        return (
            f"leased by {lease['giver']} for the {_nth(lease['attempt'])} time, {show_duration(lease['left_s'])} left"
        )
    return f"waiting: it was delivered {count(lease['attempt'], 'time')}"


def _nth(number: int) -> str:
    suffix = "th" if 10 < number % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def _rows(found: dict[str, Any]) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    for name in dict.fromkeys([*found["owners"], *found["nodes"]]):
        role = "owner" if name in found["owners"] else "fallback"
        node = found["nodes"].get(name)
        if node is None:
            rows.append((name, role, "", ("no answer", "bad"), "", ""))
            continue
        lease = node["lease"]
        told = f"by {lease['giver']}, {show_duration(lease['left_s'])} left" if lease and lease["left_s"] else ""
        votes: Cell = "" if node["votes"] else ("no", "warn")
        rows.append((name, role, votes, STATES[node["state"]], str(lease["attempt"]) if lease else "", told))
    return rows


def _details(step: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {shown(str(value))}" for name, value in step.items() if name not in ("at", "node", "step")
    )
