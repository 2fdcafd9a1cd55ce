"""How the demo is told: plain lines that read well in a log, or a live picture for a terminal and a projector."""

import time
from collections import Counter, deque
from typing import TYPE_CHECKING

from dsectl.cli.console import Console
from dsectl.demo.findings import Findings
from dsectl.load.plan import KV, PUBLISH, REQUEST
from dsectl.ui.text import STATES, Paint
from dsectl.ui.units import show_duration
from dsectl.ui.verdict import STYLES, Verdict

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table

COLOURS = {"good": "green", "warn": "yellow", "bad": "red", "dim": "dim"}
RATE_WINDOW_S = 1.0
MATRIX_MAX = 8
"""Nodes whose views of each other fit side by side on a terminal of 100 columns."""


class PlainTeller:
    """One line a happening, with the seconds since the start. Says nothing under --json or --quiet."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.started = time.monotonic()
        self.silent = console.options.json or console.options.quiet

    def step(self, title: str) -> None:
        """A new chapter."""
        self._line(f"== {title}")

    def say(self, text: str) -> None:
        """Something was seen or measured."""
        self._line(f"   {text}")

    def states(self, matrix: dict[str, dict[str, str]], hints: int | None) -> None:
        """Not shown: a log tells of changes, and the steps tell those."""

    def _line(self, text: str) -> None:
        if not self.silent:
            self.console.line(f"{time.monotonic() - self.started:6.2f}  {text}")
            self.console.flush()


class Rates:
    """How much a second of what is counted, over the last second."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, tuple[int, ...]]] = deque()

    def note(self, now: float, totals: tuple[int, ...]) -> None:
        """The totals at a time."""
        self._samples.append((now, totals))
        while len(self._samples) > 2 and self._samples[1][0] <= now - RATE_WINDOW_S:
            self._samples.popleft()

    def now(self) -> tuple[float, ...]:
        """A second, of each."""
        if len(self._samples) < 2:
            return ()
        (began, first), (ended, last) = self._samples[0], self._samples[-1]
        if ended <= began:
            return ()
        return tuple((after - before) / (ended - began) for before, after in zip(first, last, strict=True))


class LiveTeller:
    """A picture that is redrawn in place: nodes as each sees them, what flows, and the story so far."""

    def __init__(self, console: Console, found: Findings) -> None:
        from rich.console import Console as RichConsole
        from rich.live import Live

        self.found = found
        self.started = time.monotonic()
        self.names = [f"n{number}" for number in range(1, found.nodes + 1)]
        self.matrix: dict[str, dict[str, str]] = {}
        self.hints: int | None = None
        self.rates = Rates()
        self.lines: list[tuple[str, str]] = []
        self.screen = RichConsole(file=console.out, highlight=False)
        self.live = Live(console=self.screen, refresh_per_second=8, get_renderable=self._picture)

    def step(self, title: str) -> None:
        """A new chapter, with room above it."""
        self.lines += [("", ""), ("bold cyan", f"{self._clock()}  {title}")]

    def say(self, text: str) -> None:
        """Something was seen or measured."""
        self.lines.append(("", f"{self._clock()}     {text}"))

    def states(self, matrix: dict[str, dict[str, str]], hints: int | None) -> None:
        """How each node sees the others now."""
        found = self.found
        self.matrix, self.hints = matrix, hints
        self.rates.note(time.monotonic(), (found.writes, found.messages, found.requests))

    def _clock(self) -> str:
        return f"{time.monotonic() - self.started:5.1f} s"

    def _picture(self) -> "Group":
        from rich.console import Group
        from rich.text import Text

        parts: list[RenderableType] = [Text()]
        room = self.screen.height - 2
        if self.matrix:
            nodes = self._matrix() if len(self.names) <= MATRIX_MAX else self._doubted()
            parts += [nodes, Text(), self._flow()]
            room -= nodes.row_count + 5  # two headers, two rows of what flows, and a line between
        last = self.lines[-max(1, room) :]
        parts += [Text(line, style=style, no_wrap=True, overflow="ellipsis") for style, line in last]
        return Group(*parts)

    def _matrix(self) -> "Table":
        """How each node sees each other."""
        from rich.table import Table

        table = Table(box=None, pad_edge=False, padding=(0, 2))
        table.add_column("as seen by", style="dim", min_width=12)
        for name in self.names:
            table.add_column(name, min_width=8)
        for observer in self.names:
            row = self.matrix.get(observer)
            if row is None:
                table.add_row(f"[dim]{observer}, silent[/]")
            else:
                table.add_row(observer, *(_coloured(row.get(subject, "")) for subject in self.names))
        return table

    def _doubted(self) -> "Table":
        """Too many nodes for a matrix: those that are not alive for all who answer, and how many the others are."""
        from rich.table import Table

        table = Table(box=None, pad_edge=False, padding=(0, 2))
        for title in ("node", "as the others see it"):
            table.add_column(title, min_width=12)
        doubted = 0
        for name in self.names:
            states = Counter(row.get(name, "") for observer, row in self.matrix.items() if observer != name)
            if set(states) - {"alive"}:
                doubted += 1
                table.add_row(name, ", ".join(f"{_coloured(state)} for {many}" for state, many in states.items()))
        table.add_row(f"{len(self.names) - doubted} of {len(self.names)}", f"{_coloured('alive')} for all")
        return table

    def _flow(self) -> "Table":
        from rich.table import Table

        found, rates = self.found, self.rates.now() or (0.0, 0.0, 0.0)
        waiting = "?" if self.hints is None else str(self.hints)
        colour = "green" if self.hints == 0 else "yellow"
        table = Table(box=None, pad_edge=False, padding=(0, 2))
        table.add_column("", style="dim", min_width=12)
        for what in ("writes", "messages", "requests", "hints waiting"):
            table.add_column(what, min_width=8, justify="right")
        totals = (found.writes, found.messages, found.requests)
        table.add_row("in all", *(str(total) for total in totals), f"[bold {colour}]{waiting}[/]")
        table.add_row("a second", *(f"[bold]{rate:.0f}[/]" for rate in rates))
        return table


