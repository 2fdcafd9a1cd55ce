"""The whole screen as lines: what there is room for, most important first. Pure: a history, a size, a desk."""

from dataclasses import dataclass, replace

from dsectl.snapshot.sight import Sight
from dsectl.ui.charts import UNICODE, Glyphs
from dsectl.ui.text import Line, beside, count, fit, length
from dsectl.ui.units import clock, number
from dsectl.watch.below import event_lines, fault_lines, fault_marks, hint_lines, shown_faults
from dsectl.watch.charts import chart_lines, total_line
from dsectl.watch.history import History
from dsectl.watch.nodes import node_lines

COLUMNS_MIN, ROWS_MIN = 40, 8
PLAIN_EVENTS = 10
WIDE = 150
"""From so many columns on, faults and happenings stand side by side."""
LEGEND = ("alive", "suspect", "dead")
VERDICT_BARS = {"green": "bar-good", "amber": "bar-warn", "red": "bar-bad"}


@dataclass(frozen=True)
class Desk:
    """What the person has chosen."""

    frozen: bool = False
    focus: str | None = None
    done: bool = False


def picture(
    history: History, columns: int, rows: int, desk: Desk, glyphs: Glyphs = UNICODE, every_s: float = 0.5
) -> list[Line]:
    """Exactly `rows` lines of `columns` columns."""
    step = max(1, round(1.0 / every_s))
    lines = _header(history, columns, desk)
    footer = _footer(desk, columns, glyphs)
    room = rows - len(lines) - 1
    sight = history.sight
    if sight is not None and not sight.lost:
        lines += _body(history, sight, columns, room, desk, glyphs, step)
    lines = lines[: rows - 1]
    lines += [[]] * (rows - 1 - len(lines))
    return [fit(line, columns) for line in [*lines, footer]]


