"""Lines above the prompt while it is being typed at: those of jobs, and that the cluster went or came back.

It is called by other threads. While there is a prompt its event loop draws, some lines at once, and not for every line;
otherwise lines go to the terminal as they come, but for those that would spoil the picture of a command (`watch`, a
load): these wait for the next prompt. No line is lost when one turns into the other, as long as not too many wait.
"""

import asyncio
import threading
import time
from typing import Any

from prompt_toolkit.application import run_in_terminal

from dsectl.cli.console import Console
from dsectl.script.execution import CommandResult, Job, streams
from dsectl.script.values import json_or_text, shown_value
from dsectl.ui.events import event_line
from dsectl.ui.screen import is_drawn_on
from dsectl.ui.text import Paint, count, cut, shown

DRAW_EVERY_S = 0.2
"""Each drawing takes the prompt away and puts it back, which costs as much as a key."""
COLUMNS = 80
"""Of a terminal that does not say."""
LINES_PER_S = 40
"""Of all jobs; nobody reads more, and drawing them would slow the keys."""
HELD_MAX = 200
"""Lines that wait behind a picture; the oldest are left out."""


class Above:
    """Lines from other threads, and a watcher of jobs that makes them."""

    def __init__(self, console: Console) -> None:
        self.paint = console.paint
        self._console = console
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[str] = []
        self._left_out = 0
        self._drawing = False
        """It is being drawn, or was just now."""
        self._rate = Rate(LINES_PER_S)

    def say(self, text: str) -> None:
        """One line, escaped already."""
        with self._lock:
            self._waiting.append(text)
            if self._loop is None and is_drawn_on():
                self._left_out += len(self._waiting[:-HELD_MAX])
                self._waiting = self._waiting[-HELD_MAX:]
            elif self._loop is None:
                self._write()
            elif not self._drawing:
                self._drawing = True
                self._loop.call_soon_threadsafe(self._draw)

    def begin(self) -> None:
        """A prompt begins; called in its event loop."""
        with self._lock:
            self._loop = asyncio.get_running_loop()
            self._drawing = bool(self._waiting)
            if self._drawing:
                self._loop.call_soon(self._draw)

    def end(self) -> None:
        """The prompt is over, and what could not be drawn any more is written now."""
        with self._lock:
            self._loop = None
            self._write()

    def _draw(self) -> None:
        """All that waits; what comes meanwhile after a rest."""

        def write() -> None:
            with self._lock:
                self._write()
                if self._loop is not None:
                    self._loop.call_later(DRAW_EVERY_S, self._draw)

        with self._lock:
            self._drawing = bool(self._waiting) and self._loop is not None
            if not self._drawing:
                return
        run_in_terminal(write)

    def _write(self) -> None:
        lines, self._waiting = self._waiting, []
        if self._left_out:
            lines.insert(0, self.paint(f"… {count(self._left_out, 'line')} left out", "dim"))
            self._left_out = 0
        if not lines:
            return
        try:
            self._console.lines(lines)
            self._console.flush()
        except (OSError, ValueError):  # the terminal is gone, and the shell will notice
            return

    # -- jobs

    def line(self, job: Job, text: str) -> None:
        """A job has printed a line. The result of one that prints nothing before its end is shown by `wait`."""
        if not streams(job.argv):
            return
        value = json_or_text(text)
        if isinstance(value, dict) and "error" in value:
            return  # shown at its end
        allowed, left_out = self._rate.on_line(time.monotonic())
        if left_out:
            self.say(self.paint(f"… {count(left_out, 'line')} of jobs left out", "dim"))
        if not allowed:
            return
        label = f"[{job.name}] "
        columns = (self._console.columns or COLUMNS) - len(label)
        self.say(self.paint(label, "name") + line_of(job.argv, value, self.paint, columns))

    def ended(self, job: Job, result: CommandResult) -> None:
        """A job has ended by itself, or was stopped."""
        if job.waited:
            return  # who waits says how
        how = f"failed: {shown(result.error)}" if result.code else "ended"
        self.say(self.paint(f"[{job.name}] {how}", "bad" if result.code else "dim"))


class Rate:
    """So many lines a second. Pure but for its lock: time comes in."""

    def __init__(self, per_s: int) -> None:
        self._per_s = per_s
        self._lock = threading.Lock()
        self._second = 0
        self._lines = 0

    def on_line(self, now: float) -> tuple[bool, int]:
        """Whether the line may be shown, and how many were left out in the last second that had lines."""
        with self._lock:
            left_out = 0
            if int(now) != self._second:
                left_out = max(0, self._lines - self._per_s)
                self._second, self._lines = int(now), 0
            self._lines += 1
            return self._lines <= self._per_s, left_out


def line_of(argv: list[str], value: Any, paint: Paint, columns: int) -> str:
    """A line of a job's JSON as the command would have said it to people, in one line. Pure."""
    if isinstance(value, dict) and argv[:1] == ["events"] and "kind" in value:
        text = event_line(value, Paint(False))
        kind = str(value["kind"])
        return cut(text, columns).replace(kind, paint(kind, "strong"), 1)
    if isinstance(value, dict) and argv[:1] == ["subscribe"] and "subject" in value:
        return cut(f"{shown(value['subject'])}  {shown(shown_value(value['payload']))}", columns)
    if isinstance(value, str):
        return cut(shown(value), columns)
    return cut(shown(shown_value(value, limit=4 * columns)), columns)
