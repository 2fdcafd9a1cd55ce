"""The whole screen as lines: what there is room for, nodes before anything else. Pure: a history, a size, choices."""

from dataclasses import dataclass, replace
from typing import Any

from dsectl.snapshot.snapshot import Snapshot
from dsectl.ui.charts import UNICODE, Glyphs
from dsectl.ui.faults import details, touched
from dsectl.ui.ring import moving_line
from dsectl.ui.text import Line, beside, count, fit, flow, length, piece, shown
from dsectl.ui.units import clock, number, rate, show_age, unix_time
from dsectl.watch.charts import chart_lines, figures
from dsectl.watch.history import History
from dsectl.watch.nodes import node_lines

COLUMNS_MIN, ROWS_MIN = 30, 8
WIDE = 150
"""From so many columns on, faults and hints stand beside the events."""
PLAIN_EVENTS = 10
EVENTS_MIN = 3
"""Lines of events that stay before faults and charts grow."""
ENDED_SHOWN_S = 15.0
"""A fault that has ended stays on the screen for so long."""
TARGET_MAX = 40
QUEUES_SHOWN = 8
GROUP_COLUMNS, KIND_COLUMNS, SUBJECT_COLUMNS = 6, 17, 9

VERDICT_BARS = {"green": "bar-good", "amber": "bar-warn", "red": "bar-bad"}
BAD = (
    "member.dead", "hint.refused", "hint.set-aside", "storage.full", "storage.damaged", "service.error",
    "owner.recovering", "owner.may-have-lost", "fault.begun", "fault.done",
)  # fmt: skip
WARN = (
    "member.suspect", "member.confirmed", "owner.catching-up", "node.stalled", "peer.silent", "topics.drop",
    "actor.minted", "node.draining", "clock.ahead",
)  # fmt: skip
GOOD = (
    "member.alive", "member.refuted", "owner.voting", "owner.complete", "hint.delivered", "peer.answers", "fault.ended",
    "node.undrained",
)  # fmt: skip
KIND_STYLES = {**dict.fromkeys(BAD, "bad"), **dict.fromkeys(WARN, "warn"), **dict.fromkeys(GOOD, "good")}
KIND_STYLES["chain.decided"] = "strong"


@dataclass(frozen=True)
class Choices:
    """What the person has chosen."""

    frozen: bool = False
    focus: str | None = None
    done: bool = False


def press(choices: Choices, key: str, names: list[str]) -> Choices:
    """The choices after a key: a character, or `up`, `down`, `escape`."""
    if key in ("q", "Q"):
        return replace(choices, done=True)
    if key == " ":
        return replace(choices, frozen=not choices.frozen)
    if key in ("0", "escape"):
        return replace(choices, focus=None)
    if key.isdecimal() and 1 <= int(key) <= len(names):
        chosen = names[int(key) - 1]
        return replace(choices, focus=None if chosen == choices.focus else chosen)
    if key in ("up", "down", "k", "j") and names:
        ring: list[str | None] = [None, *names]
        at = ring.index(choices.focus) if choices.focus in ring else 0
        return replace(choices, focus=ring[(at + (1 if key in ("down", "j") else -1)) % len(ring)])
    return choices


def picture(
    history: History, columns: int, rows: int, choices: Choices, glyphs: Glyphs = UNICODE, every_s: float = 0.5
) -> list[Line]:
    """Exactly `rows` lines of `columns` columns."""
    lines = _header(history, columns, rows, choices, glyphs)
    pressed = [("q", "quit"), ("space", "go on" if choices.frozen else "freeze"), ("1-9 ↑ ↓", "one node")]
    pressed += [("0", f"all, not only {choices.focus}")] if choices.focus else []
    keys = flow([[(key, "strong"), (f" {what}", "dim")] for key, what in pressed], columns, "   ")[:1]
    snapshot = history.snapshot
    if snapshot is not None and snapshot.lost is None:
        room = rows - len(lines) - len(keys)
        table = 1 + len(snapshot.nodes)
        legend = flow(_legend(glyphs), columns, "  ")
        legend = legend if room >= table + len(legend) + 2 else legend[: max(0, room - table)]
        lines += _body(history, snapshot, columns, room - len(legend), choices, glyphs, max(1, round(1.0 / every_s)))
        keys = [*legend, *keys]
    lines = lines[: rows - len(keys)]
    lines += [[]] * (rows - len(keys) - len(lines))
    return [fit(line, columns) for line in [*lines, *keys]]


