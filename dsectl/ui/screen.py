"""The terminal: its alternate screen with keys, a block that is redrawn in place, and sizes; and the way back, whatever
happens.

Only lines that changed are written, all of them in one write, so nothing flickers and a still picture costs nothing.
"""

import os
import re
import select
import signal
import sys
import termios
import threading
import tty
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any, Self, TextIO

from dsectl.ui.text import Line, Paint, fit, painted

ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
"""The other screen, no cursor, no wrapping at the right edge."""
LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
BEGIN, END = "\x1b[?2026h", "\x1b[?2026l"
"""Terminals that know it show all that stands between at once."""
COLUMNS_MAX = 1000
"""A wider page is a slip, as in COLUMNS=1000000."""
KEY = re.compile(r"\x1b[\[O][^a-zA-Z~]*([a-zA-Z~]?)|(.)", re.DOTALL)
"""The end of a sequence, or a character by itself."""
ARROWS = {"A": "up", "B": "down", "C": "down", "D": "up"}

_drawn: set[int] = set()
"""The pictures that stand on a terminal of this process: the screen, or a block."""


def is_drawn_on() -> bool:
    """Whether a picture stands on the terminal, which a line that another thread prints would spoil."""
    return bool(_drawn)


def keys(text: str) -> list[str]:
    """What was pressed: characters, and `up`, `down`, `escape`; other sequences are dropped."""
    pressed = [(ARROWS.get(end or ""), plain) for end, plain in KEY.findall(text)]
    return [arrow or ("escape" if plain == "\x1b" else plain) for arrow, plain in pressed if arrow or plain]


def page_columns(otherwise: int) -> int:
    """How wide a page off a terminal is: as COLUMNS says when that is a number of columns."""
    chosen = os.environ.get("COLUMNS", "")
    wide = int(chosen) if chosen.isascii() and chosen.isdigit() and len(chosen) < 10 else 0
    return min(wide, COLUMNS_MAX) or otherwise


class Block:
    """A picture that is redrawn in place below what was printed before. `transient`: at its end it is taken away. For
    one thread; a stream that is no terminal gets nothing. Use it with `with`."""

    def __init__(self, out: TextIO, paint: Paint, *, transient: bool) -> None:
        self._out = out
        self._paint = paint
        self._transient = transient
        self._rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        _drawn.discard(id(self))
        if self._rows:
            self._write((self._home() + "\x1b[J" if self._transient else "\n") + "\x1b[?25h")
        self._rows = 0

    def draw(self, lines: Sequence[Line]) -> None:
        """Show these lines instead of the last ones: the newest rows of them, cut at the right edge."""
        try:
            columns, rows = os.get_terminal_size(self._out.fileno())
        except (OSError, ValueError):
            return
        shown = [painted(fit(line, (columns or 80) - 1), self._paint).rstrip() for line in lines[-max(1, rows - 1) :]]
        _drawn.add(id(self))
        self._write(f"\x1b[?25l{self._home()}\x1b[J" + "\n".join(shown))
        self._rows = len(shown)

    def _home(self) -> str:
        return "\r" + (f"\x1b[{self._rows - 1}A" if self._rows > 1 else "")

    def _write(self, text: str) -> None:
        self._out.write(f"{BEGIN}{text}{END}")
        self._out.flush()


class Screen:
    """Use it with `with`, in the main thread."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._keyboard = sys.stdin.fileno()
        self._lines: list[str] = []
        self._size = (0, 0)
        self._bell, self._ring = -1, -1
        self._before: list[Any] | None = None
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._bell, self._ring = os.pipe()
        os.set_blocking(self._ring, False)
        if threading.current_thread() is threading.main_thread():
            for number, handler in ((signal.SIGWINCH, lambda *_: self.ring()), (signal.SIGTSTP, self._suspended)):
                self._handlers[number] = signal.signal(number, handler)
        try:
            self._take()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_back()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()
        os.close(self._bell)
        os.close(self._ring)
        self._bell = self._ring = -1

    def ring(self) -> None:
        """End a `wait` early; any thread may call this at any time."""
        try:
            os.write(self._ring, b"!")
        except OSError:  # it rings already, or the screen is gone
            pass

    def wait(self, timeout: float) -> list[str]:
        """The keys pressed, at the latest after so many seconds. Raises EOFError when the terminal is gone."""
        ready, _, _ = select.select([self._keyboard, self._bell], [], [], max(0.0, timeout))
        if self._bell in ready:
            os.read(self._bell, 4096)
        if self._keyboard not in ready:
            return []
        try:
            data = os.read(self._keyboard, 1024)
        except OSError:  # as Linux says of a terminal that was closed
            data = b""
        if not data:
            raise EOFError
        return keys(data.decode(errors="replace"))

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        try:
            size = os.get_terminal_size(self._out.fileno())
        except OSError:
            return 80, 24
        return (size.columns or 80, size.lines or 24)

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines, from the top; each is as wide as the screen."""
        size = self.size
        whole = size != self._size
        self._size = size
        parts = ["\x1b[2J"] if whole else []
        for row, line in enumerate(lines, 1):
            if whole or row > len(self._lines) or self._lines[row - 1] != line:
                parts.append(f"\x1b[{row};1H{line}")
        self._lines = list(lines)
        if parts:
            self._out.write(f"{BEGIN}{''.join(parts)}{END}")
            self._out.flush()

    # -- the terminal's state

    def _take(self) -> None:
        self._before = termios.tcgetattr(self._keyboard)
        tty.setcbreak(self._keyboard)
        _drawn.add(id(self))
        self._out.write(ENTER)
        self._out.flush()
        self._size = (0, 0)

    def _give_back(self) -> None:
        before, self._before = self._before, None
        _drawn.discard(id(self))
        if before is None:
            return
        try:
            self._out.write(LEAVE)
            self._out.flush()
        except (OSError, ValueError):  # the terminal is gone
            pass
        try:
            termios.tcsetattr(self._keyboard, termios.TCSADRAIN, before)
        except termios.error:
            pass

    def _suspended(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-Z: the shell gets its screen back, and this process stops until it is called to the front again."""
        self._give_back()
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, handler)
        self._take()
        self.ring()
