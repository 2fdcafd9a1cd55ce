"""The table of nodes: how each is, whom it sees how, what flows through it and fails, what waits for it. Pure.

Columns have fixed widths, so that nothing jumps; the less important ones are left out where there is no room.
"""

from collections.abc import Callable
from typing import NamedTuple

from dsectl.snapshot.snapshot import NodeSnapshot, Snapshot
from dsectl.ui.charts import Glyphs, scale_top, spark
from dsectl.ui.text import STATES, Line, Piece, count, piece, runs
from dsectl.ui.units import UNKNOWN, number, rate, share, show_duration
from dsectl.watch.charts import slow_style
from dsectl.watch.history import History

NARROW = 60
"""Below so many columns the gaps are one column wide."""
NAME_MAX = 12
NUMBER = 5
"""Columns of a figure; see dsectl/ui/units.py."""
MATRIX_MAX = 24
"""Columns that the matrix may take at the most; beyond, `SEEN BY` counts."""
SPARK, SPARK_MAX = 8, 24
NOTE_MIN = 24


class Column(NamedTuple):
    """One column: its heading, how wide it is, and what it says of a node."""

    title: str
    width: int
    cell: Callable[[str, NodeSnapshot], Line]
    right: bool = False


def node_lines(history: History, columns: int, rows: int, focus: str | None, glyphs: Glyphs, step: int) -> list[Line]:
    """The heading and a line for each node, in at most `rows` lines."""
    snapshot = history.snapshot
    if snapshot is None or not snapshot.nodes:
        return []
    table = _Table(history, snapshot, glyphs, step, focus)
    chosen = table.columns(columns)
    gap = 1 if columns < NARROW else 2
    lines = [_join([[piece(one.title, one.width, "dim", right=one.right)] for one in chosen], gap)]
    shown, left = _which(snapshot, rows - 1, focus)
    for name in shown:
        lines.append(_join([one.cell(name, snapshot.nodes[name]) for one in chosen], gap))
        if name == focus:
            lines[-1][0] = (lines[-1][0][0], "focus")
    if left:
        lines.append([(f"{glyphs.more} {count(left, 'more node')}", "dim")])
    return lines


def _which(snapshot: Snapshot, rows: int, focus: str | None) -> tuple[list[str], int]:
    """The nodes that find room, in their order: first those that do not run as they should. How many are left out."""
    names = list(snapshot.nodes)
    if len(names) <= rows:
        return names, 0
    room = max(1, rows - 1)
    first = [name for name in names if snapshot.nodes[name].state != "running" or name == focus]
    chosen = set([*first, *(name for name in names if name not in first)][:room])
    return [name for name in names if name in chosen], len(names) - room


def _join(cells: list[Line], gap: int) -> Line:
    line: Line = []
    for cell in cells:
        line += [*([(" " * gap, "")] if line else []), *cell]
    return line