def _body(
    history: History, snapshot: Snapshot, columns: int, room: int, choices: Choices, glyphs: Glyphs, step: int
) -> list[Line]:
    """At most `room` lines: all nodes, then the faults in force, some events, and charts where there is room left."""
    focus = choices.focus
    lines = node_lines(history, columns, min(len(snapshot.nodes) + 1, room), focus, glyphs, step)
    left = room - len(lines)
    faults = shown_faults(history, snapshot.wall)
    waiting, queues = hint_lines(snapshot), queue_lines(snapshot)
    wide = columns >= WIDE
    listed = len(faults) + len(queues)
    below = max(listed + len(waiting), EVENTS_MIN) + 1 if wide else listed + bool(faults) + EVENTS_MIN + 1
    chart_rows = min(8, max((left - 4) // 4, 0), left - below - 4)
    if chart_rows > 0:
        lines += [[], *chart_lines(history, columns, chart_rows, focus, glyphs, step)]
        left = room - len(lines)
    if left > below:
        lines.append([])
        left -= 1
    if wide and left >= 2:
        half = columns * 2 // 5
        told = fault_lines(faults, max(1, left - 3 - len(waiting) - len(queues)), snapshot.wall)
        one = [_title("faults", none=not faults), *told, *queues, _title("hints", none=not waiting), *waiting][:left]
        other = [_title("events", focus), *event_lines(history, left - 1, focus)]
        return lines + beside(one, other, half, 3, columns - half - 3)
    if faults and left >= 2:
        told = fault_lines(faults, max(1, min(len(faults), left - 2 - EVENTS_MIN, left - 1)), snapshot.wall)
        lines += [_title("faults"), *told]
        left -= len(told) + 1
    if queues and left >= len(queues) + EVENTS_MIN + 1:
        lines += queues
        left -= len(queues)
    if left >= 2:
        lines += [_title("events", focus), *event_lines(history, left - 1, focus)]
    return lines


def plain_lines(history: History, columns: int, glyphs: Glyphs = UNICODE, every_s: float = 0.5) -> list[Line]:
    """The same for a page that does not move: as many lines as it takes, and numbers instead of charts."""
    snapshot = history.snapshot
    lines = _header(history, columns, 1000, Choices(), glyphs)
    if snapshot is not None and snapshot.lost is None:
        lines += node_lines(history, columns, len(snapshot.nodes) + 1, None, glyphs, max(1, round(1.0 / every_s)))
        lines += [[], *flow(figures(history), columns, "   ")]
        faults = shown_faults(history, snapshot.wall)
        lines += [[], _title("faults"), *fault_lines(faults, len(faults), snapshot.wall)] if faults else []
        queues = queue_lines(snapshot)
        lines += [[], *queues] if queues else []
        lines += [[], _title("events"), *event_lines(history, PLAIN_EVENTS, None)]
        lines += [[], *flow(_legend(glyphs), columns, "  ")]
    return [fit(line, columns) for line in lines]


def _title(text: str, focus: str | None = None, *, none: bool = False) -> Line:
    return [(text.upper(), "dim"), (f"  of {focus}" if focus else "  none" if none else "", "dim")]


# -- above and below


def _header(history: History, columns: int, rows: int, choices: Choices, glyphs: Glyphs) -> list[Line]:
    """The verdict, the change of members under way, and what there is of trouble; ends with an empty line where the
    screen is not narrow."""
    snapshot = history.snapshot
    if snapshot is None:
        return [[("looking", "dim")], []]
    right: Line = [(" ", ""), (" FROZEN ", "bar-warn")] if choices.frozen else []
    if columns >= 60:
        right += [(" ", ""), (f"{clock(snapshot.wall, 0)} UTC", "dim")]
    lost = snapshot.lost
    badge = (" LOST ", "bar-bad") if lost else (f" {snapshot.verdict.upper()} ", VERDICT_BARS.get(snapshot.verdict, ""))
    why = lost.message if lost else snapshot.reason
    left: Line = [(snapshot.cluster, "strong"), ("  ", ""), badge, (f"  {shown(why)}", "")]
    head = [*fit(left, columns - length(right)), *right]
    if lost:
        return [head, [], [("waiting for it to come back", "dim")]]
    summary = flow(_summary(history, snapshot), columns, "  ")
    if snapshot.moving is not None:
        now = history.now()
        summary.insert(0, moving_line(snapshot.moving, columns, glyphs, now.moved_bytes if now else None))
    return [head, *summary[: max(1, rows - len(snapshot.nodes) - 3)], *([[]] if columns >= 60 else [])]


def _summary(history: History, snapshot: Snapshot) -> list[Line]:
    answering, nodes = snapshot.answering, len(snapshot.nodes)
    waiting = sum(snapshot.hints().values())
    at_least = "+" if waiting and answering < nodes else ""  # who does not answer may keep more
    hints = f"{number(waiting)}{at_least} hints waiting" if answering else "hints unknown"
    now = history.now()
    failed = now.failed if now is not None else 0.0
    parts: list[Line] = [
        [(f"{answering} of {count(nodes, 'node')} answer", "warn" if answering < nodes else "dim")],
        [(f"{UNICODE.failed if failed else ''}{rate(failed)} failures/s", "bad" if failed else "dim")],
        [(hints, "warn" if waiting or not answering else "dim")],
        [(f"{count(snapshot.faults_active, 'fault')} in force", "bad" if snapshot.faults_active else "dim")],
    ]
    if now is not None and now.dropped:
        parts.append([(f"{rate(now.dropped)} messages dropped/s", "warn")])
    return parts


def _legend(glyphs: Glyphs) -> list[Line]:
    states = {name: glyphs.states[name] for name in ("alive", "suspect", "dead")}
    signs = states | {
        "no answer": glyphs.unknown,
        "failures": glyphs.failed,
        "fault": glyphs.begun,
        "its end": glyphs.ended,
    }
    return [[(f"{sign} {what}", "dim")] for what, sign in signs.items()]


# -- faults and hints


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
    chosen = faults[left + 1 :] if left and rows > 1 else faults[left:]
    what = ["  ".join(part for part in (fault["target"], details(fault)) if part) for fault in chosen]
    wide = min(TARGET_MAX, max(map(len, what)))
    lines: list[Line] = []
    if len(chosen) < len(faults) and rows > 1:
        lines.append([(f"{len(faults) - len(chosen)} more: `dsectl faults`", "dim")])
    for fault, text in zip(chosen, what, strict=True):
        active, affected = fault["active"], fault["affected"]
        effect = f"{number(affected)} touched" if affected else "nothing yet" if active else "no effect"
        line = [
            piece(fault["id"], 4, "name" if active else "dim"),
            piece(fault["kind"], max(10, len(fault["kind"]) + 1), "bad" if active else "dim"),
            piece(text, wide + 1, "" if active else "dim"),
            piece(f"{'for' if active else 'ended'} {show_age(wall - _since(fault))}", 11, "dim"),
            piece(effect, 14, "dim" if affected and not active else "warn"),
        ]
        lines.append([*line, (touched(fault), "dim")])
    return lines


def _since(fault: dict[str, Any]) -> float:
    """When it began, or ended when it has; long ago where that is not written."""
    at = fault["at"] if fault["active"] else fault.get("ended")
    return unix_time(at) if at else 0.0


def hint_lines(snapshot: Snapshot) -> list[Line]:
    """For whom copies wait, and where."""
    lines: list[Line] = []
    for target, total in snapshot.hints().items():
        holders = {name: node.vitals.hints.get(target, 0) for name, node in snapshot.nodes.items() if node.vitals}
        held = ", ".join(f"{name} {number(many)}" for name, many in holders.items() if many)
        lines.append(
            [piece(target, 4, "name"), piece(number(total), 6, "warn", right=True), (f"  kept by {held}", "dim")]
        )
    return lines


def queue_lines(snapshot: Snapshot) -> list[Line]:
    """What is in each queue, the deepest first, under a heading; nothing where there is no queue."""
    lines: list[Line] = []
    for name, said in sorted(snapshot.queues().items(), key=lambda one: -one[1]["depth"])[:QUEUES_SHOWN]:
        line = [
            piece(name, 16, "name"),
            piece(number(said["depth"]), 6, "" if said["depth"] else "dim", right=True),
            (f"  {number(said['in_flight'])} in flight", "" if said["in_flight"] else "dim"),
        ]
        for what, style in (("redelivered", "warn"), ("dead", "bad")):
            line += [(f"  {number(said[what])} {what}", style)] if said[what] else []
        lines.append(line)
    return [_title("queues"), *lines] if lines else []


# -- events


def event_lines(history: History, rows: int, focus: str | None) -> list[Line]:
    """The newest groups of events, one a line, oldest first."""
    return [
        [
            (f"{clock(one.at, 1)}  ", "dim"),
            piece(_and_more(one.nodes[0], len(one.nodes)), GROUP_COLUMNS, "name"),
            (" ", ""),
            piece(one.kind, KIND_COLUMNS, KIND_STYLES.get(one.kind, "")),
            (" ", ""),
            piece(_and_more(one.subject, one.subjects), SUBJECT_COLUMNS, "strong"),
            (f" {shown(one.cause)}", ""),
        ]
        for one in history.groups.last(rows, focus)
    ]


def _and_more(first: str, of: int) -> str:
    return first if of == 1 else f"{first}+{of - 1}"
