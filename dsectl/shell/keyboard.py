"""The terminal while a command runs: keys are neither shown nor lost, and a command that asks something gets its line.

In a terminal's everyday mode the kernel echoes what is typed ahead into the output, and takes Ctrl-D for itself. So
both are off for as long as the shell lives; Ctrl-C stays a signal. Whoever reads sys.stdin gets the everyday mode for
so long.
"""

import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

LOCAL_MODES, CONTROL_CHARACTERS = 3, 6
"""Where they stand in what termios gives."""


@contextmanager
def quiet_keyboard(stdin: TextIO) -> Iterator[None]:
    """Until the end, keys wait for the next prompt. Nothing happens when `stdin` is no terminal."""
    try:
        everyday = termios.tcgetattr(stdin)
    except (termios.error, OSError, ValueError):
        yield
        return
    quiet = _quiet(everyday)
    termios.tcsetattr(stdin, termios.TCSANOW, quiet)
    sys.stdin = cast(TextIO, _Asked(stdin, everyday, quiet))
    try:
        yield
    finally:
        sys.stdin = stdin
        _set(stdin, everyday)


def _quiet(everyday: list[Any]) -> list[Any]:
    modes = [*everyday]
    modes[LOCAL_MODES] &= ~(termios.ECHO | termios.ICANON)
    characters = list(everyday[CONTROL_CHARACTERS])
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    modes[CONTROL_CHARACTERS] = characters
    return modes


def _set(stdin: TextIO, modes: list[Any]) -> None:
    try:
        termios.tcsetattr(stdin, termios.TCSANOW, modes)
    except (termios.error, OSError, ValueError):  # the terminal is gone
        return


class _Asked:
    """Standard input for commands: each read is made in the everyday mode."""

    def __init__(self, stream: Any, everyday: list[Any], quiet: list[Any], terminal: TextIO | None = None) -> None:
        self._stream = stream
        self._terminal = terminal or stream
        self._everyday = everyday
        self._quiet = quiet

    @property
    def buffer(self) -> "_Asked":
        return _Asked(self._stream.buffer, self._everyday, self._quiet, self._terminal)

    def read(self, *limits: int) -> Any:
        with self._asking():
            return self._stream.read(*limits)

    def readline(self, *limits: int) -> Any:
        with self._asking():
            return self._stream.readline(*limits)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        _set(self._terminal, self._everyday)
        try:
            yield
        finally:
            _set(self._terminal, self._quiet)