class _Table:
    """The columns, and what they say."""

    def __init__(self, history: History, snapshot: Snapshot, glyphs: Glyphs, step: int, focus: str | None) -> None:
        self.history = history
        self.snapshot = snapshot
        self.glyphs = glyphs
        self.step = step
        self.focus = focus
        self.names = list(snapshot.nodes)
        self.hints = snapshot.hints()
        self.replicas = max(1, sum(node.owned for node in snapshot.nodes.values()))
        self.top = max((scale_top(self._series(name, SPARK_MAX)) for name in self.names), default=0.0)
        """One scale for all nodes, so that their sparks can be compared."""

    def columns(self, width: int) -> list[Column]:
        """Those that fit, in their order on the screen."""
        gap = 1 if width < NARROW else 2
        name_title = " " * gap + "NODE"
        name_width = min(NAME_MAX, max(4, *map(len, self.names)))
        matrix = self._matrix(width)
        order = [
            Column(name_title, gap + name_width, lambda name, node: self._name(name, node, name_width, gap)),
            Column("STATE", 11, lambda name, node: [piece(node.state, 11, STATES.get(node.state, ""))]),
            Column("ZONE", 4, lambda name, node: [piece(node.zone, 4, "dim")]),
            matrix,
            Column("RING", 4, lambda name, node: [piece(share(node.owned / self.replicas), 4, right=True)], True),
            Column("KV/S", NUMBER, lambda name, node: [self._rate(name, "kv")], True),
            Column(" ", SPARK, lambda name, node: self._spark(name, SPARK)),
            Column("FAIL", NUMBER + 1, lambda name, node: [self._failed(name)], True),
            Column("P99", NUMBER, lambda name, node: [self._slow(name)], True),
            Column("PUB/S", NUMBER, lambda name, node: [self._rate(name, "published")], True),
            Column("REQ/S", NUMBER, lambda name, node: [self._rate(name, "served")], True),
            Column("CPU", 4, self._cpu, True),
            Column("MEM", NUMBER + 1, lambda name, node: [_memory(node)], True),
            Column("HINTS", NUMBER, lambda name, node: [self._hints(name)], True),
            Column("NOTE", NOTE_MIN, lambda name, node: [piece(node.note, NOTE_MIN, "dim")]),
        ]
        wanted = [name_title, "STATE", "KV/S", "FAIL", matrix.title, "P99", "HINTS", " ", "REQ/S", "PUB/S", "RING"]
        wanted += ["CPU", "NOTE", "ZONE", "MEM"]
        by_title = {column.title: column for column in order}
        left, chosen = width + gap, set()
        for title in wanted:
            if left >= by_title[title].width + gap:
                left -= by_title[title].width + gap
                chosen.add(title)
        found = [column for column in order if column.title in chosen]
        wide = left + (NOTE_MIN if "NOTE" in chosen else SPARK)  # what is left goes to the one that can use it
        if "NOTE" in chosen:
            found[-1] = Column("NOTE", wide, lambda name, node: [piece(node.note, wide, "dim")])
        elif " " in chosen:
            found[found.index(by_title[" "])] = Column(" ", wide, lambda name, node: self._spark(name, wide))
        return found

    def _name(self, name: str, node: NodeSnapshot, width: int, gap: int) -> Line:
        """The name behind a sign for a node that does not run, or is chosen; it needs no colour."""
        style = STATES.get(node.state, "")
        sign = {"bad": self.glyphs.states["dead"], "warn": self.glyphs.states["suspect"]}.get(style, " ")
        sign = ">" if name == self.focus and sign == " " else sign
        return [piece(sign, gap, style), piece(name, width, "name")]

    # -- who sees whom

    def _matrix(self, width: int) -> Column:
        cell = 3 if len(self.names) * 3 <= MATRIX_MAX else 1
        if width < NARROW or len(self.names) * cell > MATRIX_MAX or any(len(name) > cell for name in self.names):
            return Column("SEEN BY", 7, self._seen_by)
        title = "".join(f"{name:<{cell}}" for name in self.names)
        wide = max(len(title), 8)
        return Column(title, wide, lambda name, node: self._sees(name, node, cell, wide))

    def _sees(self, name: str, node: NodeSnapshot, cell: int, width: int) -> Line:
        sees = node.vitals.sees if node.vitals is not None else {}
        line: Line = []
        for other in self.names:
            state = sees.get(other, "")
            style = "dim" if other == name or not state else STATES.get(state, "")
            line.append((f"{self.glyphs.states.get(state, self.glyphs.unknown):<{cell}}", style))
        return [*line, (" " * (width - cell * len(self.names)), "")]

    def _seen_by(self, name: str, node: NodeSnapshot) -> Line:
        """How many of those who answer consider it alive."""
        others = [one.vitals for other, one in self.snapshot.nodes.items() if other != name and one.vitals is not None]
        alive = sum(one.sees.get(name) == "alive" for one in others)
        return [piece(f"{alive}/{len(others)}", 7, "good" if alive == len(others) else "warn" if alive else "bad")]

    # -- what it owns and carries

    def _rate(self, name: str, what: str) -> Piece:
        now = self.history.now(name)
        text = UNKNOWN if now is None else rate(getattr(now, what))
        return piece(text, NUMBER, "dim" if text in (UNKNOWN, "0") else "", right=True)

    def _failed(self, name: str) -> Piece:
        now = self.history.now(name)
        if now is None or not now.failed:
            return piece(UNKNOWN if now is None else "0", NUMBER + 1, "dim", right=True)
        return piece(self.glyphs.failed + rate(now.failed), NUMBER + 1, "bad", right=True)

    def _slow(self, name: str) -> Piece:
        now = self.history.now(name)
        seconds = now.kv_quantile_s(0.99) if now is not None else None
        return piece(show_duration(seconds, 2), NUMBER, "dim" if seconds is None else slow_style(seconds), right=True)

    def _series(self, name: str, width: int) -> list[float | None]:
        found = self.history.buckets(name, self.step, width)
        values: list[float | None] = [max((one.kv for one in known), default=None) for known, _, _ in found]
        return [None] * (width - len(values)) + values

    def _spark(self, name: str, width: int) -> Line:
        values = self._series(name, width)
        return runs(spark(values, self.top, self.glyphs), ["name" if value else "dim" for value in values])

    def _hints(self, name: str) -> Piece:
        waiting = self.hints.get(name, 0)
        if not self.snapshot.answering:
            return piece(UNKNOWN, NUMBER, "dim", right=True)
        return piece(number(waiting), NUMBER, "warn" if waiting else "dim", right=True)

    def _cpu(self, name: str, node: NodeSnapshot) -> Line:
        busy = self.history.busy.get(name)
        text = share(busy) if busy is not None and node.process.alive else UNKNOWN
        return [piece(text, 4, "dim" if text == UNKNOWN else "", right=True)]


def _memory(node: NodeSnapshot) -> Piece:
    text = f"{node.process.rss_mb:.0f}MB" if node.process.rss_mb else UNKNOWN
    return piece(text, NUMBER + 1, "dim", right=True)
