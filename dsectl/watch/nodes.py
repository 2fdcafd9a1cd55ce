"""The table of nodes: how each is, whom it sees how, what flows through it and fails, what waits for it. Pure.

Columns have fixed widths, so that nothing jumps; the less important ones are left out where there is no room.
"""

from collections.abc import Callable
from typing import NamedTuple

from dsectl.snapshot.snapshot import NodeSnapshot, Snapshot
from dsectl.ui.charts import Glyphs, scale_top, spark
from dsectl.ui.text import STATES, Line, count, piece, runs
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
    """One column: its heading, how wide it is, and what it says of a node in that width."""

    title: str
    width: int
    cell: Callable[[str, NodeSnapshot, int], Line]
    right: bool = False


def node_lines(history: History, columns: int, rows: int, focus: str | None, glyphs: Glyphs, step: int) -> list[Line]:
    """The heading and a line for each node, in at most `rows` lines: first those that do not run as they should."""
    snapshot = history.snapshot
    if snapshot is None or not snapshot.nodes:
        return []
    chosen = _Table(history, snapshot, glyphs, step, focus).columns(columns)
    gap = " " * (1 if columns < NARROW else 2), ""
    cells = [[[piece(one.title, one.width, "dim", right=one.right)] for one in chosen]]
    names, room = list(snapshot.nodes), max(1, rows - 2)
    if len(names) >= rows:
        first = [name for name in names if snapshot.nodes[name].state != "running" or name == focus]
        kept = list(dict.fromkeys([*first, *names]))[:room]
        names = [name for name in names if name in kept]
    cells += [[one.cell(name, snapshot.nodes[name], one.width) for one in chosen] for name in names]
    lines = [[part for at, cell in enumerate(row) for part in ([gap, *cell] if at else cell)] for row in cells]
    if focus in names:
        line = lines[1 + names.index(focus)]
        line[0] = line[0][0], "focus"
    left = len(snapshot.nodes) - len(names)
    return [*lines, [(f"{glyphs.more} {count(left, 'more node')}", "dim")]] if left else lines


def _figure(text: str, columns: int = NUMBER, style: str = "") -> Line:
    """A number; one that says nothing is dim."""
    return [piece(text, columns, "dim" if text in (UNKNOWN, "0") else style, right=True)]


