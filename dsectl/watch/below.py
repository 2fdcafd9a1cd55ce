"""Faults in force with what they touch, and the last happenings with their causes. Pure."""

from typing import Any

from dsectl.snapshot.sight import Sight
from dsectl.ui.charts import Glyphs
from dsectl.ui.faults import details, touched
from dsectl.ui.text import Line, piece, shown
from dsectl.ui.units import clock, number, show_age, unix_time
from dsectl.watch.history import History
from dsectl.watch.story import Happening

ENDED_SHOWN_S = 15.0
"""A fault that has ended stays on the screen for so long."""
BAD = (
    "member.dead", "hint.refused", "hint.set-aside", "storage.full", "service.error", "owner.recovering",
    "owner.may-have-lost", "fault.begun",
)  # fmt: skip
WARN = (
    "member.suspect",
    "member.confirmed",
    "owner.catching-up",
    "node.stalled",
    "peer.silent",
    "topics.drop",
    "actor.minted",
)
GOOD = (
    "member.alive",
    "member.refuted",
    "owner.voting",
    "owner.complete",
    "hint.delivered",
    "peer.answers",
    "fault.ended",
)
KIND_STYLES = {**dict.fromkeys(BAD, "bad"), **dict.fromkeys(WARN, "warn"), **dict.fromkeys(GOOD, "good")}
NODES_COLUMNS, SUBJECT_COLUMNS = 6, 9
TARGET_MAX = 40


def shown_faults(history: History, wall: float) -> list[dict[str, Any]]:
    """Those in force, then those that have only just ended; oldest first."""
    faults = history.faults()
    active = [fault for fault in faults if fault["active"]]
    return active + [fault for fault in faults if not fault["active"] and wall - _since(fault) < ENDED_SHOWN_S]


def fault_lines(faults: list[dict[str, Any]], rows: int, wall: float) -> list[Line]:
    """A line for each, in at most `rows`; the newest have precedence."""
    if not faults or rows <= 0:
        return []
    left = max(0, len(faults) - rows)
    told = faults[left + 1 :] if left and rows > 1 else faults[left:]
    wide = min(TARGET_MAX, max(len(_what(fault)) for fault in told))
    lines = [_fault(fault, wall, wide) for fault in told]
    if len(told) < len(faults) and rows > 1:
        lines.insert(0, [(f"{len(faults) - len(told)} more: `dsectl faults`", "dim")])
    return lines


def _what(fault: dict[str, Any]) -> str:
    return "  ".join(part for part in (fault["target"], details(fault)) if part)


def _fault(fault: dict[str, Any], wall: float, wide: int) -> Line:
    active = fault["active"]
    affected = fault["affected"]
    count = f"{number(affected)} touched" if affected else "nothing yet" if active else "no effect"
    line: Line = [
        piece(fault["id"], 4, "name" if active else "dim"),
        piece(fault["kind"], 10, "bad" if active else "dim"),
        piece(_what(fault), wide + 1, "" if active else "dim"),
        piece(f"{'for' if active else 'ended'} {show_age(wall - _since(fault))}", 11, "dim"),
        piece(count, 14, ("warn" if active else "dim") if affected else "warn"),
    ]
    links = touched(fault)
    return [*line, (links, "dim")] if links else line


def _since(fault: dict[str, Any]) -> float:
    """When it began, or ended when it has; long ago where that is not written."""
    at = fault["at"] if fault["active"] else fault.get("ended")
    return unix_time(at) if at else 0.0


def hint_lines(sight: Sight) -> list[Line]:
    """For whom copies wait, and where."""
    lines: list[Line] = []
    for target, total in sight.hints().items():
        holders = {name: node.vitals.hints.get(target, 0) for name, node in sight.nodes.items() if node.vitals}
        held = ", ".join(f"{name} {number(many)}" for name, many in holders.items() if many)
        lines.append(
            [piece(target, 4, "name"), piece(number(total), 6, "warn", right=True), (f"  kept by {held}", "dim")]
        )
    return lines


def fault_marks(history: History, glyphs: Glyphs) -> dict[float, str]:
    """When faults began and ended, for the charts."""
    marks: dict[float, str] = {}
    for fault in history.sight.faults if history.sight else ():
        marks[unix_time(fault["at"])] = f"{glyphs.begun}:bad"
        if not fault["active"] and fault.get("ended"):
            marks[unix_time(fault["ended"])] = f"{glyphs.ended}:good"
    return marks


def event_lines(history: History, rows: int, focus: str | None) -> list[Line]:
    """The newest happenings, one a line, oldest first."""
    told = history.story.last(rows, focus)
    return [_happening(one) for one in told]


def _happening(one: Happening) -> Line:
    subject = one.subject if one.subjects == 1 else f"{one.subject}+{one.subjects - 1}"
    more = f"{one.nodes[0]}+{len(one.nodes) - 1}" if len(one.nodes) > 1 else one.nodes[0]
    return [
        (f"{clock(one.at, 1)}  ", "dim"),
        piece(more, NODES_COLUMNS, "name"),
        (" ", ""),
        piece(one.kind, 17, KIND_STYLES.get(one.kind, "")),
        (" ", ""),
        piece(subject, SUBJECT_COLUMNS, "strong"),
        (f" {shown(one.cause)}", ""),
    ]
