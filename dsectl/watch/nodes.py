"""The table of nodes: how each is, whom it sees how, what it owns, what flows through it, what waits for it. Pure.

Columns have fixed widths, so that nothing jumps; on a narrow screen the less important ones are left out.
"""

from collections.abc import Callable
from typing import NamedTuple

from dsectl.snapshot.sight import NodeSight, Sight
from dsectl.ui.charts import Glyphs, bar, spark
from dsectl.ui.text import STATES, Line, Piece, count, piece, runs
from dsectl.ui.units import UNKNOWN, number, rate, share, show_duration
from dsectl.watch.charts import slow_style
from dsectl.watch.history import History

GAP = 2
NAME_MAX = 12
MATRIX_MAX = 24
"""Columns that the matrix may take at the most; beyond, `SEEN BY` counts."""
SPARK, SPARK_WIDE = 8, 24
NOTE_MIN = 24


class Column(NamedTuple):
    """One column: its heading, how wide it is, and what it says of a node."""

    title: str
    width: int
    cell: Callable[[str, NodeSight], Line]
    right: bool = False


def node_lines(history: History, columns: int, rows: int, focus: str | None, glyphs: Glyphs, step: int) -> list[Line]:
    """The heading and a line for each node, in at most `rows` lines."""
    sight = history.sight
    if sight is None or not sight.nodes:
        return []
    table = _Table(history, sight, glyphs, step)
    chosen = table.columns(columns)
    lines = [_join([[piece(one.title, one.width, "dim", right=one.right)] for one in chosen])]
    shown, left = _which(sight, rows - 1, focus)
    for name in shown:
        cells = [one.cell(name, sight.nodes[name]) for one in chosen]
        lines.append(_join(cells))
        if name == focus:
            lines[-1][0] = (lines[-1][0][0], "focus")
    if left:
        lines.append([(f"{glyphs.more} {count(left, 'more node')}", "dim")])
    return lines


def _which(sight: Sight, rows: int, focus: str | None) -> tuple[list[str], int]:
    """The nodes that find room, in their order: first those that are not well. How many are left out."""
    names = list(sight.nodes)
    if len(names) <= rows:
        return names, 0
    room = max(1, rows - 1)
    unwell = [name for name in names if sight.nodes[name].state != "running" or name == focus]
    chosen = set([*unwell, *(name for name in names if name not in unwell)][:room])
    return [name for name in names if name in chosen], len(names) - room


def _join(cells: list[Line]) -> Line:
    line: Line = []
    for cell in cells:
        line += [*([(" " * GAP, "")] if line else []), *cell]
    return line


