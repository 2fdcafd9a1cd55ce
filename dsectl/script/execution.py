"""Commands carried out for their values: under --json, their output kept, at once or in the background as jobs.

A job is a thread with a session of its own, asked to stop and never killed.
"""

import io
import threading
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any, Protocol, TextIO, cast

from dsectl.cli.invocation import Session
from dsectl.cli.table import lookup
from dsectl.script.values import MISSING, json_or_text
from dsectl.ui.units import as_option

LINES_MAX = 100_000
"""Of one command; the oldest go first, so that a job cannot fill the memory."""


@dataclass(frozen=True)
class CommandResult:
    """What a command ended with."""

    code: int
    value: Any
    """Its final JSON, or the list of its lines for a command that goes on; MISSING when it printed nothing."""
    messages: str = ""
    """What it wrote on stderr."""

    @property
    def reported(self) -> dict[str, Any] | None:
        """The error that it reported; None where it succeeded, or failed with a result (as `health` does)."""
        error = self._last.get("error") if self.code else None
        return error if isinstance(error, dict) else None

    @property
    def error(self) -> str:
        """Why it failed, in a line; empty when it did not."""
        if self.code == 0:
            return ""
        if self.reported is not None:
            return f"{self.reported.get('code', 'error')}: {self.reported.get('message', '')}"
        reasons = [str(reason) for reason in self._last.get("reasons") or ()]  # of a load
        nodes = self._last.get("nodes")
        for name, node in nodes.items() if isinstance(nodes, dict) else ():  # of those that are not healthy
            if isinstance(node, dict):
                reasons += [f"{name}: {reason}" for reason in node.get("reasons") or ()]
        last = self.messages.strip().splitlines()[-1:]
        return "; ".join(reasons or last) or f"exit {self.code}"

    @property
    def _last(self) -> dict[str, Any]:
        last = self.value[-1] if isinstance(self.value, list) and self.value else self.value
        return last if isinstance(last, dict) else {}


class Lines(io.TextIOBase):
    """A stream that keeps what is written as lines; written by one thread and read by another."""

    def __init__(self, on_line: Callable[[str], None] | None = None) -> None:
        """`on_line` is called with each line, by the thread that writes."""
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
        return [json_or_text(line) for line in lines if line]
    last = next((line for line in reversed(lines) if line), None)
    return MISSING if last is None else json_or_text(last)


def carry_out(
    argv: Sequence[str],
    session: Session,
    *,
    timeout_s: float | None = None,
    out: Lines | None = None,
    on_ready: Callable[[], None] = lambda: None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> CommandResult:
    """Run a command and keep its output. `timeout_s` bounds its wait, unless it says so itself."""
    from dsectl.cli.app import invoke

    options = ["--json", "--no-input"]
    if timeout_s is not None and not any(word.startswith("--timeout") for word in argv):
        options += ["--timeout", as_option(timeout_s)]
    out, err = out or Lines(), io.StringIO()
    code = invoke([*options, *argv], session, cast(TextIO, out), err, on_ready=on_ready, is_stopped=is_stopped)
    return CommandResult(code, value_of(argv, out.lines()), err.getvalue())


class JobListener(Protocol):
    """Receives the lines and the end of jobs, in the thread of the job."""

    def line(self, job: "Job", text: str) -> None:
        """It has printed a line."""

    def ended(self, job: "Job", result: CommandResult) -> None:
        """It has ended."""


class Job:
    """One such command, from its start to its end."""

    def __init__(
        self, name: str, argv: Sequence[str], cluster: str | None, listener: JobListener | None = None
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.waited = False
        """A step has waited for its end, or looked at it."""
        self._session = Session(cluster)
        self._listener = listener
        self._out = Lines(None if listener is None else partial(listener.line, self))
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self.result: CommandResult | None = None
        """How it ended; None while it runs."""
        self._thread = threading.Thread(target=self._run, name=f"job {name}", daemon=True)

    def start(self, until: float) -> bool:
        """Begin, and return once it does its work or has ended; False if neither is so at `until` (time.monotonic)."""
        self._thread.start()
        return waited(self._ready, until)

    @property
    def is_running(self) -> bool:
        """It has not ended."""
        return not self._ended.is_set()

    @property
    def state(self) -> str:
        """In a word: `running`, `ended`, or `failed`."""
        if self.result is None:
            return "running"
        return "failed" if self.result.code else "ended"

    @property
    def value(self) -> Any:
        """Its result, or while it runs the lines so far of one that streams; else MISSING."""
        if self.result is not None:
            return self.result.value
        so_far = value_of(self.argv, self._out.lines())
        return so_far if isinstance(so_far, list) else MISSING

    def lines(self) -> list[str]:
        """What it has printed so far."""
        return self._out.lines()

    def stop(self) -> None:
        """Ask it to end by itself."""
        self._stopping.set()

    def wait(self, until: float, is_stopped: Callable[[], bool] = lambda: False) -> bool:
        """Wait for its end; False if it has not come at `until`."""
        return waited(self._ended, until, is_stopped)

    def _run(self) -> None:
        try:
            self.result = carry_out(
                self.argv,
                self._session,
                out=self._out,
                on_ready=self._ready.set,
                is_stopped=self._stopping.is_set,
            )
        except SystemExit as exit:
            self.result = CommandResult(exit.code if isinstance(exit.code, int) else 1, MISSING)
        finally:
            if self.result is None:
                self.result = CommandResult(1, MISSING, "the job ended in an error")
            self._ended.set()
            self._ready.set()
            self._session.close()
            if self._listener is not None:
                self._listener.ended(self, self.result)


def free_name(command: str, jobs: Container[str]) -> str:
    """A name for a job that was given none: `events-1`."""
    return next(name for number in count(1) if (name := f"{command}-{number}") not in jobs)


SLICE_S = 0.05
"""A wait is cut into such pieces, so that Ctrl-C and a stop are noticed."""


def waited(event: threading.Event, until: float, is_stopped: Callable[[], bool] = lambda: False) -> bool:
    """Wait for something; whether it has happened, at `until` (time.monotonic) or when it is stopped."""
    while not event.is_set() and not is_stopped():
        left = until - time.monotonic()
        if left <= 0:
            break
        event.wait(min(left, SLICE_S))
    return event.is_set()
