"""How the demo is shown: plain lines that read well in a log, or a live picture for a terminal and a projector."""

import time
from collections import Counter, deque

from dsectl.cli.console import Console
from dsectl.demo.findings import Findings
from dsectl.demo.story import Teller
from dsectl.load.account import promises
from dsectl.load.plan import KV, PUBLISH, QUEUE, REQUEST
from dsectl.ui.screen import Block
from dsectl.ui.table import Cell, state, table_lines
from dsectl.ui.text import STATES, Line, Paint, shown, wrapped
from dsectl.ui.units import show_duration
from dsectl.ui.verdicts import Verdict

DRAW_S = 0.12
"""Between two pictures at least, when nothing new is to be read."""
RATE_WINDOW_S = 1.0
SUMMARY_HANG = 11
"""Columns of what a line of the summary is about."""
MATRIX_MAX = 8
"""Nodes whose views of each other fit side by side on a terminal of 100 columns."""


class PlainTeller(Teller):
    """One line an event, with the seconds since the start. Prints nothing under --json or --quiet."""

    def __init__(self, console: Console, found: Findings) -> None:
        super().__init__(found)
        self.console = console

    def show(self, text: str, is_title: bool = False) -> None:
        """A line of a log."""
        if not (self.console.options.json or self.console.options.quiet):
            self.console.line(f"{self.age_s:6.2f}  {'==' if is_title else '  '} {text}")
            self.console.flush()


class LiveTeller(Teller):
    """A picture that is redrawn in place: nodes as each sees them, what flows, and the story so far."""

    def __init__(self, console: Console, found: Findings) -> None:
        super().__init__(found)
        self.console = console
        self.names = [f"n{number}" for number in range(1, found.nodes + 1)]
        self.matrix: dict[str, dict[str, str]] = {}
        self.hints: int | None = None
        self.story: list[Line] = []
        self.block = Block(console.out, console.paint, transient=False)
        self._samples: deque[tuple[float, tuple[int, ...]]] = deque()
        self._drawn_at = 0.0

    def show(self, text: str, is_title: bool = False) -> None:
        """A title, with room above it, or a line."""
        clock = f"{self.age_s:6.1f}"
        self.story += [[], [(f"{clock}  {text}", "name")]] if is_title else [[(f"{clock}     {shown(text)}", "")]]
        self._draw()

    def states(self, matrix: dict[str, dict[str, str]], hints: int | None) -> None:
        """Show them with the picture, which is drawn anew when it is old."""
        found, now = self.found, time.monotonic()
        self.matrix, self.hints = matrix, hints
        self._samples.append((now, (found.writes, found.messages, found.requests, found.jobs)))
        while len(self._samples) > 2 and self._samples[1][0] <= now - RATE_WINDOW_S:
            self._samples.popleft()
        if now - self._drawn_at >= DRAW_S:
            self._draw()

    def _draw(self) -> None:
        self._drawn_at = time.monotonic()
        self.block.draw(self.lines(self.console.size[1] or 24))

    def lines(self, rows: int) -> list[Line]:
        """The picture: the nodes stay, and of the story what fits below them."""
        if not self.matrix:
            return self.story[-rows + 1 :]
        above = [[], *self._nodes(), [], *self._flow()]
        return above + self.story[-max(1, rows - 1 - len(above)) :]

    def _nodes(self) -> list[Line]:
        """How each node sees each other; of too many for a matrix those that are not alive for all who answer, and how
        many the others are."""
        rows: list[list[Cell]] = []
        if len(self.names) <= MATRIX_MAX:
            for observer in self.names:
                seen = self.matrix.get(observer)
                cells = ["" if seen is None else state(seen.get(subject, "")) for subject in self.names]
                rows.append([observer if seen is not None else (f"{observer}, silent", "dim"), *cells])
            return table_lines(["as seen by", *(f"{name:10}" for name in self.names)], rows)
        for name in self.names:
            states = Counter(row.get(name, "") for observer, row in self.matrix.items() if observer != name)
            if set(states) - {"alive"}:
                worst = max(states, key=lambda one: (one != "alive", states[one]))
                told = ", ".join(f"{one or 'unknown'} for {many}" for one, many in states.items())
                rows.append([name, (told, STATES.get(worst, ""))])
        rows.append([f"{len(self.names) - len(rows)} of {len(self.names)}", ("alive for all", "good")])
        return table_lines(["node", "as the others see it"], rows)

    def _flow(self) -> list[Line]:
        titles = ["writes", "messages", "requests", "jobs", "hints waiting"]
        waiting = ("?" if self.hints is None else str(self.hints), "good" if self.hints == 0 else "warn")
        rates: list[Cell] = [""] * len(titles)
        if len(self._samples) > 1:
            (began, first), (ended, last) = self._samples[0], self._samples[-1]
            elapsed = max(ended - began, RATE_WINDOW_S / 10)
            rates[:4] = [
                (f"{(after - before) / elapsed:.0f}", "strong") for before, after in zip(first, last, strict=True)
            ]
        found = self.found
        totals = [str(total) for total in (found.writes, found.messages, found.requests, found.jobs)]
        return table_lines(["", *titles], [["in all", *totals, waiting], ["a second", *rates]], right=titles)


def summary_lines(found: Findings, verdict: Verdict, paint: Paint, columns: int | None) -> list[str]:
    """The last words."""
    left = "unknown" if found.hints_left is None else str(found.hints_left)
    lines = [""]
    for name, family in (("keys", KV), ("messages", PUBLISH), ("requests", REQUEST), ("jobs", QUEUE)):
        if (one := found.load.get(family)) is not None:
            counts = ", ".join(
                f"{one[what]:,} {what}" for what in ("ok", "failed", "maybe") if one[what] or what == "ok"
            )
            p99 = show_duration((one["response"]["p99_ms"] or 0) / 1000)
            lines.append(f"{name:9}  {counts}, p99 {p99}; {promises(one)}")
    lines += [
        f"crash      avoided {show_duration(found.avoided_s)}, suspected by all {show_duration(found.not_alive_s)}, "
        f"dead for all {show_duration(found.dead_s)}",
        f"           longest time without an acknowledged write {show_duration(found.longest_gap_s)}",
        f"return     listens {show_duration(found.restart_s)}, "
        f"alive for all {show_duration(found.alive_again_s)} later",
        f"hints      {found.hints_peak} at the most, {left} left; delivered {show_duration(found.hints_delivered_s)}",
        f"owners     {found.keys_compared} of {found.keys_acknowledged} keys equal",
        "",
    ]
    lines.append(f"{verdict.line(paint)}  ({show_duration(found.took_s)})")
    return [part for line in lines for part in wrapped(line, columns, SUMMARY_HANG)]