class _Table:
    """The columns, and what they say."""

    def __init__(self, history: History, snapshot: Snapshot, glyphs: Glyphs, step: int, focus: str | None) -> None:
        self.history = history
        self.snapshot = snapshot
        self.glyphs = glyphs
        self.step = step
        self.focus = focus
        self.names = list(snapshot.nodes)
        hints = snapshot.hints()
        self.hints = {name: number(hints.get(name, 0)) if snapshot.answering else UNKNOWN for name in self.names}
        self.memory = {
            name: f"{node.process.rss_mb:.0f}MB" for name, node in snapshot.nodes.items() if node.process.rss_mb
        }
        self.replicas = max(1, sum(node.owned for node in snapshot.nodes.values()))
        self.top = max((scale_top(self._series(name, SPARK_MAX)) for name in self.names), default=0.0)
        """One scale for all nodes, so that their sparks can be compared."""

    def columns(self, width: int) -> list[Column]:
        """Those that fit, in their order on the screen."""
        gap = self.gap = 1 if width < NARROW else 2
        named = Column(" " * gap + "NODE", gap + min(NAME_MAX, max(4, *map(len, self.names))), self._name)
        matrix = self._matrix(width)
        order = [
            named,
            Column("STATE", 11, lambda name, node, wide: [piece(node.state, wide, STATES.get(node.state, ""))]),
            Column("ZONE", 4, lambda name, node, wide: [piece(node.zone, wide, "dim")]),
            matrix,
            Column("RING", 4, lambda name, node, wide: _figure(share(node.owned / self.replicas), wide), True),
            Column("KV/S", NUMBER, lambda name, node, wide: _figure(rate(self._now(name, "kv")), wide), True),
            Column(" ", SPARK, self._spark),
            Column("FAIL", NUMBER + 1, self._failed, True),
            Column("P99", NUMBER, self._slow, True),
            Column("PUB/S", NUMBER, lambda name, node, wide: _figure(rate(self._now(name, "published")), wide), True),
            Column("REQ/S", NUMBER, lambda name, node, wide: _figure(rate(self._now(name, "served")), wide), True),
            Column("CPU", 4, self._cpu, True),
            Column(
                "MEM", NUMBER + 1, lambda name, node, wide: _figure(self.memory.get(name, UNKNOWN), wide, "dim"), True
            ),
            Column("HINTS", NUMBER, lambda name, node, wide: _figure(self.hints[name], wide, "warn"), True),
            Column("NOTE", NOTE_MIN, lambda name, node, wide: [piece(node.note, wide, "dim")]),
        ]
        wanted = [named.title, "STATE", "KV/S", "FAIL", matrix.title, "P99", "HINTS", " ", "REQ/S", "PUB/S", "RING"]
        wanted += ["CPU", "NOTE", "ZONE", "MEM"]
        widths = {column.title: column.width + gap for column in order}
        left, chosen = width + gap, []
        for title in wanted:
            if left >= widths[title]:
                left -= widths[title]
                chosen.append(title)
        takes = "NOTE" if "NOTE" in chosen else " "  # what is left goes to the one that can use it
        found = [column for column in order if column.title in chosen]
        return [one._replace(width=one.width + left) if one.title == takes else one for one in found]

    def _name(self, name: str, node: NodeSnapshot, wide: int) -> Line:
        """The name behind a sign for a node that does not run, or is chosen; it needs no colour."""
        style = STATES.get(node.state, "")
        sign = {"bad": self.glyphs.states["dead"], "warn": self.glyphs.states["suspect"]}.get(style, " ")
        sign = ">" if name == self.focus and sign == " " else sign
        return [piece(sign, self.gap, style), piece(name, wide - self.gap, "name")]

    # -- who sees whom

    def _matrix(self, width: int) -> Column:
        def seen_by(name: str, node: NodeSnapshot, wide: int) -> Line:
            """How many of those who answer consider it alive."""
            others = [one.vitals for other, one in self.snapshot.nodes.items() if other != name and one.vitals]
            alive = sum(one.sees.get(name) == "alive" for one in others)
            style = "good" if alive == len(others) else "warn" if alive else "bad"
            return [piece(f"{alive}/{len(others)}", wide, style)]

        cell = 3 if len(self.names) * 3 <= MATRIX_MAX else 1
        if width < NARROW or len(self.names) * cell > MATRIX_MAX or any(len(name) > cell for name in self.names):
            return Column("SEEN BY", 7, seen_by)

        def sees(name: str, node: NodeSnapshot, wide: int) -> Line:
            states = {} if node.vitals is None else node.vitals.sees
            signs = "".join(
                f"{self.glyphs.states.get(states.get(other, ''), self.glyphs.unknown):<{cell}}" for other in self.names
            )
            styles = ["dim" if other == name else STATES.get(states.get(other, ""), "dim") for other in self.names]
            return [*runs(signs, [style for style in styles for _ in range(cell)]), (" " * (wide - len(signs)), "")]

        title = "".join(f"{name:<{cell}}" for name in self.names)
        return Column(title, max(len(title), 8), sees)

    # -- what it owns and carries

    def _now(self, name: str, what: str) -> float | None:
        now = self.history.now(name)
        return None if now is None else getattr(now, what)

    def _failed(self, name: str, node: NodeSnapshot, wide: int) -> Line:
        failed = self._now(name, "failed")
        return _figure((self.glyphs.failed if failed else "") + rate(failed), wide, "bad")

    def _slow(self, name: str, node: NodeSnapshot, wide: int) -> Line:
        now = self.history.now(name)
        seconds = now.kv_quantile_s(0.99) if now is not None else None
        return _figure(show_duration(seconds, 2), wide, slow_style(seconds or 0.0))

    def _series(self, name: str, width: int) -> list[float | None]:
        found = self.history.buckets(name, self.step, width)
        values: list[float | None] = [max((one.kv for one in known), default=None) for known, _, _ in found]
        return [None] * (width - len(values)) + values

    def _spark(self, name: str, node: NodeSnapshot, wide: int) -> Line:
        values = self._series(name, wide)
        return runs(spark(values, self.top, self.glyphs), ["name" if value else "dim" for value in values])

    def _cpu(self, name: str, node: NodeSnapshot, wide: int) -> Line:
        busy = self.history.busy.get(name)
        return _figure(share(busy) if busy is not None and node.process.alive else UNKNOWN, wide)
