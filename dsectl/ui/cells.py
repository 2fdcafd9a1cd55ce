"""Cells for people: what each copy of a register, counter or set is, and which of them a merge chooses.

A cell is what `explain` tells of one copy; see cluster/node/explained.py.
"""

from typing import Any

from dsectl.ui.table import Cell, table
from dsectl.ui.text import Paint, count, shown
from dsectl.ui.units import clock, show_duration

ITEMS_SHOWN = 8


def rules(bucket: dict[str, Any]) -> str:
    """What holds for the keys of a bucket, in a few words."""
    expiry = f", expires after {show_duration(bucket['ttl_s'])}" if bucket["ttl_s"] else ""
    return f"{bucket['resolver']}, R={bucket['r']} W={bucket['w']}{expiry}"


def chosen(cells: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """What a merge of these copies, by node, comes to: the greatest generation wins as a whole, and of it all is
    joined. None without a copy."""
    if not cells:
        return None
    greatest = max(_order(cell) for cell in cells.values())
    wins = [name for name, cell in cells.items() if _order(cell) == greatest]
    first = cells[wins[0]]
    lost = [cell["generation"] for cell in cells.values() if _order(cell) != greatest]
    lost = [event for at, event in enumerate(lost) if event is not None and event not in lost[:at]]
    alike = len({_content(cell) for cell in cells.values()}) == 1
    why = "all copies are the same" if alike else "the greatest stamp wins" if lost else "all copies are joined"
    return {"generation": first["generation"], "held_by": wins, "lost": lost, "why": why}


def _order(cell: dict[str, Any]) -> tuple[int, str, int]:
    event = cell["generation"]
    return (0, "", 0) if event is None else (event["stamp"], event["dot"][0], event["dot"][1])


def _content(cell: dict[str, Any]) -> str:
    return repr(sorted((name, value) for name, value in cell.items() if name != "state"))


def cell_lines(cells: dict[str, dict[str, Any]], paint: Paint, columns: int | None) -> list[str]:
    """A line for each different copy, the one that wins first, and what a merge chooses."""
    merge = chosen(cells)
    if merge is None:
        return []
    holders: dict[str, list[str]] = {}
    by_content: dict[str, dict[str, Any]] = {}
    for name, cell in cells.items():
        by_content[_content(cell)] = cell
        holders.setdefault(_content(cell), []).append(name)
    rows: list[tuple[Cell, ...]] = []
    for content, cell in sorted(by_content.items(), key=lambda item: _order(item[1]), reverse=True):
        event, expires = cell["generation"], cell["expires"]
        rows.append(
            (
                cell["kind"] or (cell["state"], "warn"),
                "" if event is None else stamp(event),
                ("" if event is None else event["author"], "name"),
                "" if expires is None else clock(expires["ends"]),
                " ".join(holders[content]),
                _shown(cell),
            )
        )
    lines = table(("CELL", "STAMP", "AUTHOR", "ENDS", "HELD BY", "VALUE"), rows, paint, columns)
    if len(by_content) > 1:
        wins = merge["generation"]
        what = "" if wins is None else f": {wins['author']} at {stamp(wins)}"
        over = ", ".join(f"{event['author']} at {stamp(event)}" for event in merge["lost"])
        lines.append(f"a merge: {merge['why']}{what if over else ''}{f', over {over}' if over else ''}")
    return lines


def stamp(event: dict[str, Any]) -> str:
    """The time of day of a stamp, and its counter within the millisecond if that is not 0."""
    counter = event["stamp"] & 0xFFFF
    return clock(event["at"]) + (f"+{counter}" if counter else "")


def _shown(cell: dict[str, Any]) -> Cell:
    if cell["items_count"]:
        items = ", ".join(_text(item) for item in cell["items"][:ITEMS_SHOWN])
        more = cell["items_count"] - ITEMS_SHOWN
        return f"{count(cell['items_count'], 'item')}: {items}{f' and {more} more' if more > 0 else ''}"
    if cell["counts"]:
        parts = " ".join(f"{actor}:{amount:+}" for actor, amount in sorted(cell["counts"].items()))
        return f"{cell['number']} ({parts})"
    if cell["value"] is None:
        return "", ""
    text = _text(cell["value"])
    return (text or "empty", "" if cell["state"] == "live" and text else "dim")


def _text(value: Any) -> str:
    return shown(value) if isinstance(value, str) else "not text"