def _coloured(state: str) -> str:
    return f"[{COLOURS.get(STATES.get(state, 'dim'), 'dim')}]{state or '·'}[/]"


def summary_lines(found: Findings, verdict: Verdict, paint: Paint) -> list[str]:
    """The last words."""
    left = "unknown" if found.hints_left is None else str(found.hints_left)
    lines = [
        "",
        *_accounts(found),
        f"crash      avoided {show_duration(found.avoided_s)}, suspected by all {show_duration(found.not_alive_s)}, "
        f"dead for all {show_duration(found.dead_s)}",
        f"           longest time without an acknowledged write {show_duration(found.longest_gap_s)}",
        f"return     listens {show_duration(found.restart_s)}, "
        f"alive for all {show_duration(found.alive_again_s)} later",
        f"hints      {found.hints_peak} at the most, {left} left; delivered {show_duration(found.hints_delivered_s)}",
        f"owners     {found.keys_compared} of {found.keys_acknowledged} keys equal",
        "",
    ]
    word = paint(verdict.verdict.upper(), STYLES[verdict.verdict])
    return [*lines, f"{word}  {'; '.join(verdict.reasons)}  ({found.took_s:.1f} s)"]


def _accounts(found: Findings) -> list[str]:
    """What each load came to, a line each."""
    lines = []
    for name, family in (("keys", KV), ("messages", PUBLISH), ("requests", REQUEST)):
        one = found.load.get(family)
        if one is None:
            continue
        counts = ", ".join(f"{one[what]:,} {what}" for what in ("ok", "failed", "maybe") if one[what] or what == "ok")
        p99 = show_duration((one["response"]["p99_ms"] or 0) / 1000)
        checked = {
            KV: lambda one: f"{one['checked']:,} read back, {one['lost']} lost, {one['unexpected']} unexpected",
            PUBLISH: lambda one: f"{one['delivered']:,} delivered, {one['dropped']} dropped, {one['duplicated']} twice",
            REQUEST: lambda one: f"{one['unexpected']} answered wrongly",
        }[family](one)
        lines.append(f"{name:9}  {counts}, p99 {p99}; {checked}")
    return lines