class _Table:
    """The columns, and what they say."""

    def __init__(self, history: History, sight: Sight, glyphs: Glyphs, step: int) -> None:
        self.history = history
        self.sight = sight
        self.glyphs = glyphs
        self.step = step
        self.names = list(sight.nodes)
        self.hints = sight.hints()
        self.replicas = max(1, sum(node.owned for node in sight.nodes.values()))
        self.top = self._highest()

    def columns(self, width: int) -> list[Column]:
        """Those that fit, in their order."""
        name_width = min(NAME_MAX, max(4, *map(len, self.names)))
        must = [
            Column("NODE", name_width, lambda name, node: [piece(name, name_width, "name")]),
            Column("STATE", 11, lambda name, node: [_state(node)]),
            self._matrix(),
            Column("RING", 4, self._ring, True),
            Column("KV/S", 6, lambda name, node: [self._rate(name, "kv")], True),
            Column("", SPARK, lambda name, node: self._spark(name, SPARK)),
            Column("P99", 6, lambda name, node: [self._slow(name)], True),
            Column("HINTS", 6, self._hints, True),
        ]
        room = width - sum(one.width + GAP for one in must) + GAP
        extra: dict[str, Column] = {}
        for column in self._optional():
            if room >= column.width + GAP:
                extra[column.title or "bar"] = column
                room -= column.width + GAP
        if room >= SPARK_WIDE - SPARK:
            must[5] = Column("", SPARK_WIDE, lambda name, node: self._spark(name, SPARK_WIDE))
            room -= SPARK_WIDE - SPARK
        wide = [*must[:2], *_those(extra, "ZONE"), must[2], must[3], *_those(extra, "bar"), *must[4:7]]
        wide += [*_those(extra, "PUB/S", "REQ/S", "CPU", "MEM"), must[7]]
        if room >= NOTE_MIN + GAP:
            wide.append(Column("NOTE", room - GAP, lambda name, node: [piece(node.note, room - GAP, "dim")]))
        return wide

    def _optional(self) -> list[Column]:
        """The most wanted first."""
        return [
            Column("REQ/S", 6, lambda name, node: [self._rate(name, "served")], True),
            Column("PUB/S", 6, lambda name, node: [self._rate(name, "published")], True),
            Column("CPU", 4, self._cpu, True),
            Column("ZONE", 4, lambda name, node: [piece(node.zone, 4, "dim")]),
            Column("", 10, lambda name, node: [(self._bar(node, 10), "name")]),
            Column("MEM", 6, lambda name, node: [_memory(node)], True),
        ]

    # -- who sees whom

    def _matrix(self) -> Column:
        cell = 3 if len(self.names) * 3 <= MATRIX_MAX else 1
        if len(self.names) * cell > MATRIX_MAX or any(len(name) > cell for name in self.names):
            return Column("SEEN BY", 7, self._seen_by)
        title = "".join(f"{name:<{cell}}" for name in self.names)
        width = max(len(title), 8)
        return Column(title, width, lambda name, node: self._sees(name, node, cell, width))

    def _sees(self, name: str, node: NodeSight, cell: int, width: int) -> Line:
        sees = node.vitals.sees if node.vitals is not None else {}
        line: Line = []
        for other in self.names:
            state = sees.get(other, "")
            style = "dim" if other == name or not state else STATES.get(state, "")
            line.append((f"{self.glyphs.states.get(state, self.glyphs.unknown):<{cell}}", style))
        return [*line, (" " * (width - cell * len(self.names)), "")]

    def _seen_by(self, name: str, node: NodeSight) -> Line:
        """By how many of those who answer it is taken for alive."""
        others = [one.vitals for other, one in self.sight.nodes.items() if other != name and one.vitals is not None]
        alive = sum(one.sees.get(name) == "alive" for one in others)
        return [piece(f"{alive}/{len(others)}", 7, "good" if alive == len(others) else "warn" if alive else "bad")]

    # -- what it owns and carries

    def _ring(self, name: str, node: NodeSight) -> Line:
        return [piece(share(node.owned / self.replicas), 4, right=True)]

    def _bar(self, node: NodeSight, width: int) -> str:
        """Full is twice the fair share."""
        return bar(node.owned / self.replicas * len(self.names) / 2, width, self.glyphs)

    def _rate(self, name: str, what: str) -> Piece:
        now = self.history.now(name)
        text = UNKNOWN if now is None else rate(getattr(now, what))
        return piece(text, 6, "dim" if text in (UNKNOWN, "0") else "", right=True)

    def _slow(self, name: str) -> Piece:
        now = self.history.now(name)
        seconds = now.kv_quantile_s(0.99) if now is not None else None
        return piece(show_duration(seconds, 2), 6, "dim" if seconds is None else slow_style(seconds), right=True)

    def _series(self, name: str, width: int) -> list[float | None]:
        found = self.history.buckets(name, self.step, width)
        values: list[float | None] = [max((one.kv for one in known), default=None) for known, _, _ in found]
        return [None] * (width - len(values)) + values

    def _highest(self) -> float:
        """One scale for all nodes, so that their sparks can be compared."""
        found = [value for name in self.names for value in self._series(name, SPARK_WIDE) if value is not None]
        return max(found, default=0.0)

    def _spark(self, name: str, width: int) -> Line:
        values = self._series(name, width)
        return runs(spark(values, self.top, self.glyphs), ["name" if value else "dim" for value in values])

    def _hints(self, name: str, node: NodeSight) -> Line:
        waiting = self.hints.get(name, 0)
        if not self.sight.answering:
            return [piece(UNKNOWN, 6, "dim", right=True)]
        return [piece(number(waiting), 6, "warn" if waiting else "dim", right=True)]

    def _cpu(self, name: str, node: NodeSight) -> Line:
        busy = self.history.busy.get(name)
        text = share(busy) if busy is not None and node.process != "stopped" else UNKNOWN
        return [piece(text, 4, "dim" if text == UNKNOWN else "", right=True)]


def _state(node: NodeSight) -> Piece:
    return piece(node.state, 11, STATES.get(node.state, ""))


def _memory(node: NodeSight) -> Piece:
    text = f"{node.rss_mb:.0f}MB" if node.rss_mb else UNKNOWN
    return piece(text, 6, "dim", right=True)


def _those(columns: dict[str, Column], *titles: str) -> list[Column]:
    return [columns[title] for title in titles if title in columns]
