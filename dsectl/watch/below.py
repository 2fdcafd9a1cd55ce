"""Faults in force with what they touch, and the last happenings with their causes. Pure."""

from typing import Any

from dsectl.views.faults import details, touched
from dsectl.watch.glyphs import Glyphs
from dsectl.watch.history import History
from dsectl.watch.lines import Line, piece
from dsectl.watch.numbers import age, number
from dsectl.watch.story import Happening

ENDED_SHOWN_S = 15.0
"""A fault that has ended stays on the screen for so long."""
BAD = ("member.dead", "hint.refused", "storage.full", "service.error", "owner.recovering", "fault.begun")
WARN = ("member.suspect", "member.confirmed", "owner.catching-up", "node.stalled", "topics.drop", "actor.minted")
GOOD = ("member.alive", "member.refuted", "owner.voting", "owner.refilled", "hint.delivered", "fault.ended")
KIND_STYLES = {**dict.fromkeys(BAD, "bad"), **dict.fromkeys(WARN, "warn"), **dict.fromkeys(GOOD, "good")}
NODES_COLUMNS = 6


def shown_faults(history: History, wall: float) -> list[dict[str, Any]]:
    """Those in force, then those that have only just ended; oldest first."""
    faults = history.faults()
    active = [fault for fault in faults if fault["active"]]
    return active + [
        fault for fault in faults if not fault["active"] and wall - _unix(fault.get("ended", "")) < ENDED_SHOWN_S
    ]


def fault_lines(faults: list[dict[str, Any]], rows: int, wall: float) -> list[Line]:
    """A line for each, in at most `rows`; the newest have precedence."""
    if not faults or rows <= 0:
        return []
    left = max(0, len(faults) - rows)
    shown = faults[left + 1 :] if left and rows > 1 else faults[left:]
    lines = [_fault(fault, wall) for fault in shown]
    if len(shown) < len(faults) and rows > 1:
        lines.insert(0, [(f"{len(faults) - len(shown)} more: `dsectl faults`", "dim")])
    return lines


def _fault(fault: dict[str, Any], wall: float) -> Line:
    active = fault["active"]
    since = _unix(fault["at"] if active else fault.get("ended", ""))
    affected = fault["affected"]
    count = f"{number(affected)} touched" if affected else "nothing yet" if active else "no effect"
    what = "  ".join(part for part in (fault["target"], details(fault)) if part)
    line: Line = [
        piece(fault["id"], 4, "name" if active else "dim"),
        piece(fault["kind"], 10, "bad" if active else "dim"),
        (f"{what}  ", "" if active else "dim"),
        (f"{'for' if active else 'ended'} {age(wall - since)}{'' if active else ' ago'}  ", "dim"),
        (count, ("warn" if active else "dim") if affected else "warn"),
    ]
    links = touched(fault)
    return [*line, (f"  {links}", "dim")] if links else line


def fault_marks(history: History, glyphs: Glyphs) -> dict[float, str]:
    """When faults began and ended, for the charts."""
    marks: dict[float, str] = {}
    for fault in history.sight.faults if history.sight else ():
        marks[_unix(fault["at"])] = f"{glyphs.begun}:bad"
        if not fault["active"] and fault.get("ended"):
            marks[_unix(fault["ended"])] = f"{glyphs.ended}:good"
    return marks


def event_lines(history: History, rows: int, focus: str | None) -> list[Line]:
    """The newest happenings, one a line, oldest first."""
    told = history.story.last(rows, focus)
    subject = max((len(one.subject) for one in told), default=0)
    return [_happening(one, min(12, max(4, subject))) for one in told]


def _happening(one: Happening, subject: int) -> Line:
    more = f"{one.nodes[0]}+{len(one.nodes) - 1}" if len(one.nodes) > 1 else one.nodes[0]
    return [
        (f"{one.at[11:21]}  ", "dim"),
        piece(more, NODES_COLUMNS, "name"),
        (" ", ""),
        piece(one.kind, 17, KIND_STYLES.get(one.kind, "")),
        (" ", ""),
        piece(one.subject, subject, "strong"),
        (f"  {_printable(one.cause)}", ""),
    ]


def _printable(text: str) -> str:
    from dsectl.views.text import shown

    return shown(text)


def _unix(at: str) -> float:
    """Unix time of RFC 3339 text in UTC; 0 of nothing."""
    if not at:
        return 0.0
    from calendar import timegm

    whole = timegm((int(at[:4]), int(at[5:7]), int(at[8:10]), int(at[11:13]), int(at[14:16]), int(at[17:19])))
    return whole + float("0" + at[19:].rstrip("Z") or 0)
