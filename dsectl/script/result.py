"""A command carried out for its values: under --json, its output kept."""

import io
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TextIO, cast

from msgspec import DecodeError, json

from dsectl.cli.invocation import Session
from dsectl.cli.table import lookup
from dsectl.script.path import MISSING

LINES_MAX = 100_000
"""Of one command; the oldest go first, so that a job cannot fill the memory."""


@dataclass(frozen=True)
class Result:
    """What a command ended with."""

    code: int
    value: Any
    """Its final JSON, or the list of its lines for a command that goes on; MISSING when it printed nothing."""
    messages: str = ""
    """What it wrote on stderr."""

    @property
    def error(self) -> str:
        """Why it failed, in a line; empty when it did not."""
        if self.code == 0:
            return ""
        told = self.value[-1] if isinstance(self.value, list) and self.value else self.value
        if isinstance(told, dict) and isinstance(error := told.get("error"), dict):
            return f"{error.get('code', 'error')}: {error.get('message', '')}"
        last = self.messages.strip().splitlines()[-1:]
        return last[0] if last else f"exit {self.code}"


class Lines(io.TextIOBase):
    """A stream that keeps what is written as lines; written by one thread and read by another."""

    def __init__(self, on_line: Callable[[str], None] | None = None) -> None:
        """`on_line` is told of each line, by the thread that writes."""
        self._lock = threading.Lock()
        self._lines: list[str] = []
        self._rest = ""
        self._on_line = on_line

    def write(self, text: str) -> int:
        """Take text; a line counts once it is ended."""
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
            self._lines += lines
            del self._lines[:-LINES_MAX]
        if self._on_line is not None:
            for line in lines:
                self._on_line(line)
        return len(text)

    def writable(self) -> bool:
        """It is."""
        return True

    def lines(self) -> list[str]:
        """The lines so far, and at last what is not ended."""
        with self._lock:
            return [*self._lines, self._rest] if self._rest else list(self._lines)


def streams(argv: Sequence[str]) -> bool:
    """Whether the result of a command is the list of its lines."""
    found = lookup(argv)
    return found is not None and any(option in ("", *argv) for option in found[0].streams)


def value_of(argv: Sequence[str], lines: Sequence[str]) -> Any:
    """The value of what a command printed."""
    if streams(argv):
        return [parsed(line) for line in lines if line]
    last = next((line for line in reversed(lines) if line), None)
    return MISSING if last is None else parsed(last)


def parsed(line: str) -> Any:
    """A line as JSON; the text itself where it is none, as from a command that only speaks to people."""
    try:
        return json.decode(line)
    except DecodeError:
        return line


def carry_out(
    argv: Sequence[str],
    session: Session,
    *,
    timeout_s: float | None = None,
    out: Lines | None = None,
    on_ready: Callable[[], None] | None = None,
    is_stopped: Callable[[], bool] | None = None,
) -> Result:
    """Run a command and keep its output. `timeout_s` bounds its wait, unless it says so itself."""
    from dsectl.cli.app import invoke

    options = ["--json", "--no-input"]
    if timeout_s is not None and not any(word.startswith("--timeout") for word in argv):
        options += ["--timeout", f"{max(1, round(timeout_s * 1000))}ms"]
    out, err = out or Lines(), io.StringIO()
    code = invoke([*options, *argv], session, cast(TextIO, out), err, on_ready=on_ready, is_stopped=is_stopped)
    return Result(code, value_of(argv, out.lines()), err.getvalue())
