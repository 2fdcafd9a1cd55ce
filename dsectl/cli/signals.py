"""Signals that mean something else for a while: noted instead of ending what runs, by a load or an import, and while a
report is written."""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import FrameType

EXIT_SIGNAL = 128
"""A command that a signal ended exits with this and the signal's number."""


@contextmanager
def handled(handlers: Mapping[int, Callable[[int, FrameType | None], object]]) -> Iterator[None]:
    """Until the end these handlers are in place."""
    before = {signum: signal.signal(signum, handler) for signum, handler in handlers.items()}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextmanager
def noted() -> Iterator[list[int]]:
    """The SIGINT and SIGTERM that come meanwhile; after the second one, signals do what they did before. To block them
    would not do, as another thread would take them.

    Signals reach the main thread alone, so that a job in another one is left to who started it. One that is ignored
    stays ignored.
    """
    came: list[int] = []
    with ExitStack() as stack:

        def note(signum: int, frame: FrameType | None) -> None:
            came.append(signum)
            if len(came) > 1:
                stack.close()

        if threading.current_thread() is threading.main_thread():
            heard = [
                one for one in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(one) not in (signal.SIG_IGN, None)
            ]
            stack.enter_context(handled(dict.fromkeys(heard, note)))
        yield came


def pass_on(signum: int) -> None:
    """A SIGTERM that was noted goes on to who handled it before: to a recipe or a shell, which end as well."""
    if signum == signal.SIGTERM and callable(before := signal.getsignal(signum)):
        before(signum, None)
