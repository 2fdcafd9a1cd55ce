"""How the demo is told: plain lines that read well in a log, or a live picture for a terminal and a projector."""

import time
from typing import TYPE_CHECKING

from dsectl.console import Console
from dsectl.demo.findings import Findings, Verdict
from dsectl.views.text import STATES

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

COLOURS = {"good": "green", "warn": "yellow", "bad": "red", "dim": "dim"}
LINES_MAX = 20


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

    def states(self, matrix: dict[str, dict[str, str]], hints: int) -> None:
        """Not shown: a log tells of changes, and the steps tell those."""

    def _line(self, text: str) -> None:
        if not self.silent:
            self.console.line(f"{time.monotonic() - self.started:6.2f}  {text}")
            self.console.flush()


class LiveTeller:
    """A picture that is redrawn in place: nodes as each sees them, what has flowed, and the story so far."""

    def __init__(self, console: Console, found_of: "list[Findings]") -> None:
        from rich.console import Console as RichConsole
        from rich.live import Live

        self.started = time.monotonic()
        self.found_of = found_of
        self.matrix: dict[str, dict[str, str]] = {}
        self.hints = 0
        self.lines: list[tuple[str, str]] = []
        self.live = Live(
            console=RichConsole(file=console.out, highlight=False), refresh_per_second=8, get_renderable=self._picture
        )

    def step(self, title: str) -> None:
        """A new chapter."""
        self.lines.append(("bold cyan", f"{self._clock()}  {title}"))

    def say(self, text: str) -> None:
        """Something was seen or measured."""
        self.lines.append(("", f"{self._clock()}    {text}"))

    def states(self, matrix: dict[str, dict[str, str]], hints: int) -> None:
        """What each node believes of the others now."""
        self.matrix, self.hints = matrix, hints

    def _clock(self) -> str:
        return f"{time.monotonic() - self.started:5.1f} s"

    def _picture(self) -> "Group":
        from rich.console import Group
        from rich.text import Text

        story = Text("\n").join(Text(line, style=style) for style, line in self.lines[-LINES_MAX:])
        return Group(Text(), self._nodes(), Text(), self._flow(), Text(), story, Text())

    def _nodes(self) -> "Table":
        from rich.table import Table

        names = sorted({subject for row in self.matrix.values() for subject in row}, key=lambda name: (len(name), name))
        table = Table(box=None, pad_edge=False, padding=(0, 2))
        table.add_column("as seen by", style="dim")
        for name in names:
            table.add_column(name, min_width=8)
        for observer in names:
            row = self.matrix.get(observer)
            cells = [_coloured(row[subject]) if row else "[dim]·[/]" for subject in names]
            table.add_row(observer if row else f"[dim]{observer} is silent[/]", *cells)
        return table

    def _flow(self) -> "Table":
        from rich.table import Table

        table = Table(box=None, pad_edge=False, padding=(0, 3), show_header=False)
        if self.found_of:
            found = self.found_of[0]
            table.add_row(
                f"writes [bold]{found.acknowledged}[/]",
                f"messages [bold]{found.received}[/]",
                f"requests [bold]{found.answered}[/]",
                f"hints waiting [bold {'yellow' if self.hints else 'green'}]{self.hints}[/]",
            )
        return table


def _coloured(state: str) -> str:
    return f"[{COLOURS.get(STATES.get(state, 'dim'), 'dim')}]{state}[/]"


def summary_lines(found: Findings, verdict: Verdict, paint: object) -> list[str]:
    """The last words."""
    colour = {"passed": "good", "failed": "bad", "inconclusive": "warn"}[verdict.verdict]
    writes = ", ".join(f"{count} {outcome}" for outcome, count in found.writes.items() if count)
    lines = [
        "",
        f"writes    {writes}; longest gap after the kill {_ms(found.longest_gap_s)}",
        f"crash     not alive {_ms(found.not_alive_s)}, dead {_ms(found.dead_s)}, back {_ms(found.alive_again_s)}",
        f"hints     {found.hints_peak} at the most, {found.hints_left} left; delivered {_ms(found.hints_delivered_s)}",
        f"messages  {found.received} received of {found.published} published",
        f"requests  {found.answered} answered by {len(found.requests)} nodes, {found.requests_failed} failed",
        f"owners    {found.keys_compared} keys equal, {len(found.keys_unequal)} not",
        f"read back {found.keys_read} of {found.acknowledged} acknowledged writes, {len(found.keys_lost)} lost",
        "",
    ]
    painted = paint(verdict.verdict.upper(), colour) if callable(paint) else verdict.verdict.upper()
    return [*lines, f"{painted}  {'; '.join(verdict.reasons)}  ({found.took_s:.1f} s)"]


def _ms(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds * 1000:.0f} ms"
