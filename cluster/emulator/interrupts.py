"""Ctrl-C, SIGTERM and SIGHUP while processes are being started: they raise where it is safe, and wait where it is not.

Python raises KeyboardInterrupt between any two bytecodes, so also after a process was started and before its handle was
stored. Between `shield` and its end a signal is only noted. Outside the main thread signals do not arrive, and all of
this does nothing.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
EXIT_TERMINATED: Final = 143


class InterruptGuard:
    """Use as a context; the former handlers return at its end. A signal that was ignored stays ignored."""

    def __init__(self) -> None:
        self._former: dict[int, Any] = {}
        self._shields = 0
        self._pending: int | None = None

    def __enter__(self) -> "InterruptGuard":
        def interrupt(signum: int, frame: FrameType | None) -> None:
            if self._shields:
                self._pending = signum
            else:
                _raise(signum)

        if threading.current_thread() is threading.main_thread():
            for signum in SIGNALS:
                former = signal.getsignal(signum)
                if former not in (signal.SIG_IGN, None):
                    self._former[signum] = former
                    signal.signal(signum, interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for signum, former in self._former.items():
            signal.signal(signum, former)

    @contextmanager
    def shield(self) -> Iterator[None]:
        """What arrives inside raises at the end."""
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
        if self._pending is not None and not self._shields:
            signum, self._pending = self._pending, None
            _raise(signum)

    @contextmanager
    def ignored(self) -> Iterator[None]:
        """What arrives inside is forgotten: for cleaning up, when an error is on its way already."""
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
            self._pending = None


def _raise(signum: int) -> None:
    if signum == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(EXIT_TERMINATED)
