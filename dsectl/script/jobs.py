"""Commands that go on in the background: each a thread with a session of its own, told to stop and never killed."""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from dsectl.cli.invocation import Session
from dsectl.script.path import MISSING
from dsectl.script.result import Lines, Result, carry_out, value_of


class Watcher(Protocol):
    """Is told of jobs as they go on, by the thread of the job."""

    def line(self, job: "Job", text: str) -> None:
        """It has printed a line."""

    def ended(self, job: "Job", result: Result) -> None:
        """It has ended."""


class Job:
    """One such command, from its start to its end."""

    def __init__(self, name: str, argv: Sequence[str], cluster: str | None, watcher: Watcher | None = None) -> None:
        self.name = name
        self.argv = list(argv)
        self.waited = False
        """Somebody has asked how it ended."""
        self.started_at = time.monotonic()
        self._session = Session(cluster)
        self._watcher = watcher
        self._out = Lines(None if watcher is None else partial(watcher.line, self))
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._result: Result | None = None
        self._thread = threading.Thread(target=self._run, name=f"job {name}", daemon=True)

    def start(self, until: float) -> bool:
        """Begin, and return once it does its work or has ended; False if neither is so at `until` (time.monotonic)."""
        self._thread.start()
        return _waited(self._ready, until)

    @property
    def is_running(self) -> bool:
        """It has not ended."""
        return not self._ended.is_set()

    @property
    def state(self) -> str:
        """In a word: `running`, `ended`, or `failed`."""
        if self._result is None:
            return "running"
        return "failed" if self._result.code else "ended"

    @property
    def result(self) -> Result | None:
        """How it ended; None while it runs."""
        return self._result

    @property
    def value(self) -> Any:
        """Its result, or while it runs the lines so far of one that streams; else MISSING."""
        if self._result is not None:
            return self._result.value
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
        return _waited(self._ended, until, is_stopped)

    def _run(self) -> None:
        try:
            self._result = carry_out(
                self.argv,
                self._session,
                out=self._out,
                on_ready=self._ready.set,
                is_stopped=self._stopping.is_set,
            )
        except SystemExit as exit:
            self._result = Result(exit.code if isinstance(exit.code, int) else 1, MISSING)
        finally:
            if self._result is None:
                self._result = Result(1, MISSING, "the job ended in an error")
            self._ended.set()
            self._ready.set()
            self._session.close()
            if self._watcher is not None:
                self._watcher.ended(self, self._result)


SLICE_S = 0.05
"""A wait is cut into such pieces, so that Ctrl-C and a stop are noticed."""


def _waited(event: threading.Event, until: float, is_stopped: Callable[[], bool] = lambda: False) -> bool:
    while not event.is_set() and not is_stopped():
        left = until - time.monotonic()
        if left <= 0:
            break
        event.wait(min(left, SLICE_S))
    return event.is_set()
