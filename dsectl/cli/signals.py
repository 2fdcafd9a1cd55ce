"""Ctrl-C and SIGTERM that are noted instead of ending what runs: by a load, and while a report is written."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def noted() -> Iterator[list[int]]:
    """The SIGINT and SIGTERM that come meanwhile; after the second one, signals do what they did before. To block them
    would not do, as another thread would take them.

    Signals reach the main thread alone, so that a job in another one is left to who started it. One that is ignored
    stays ignored.
    """
    came: list[int] = []
    before: dict[int, Any] = {}

    def restore() -> None:
        for signum, handler in before.items():
            signal.signal(signum, handler)

    def note(signum: int, frame: FrameType | None) -> None:
        came.append(signum)
        if len(came) > 1:
            restore()

    if threading.current_thread() is threading.main_thread():
        for signum in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(signum) not in (signal.SIG_IGN, None):
                before[signum] = signal.signal(signum, note)
    try:
        yield came
    finally:
        restore()