def _body(history: History, sight: Sight, columns: int, room: int, desk: Desk, glyphs: Glyphs, step: int) -> list[Line]:
    faults = shown_faults(history, sight.wall)
    chart_rows = _chart_rows(room - len(sight.nodes) - 2)
    below = 3 + min(len(faults), 3) + 4 if room > 14 else 2
    table_rows = max(3, min(len(sight.nodes) + 1, room - below - (chart_rows + 3 if chart_rows else 0)))
    lines = node_lines(history, columns, table_rows, desk.focus, glyphs, step)
    if chart_rows:
        marks = fault_marks(history, glyphs)
        lines += [[], *chart_lines(history, columns, chart_rows, desk.focus, glyphs, step, marks)]
    left = room - len(lines) - 1
    if left < 2:
        return lines
    lines.append([])
    if columns >= WIDE:
        half = columns * 2 // 5
        waiting = hint_lines(sight)
        told = fault_lines(faults, max(2, left - 4 - len(waiting)), sight.wall)
        one = [_title("faults", none=not faults), *told, [], _title("hints", none=not waiting), *waiting][:left]
        other = [_title("events", desk.focus), *event_lines(history, left - 1, desk.focus)]
        return lines + beside(one, other, half, 3, columns - half - 3)
    if left >= 4 or faults:
        told = fault_lines(faults, max(1, min(len(faults), left // 2 - 1)), sight.wall)
        lines += [_title("faults", none=not faults), *told]
        left -= len(told) + 1
    if left >= 2:
        lines += [_title("events", desk.focus), *event_lines(history, left - 1, desk.focus)]
    return lines


def plain_lines(history: History, columns: int, glyphs: Glyphs = UNICODE, every_s: float = 0.5) -> list[Line]:
    """The same for a page that does not move: as many lines as it takes, and numbers instead of charts."""
    sight, desk = history.sight, Desk()
    lines = _header(history, columns, desk)
    if sight is None or sight.lost:
        return lines
    lines += node_lines(history, columns, len(sight.nodes) + 1, None, glyphs, max(1, round(1.0 / every_s)))
    lines += [[], total_line(history)]
    faults = shown_faults(history, sight.wall)
    if faults:
        lines += [[], _title("faults"), *fault_lines(faults, len(faults), sight.wall)]
    return [fit(line, columns) for line in [*lines, [], _title("events"), *event_lines(history, PLAIN_EVENTS, None)]]


def _chart_rows(room: int) -> int:
    """How high charts are with so many lines below the nodes: a quarter of them, and none where there are few."""
    if room < 8:
        return 0
    return max(1, min(8, (room - 4) // 4))


def _title(text: str, focus: str | None = None, *, none: bool = False) -> Line:
    return [(text.upper(), "dim"), (f"  of {focus}" if focus else "  none" if none else "", "dim")]


def _header(history: History, columns: int, desk: Desk) -> list[Line]:
    sight = history.sight
    if sight is None:
        return [[("looking", "dim")], []]
    right: Line = [(" FROZEN ", "bar-warn"), (" ", "")] if desk.frozen else []
    right.append((f"{clock(sight.wall, 0)} UTC", "dim"))
    if sight.lost:
        return [_ends([(sight.cluster, "strong"), ("  ", ""), (" LOST ", "bar-bad"), (f"  {sight.lost}", "")], right,
                      columns), [], [("waiting for it to come back", "dim")]]  # fmt: skip
    badge = f" {sight.colour.upper()} "
    left: Line = [(sight.cluster, "strong"), ("  ", ""), (badge, VERDICT_BARS.get(sight.colour, "")),
                  (f"  {sight.reason}", "")]  # fmt: skip
    return [_ends(left, right, columns), _summary(history, sight), []]


def _summary(history: History, sight: Sight) -> Line:
    silent = len(sight.nodes) - sight.answering
    waiting = sum(sight.hints().values())
    active = sum(fault["active"] for fault in sight.faults)
    now = history.now()
    parts: list[tuple[str, str]] = [
        (f"{sight.answering} of {count(len(sight.nodes), 'node')} answer", "warn" if silent else "dim"),
        (_waiting(waiting, sight), "warn" if waiting or not sight.answering else "dim"),
        (f"{count(active, 'fault')} in force", "bad" if active else "dim"),
    ]
    if now is not None and now.failed:
        parts.append((f"{now.failed:.1f} failures/s", "bad"))
    if now is not None and now.dropped:
        parts.append((f"{now.dropped:.1f} messages dropped/s", "warn"))
    line: Line = []
    for part in parts:
        line += [*([("  ", "")] if line else []), part]
    return line


def _waiting(hints: int, sight: Sight) -> str:
    """Who is silent may keep more."""
    if not sight.answering:
        return "hints unknown"
    return f"{'at least ' if hints and sight.answering < len(sight.nodes) else ''}{number(hints)} hints waiting"


def _ends(left: Line, right: Line, columns: int) -> Line:
    room = columns - length(right) - 1
    return [*fit(left, room), (" ", ""), *right]


def _footer(desk: Desk, columns: int, glyphs: Glyphs) -> Line:
    keys = [("q", "quit"), ("space", "go on" if desk.frozen else "freeze"), ("1-9 ↑ ↓", "one node")]
    if desk.focus:
        keys.append(("0", f"all, not only {desk.focus}"))
    line: Line = []
    for key, what in keys:
        line += [*([("   ", "")] if line else []), (key, "strong"), (f" {what}", "dim")]
    signs = [f"{sign} {state}" for state, sign in glyphs.states.items() if state in LEGEND]
    legend: Line = [("  ".join([*signs, f"{glyphs.begun} fault", f"{glyphs.ended} its end"]), "dim")]
    return _ends(line, legend, columns) if length(line) + length(legend) + 2 <= columns else line


def press(desk: Desk, key: str, names: list[str]) -> Desk:
    """The desk after a key: a character, or `up`, `down`, `escape`."""
    if key in ("q", "Q"):
        return replace(desk, done=True)
    if key == " ":
        return replace(desk, frozen=not desk.frozen)
    if key in ("0", "escape"):
        return replace(desk, focus=None)
    if key.isdecimal() and 1 <= int(key) <= len(names):
        chosen = names[int(key) - 1]
        return replace(desk, focus=None if chosen == desk.focus else chosen)
    if key in ("up", "down", "k", "j") and names:
        ring: list[str | None] = [None, *names]
        at = ring.index(desk.focus) if desk.focus in ring else 0
        return replace(desk, focus=ring[(at + (1 if key in ("down", "j") else -1)) % len(ring)])
    return desk
