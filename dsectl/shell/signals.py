"""What signals mean in the shell: Ctrl-C ends the command that runs and nothing else; TERM and HUP end the shell.

None of them may fall between two chairs: what comes while neither a command nor a prompt can take it is kept for the
next one.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

from dsectl.cli.signals import handled


class Ended(Exception):
    """A signal asked the process to end while it was at the prompt."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.code = 128 + number


class Signals:
    """The handlers of one shell; the prompt has its own for Ctrl-C while it reads keys."""

    def __init__(self, end_prompt: Callable[[int], None]) -> None:
        """`end_prompt` is called when a signal ends the shell and no command runs; the prompt is to raise Ended."""
        self._end_prompt = end_prompt
        self._interruptible = False
        self._interrupt_pending = False
        self._ending = 0

    def handled(self) -> AbstractContextManager[None]:
        """Until the end these handlers are in place."""

        def interrupt(number: int, frame: FrameType | None) -> None:
            if self._interruptible:
                raise KeyboardInterrupt
            self._interrupt_pending = True

        return handled({signal.SIGINT: interrupt, signal.SIGTERM: self._end, signal.SIGHUP: self._end})

    def at_prompt(self) -> None:
        """A prompt begins: a Ctrl-C for the command before it has come too late. Raises Ended."""
        self._interrupt_pending = False
        if self._ending:
            raise Ended(self._ending)

    @contextmanager
    def in_command(self) -> Iterator[None]:
        """A command runs: Ctrl-C raises KeyboardInterrupt, as nowhere else, since it would tear the prompt apart; what
        ends the shell raises SystemExit."""
        self._interruptible = True
        try:
            if self._ending:
                raise SystemExit(128 + self._ending)
            if self._interrupt_pending:
                raise KeyboardInterrupt
            yield
        finally:
            self._interruptible = False

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._ending = number
        if self._interruptible:
            raise SystemExit(128 + number)
        self._end_prompt(number)
