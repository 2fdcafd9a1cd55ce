"""Events for people: as a table, or line by line as they come."""

from typing import Any

from dsectl.ui.table import table
from dsectl.ui.text import Paint, shown
from dsectl.ui.units import clock

HEAD = ("id", "at", "node", "kind", "cause")
"""What every event has; the rest is its evidence."""


def events_lines(events: list[dict[str, Any]], paint: Paint, columns: int | None) -> list[str]:
    """A line for each event."""
    rows = [
        ((clock(one["at"]), "dim"), (one["node"], "name"), one["kind"], f"{one['cause']}{_evidence(one)}")
        for one in events
    ]
    return table(("TIME", "NODE", "EVENT", "CAUSE"), rows, paint, columns)


def event_line(one: dict[str, Any], paint: Paint) -> str:
    """One event of a stream of them, where no table can be aligned."""
    time, node = paint(clock(one["at"]), "dim"), paint(f"{one['node']:<4}", "name")
    return f"{time}  {node}  {shown(one['kind']):<20}  {shown(one['cause'])}{shown(_evidence(one))}"


def _evidence(event: dict[str, Any]) -> str:
    """The fields of an event behind its cause, those that its cause does not say already."""
    fields = {name: value for name, value in event.items() if name not in HEAD and value not in ("", None)}
    texts = {name: ".".join(map(str, one)) if isinstance(one, list) else one for name, one in fields.items()}
    parts = [f"{name}={text}" for name, text in texts.items()]
    return f"  ({', '.join(parts)})" if parts else ""
