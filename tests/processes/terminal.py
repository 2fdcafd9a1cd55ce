"""`dsectl` on a pseudo-terminal: what a person sees, and answers.

What is asserted on is the screen, as a terminal emulator (pyte) draws it: a program may send `ca`, `\\x1b[2D` and `cat`
for what looks like one word. Nothing here waits for a time to pass, only for something to be seen, with a deadline.
"""

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time
from collections.abc import Callable

import pyte

DEADLINE_S = 30.0
ROWS, COLUMNS = 30, 120
SCROLLED_MAX = 2000


class Screen(pyte.Screen):
    """A screen that keeps what scrolls off it."""

    def __init__(self) -> None:
        self.scrolled: list[str] = []
        self.answers = ""
        """To what the terminal was asked: where the cursor is, or what it can do."""
        super().__init__(COLUMNS, ROWS)

    def write_process_input(self, data: str) -> None:
        """Note an answer."""
        self.answers += data

    def index(self) -> None:
        """The cursor goes down a line; at the bottom the first one scrolls off."""
        if self.cursor.y == self.lines - 1:
            self.scrolled.append(self.row(0))
            del self.scrolled[:-SCROLLED_MAX]
        super().index()

    def erase_in_display(self, how: int = 0, *args: object, **kwargs: object) -> None:
        """As xterm does: 3 forgets what has scrolled off."""
        if how == 3:
            self.scrolled.clear()
        super().erase_in_display(how, *args, **kwargs)

    def row(self, number: int) -> str:
        """One line; pyte's `display` draws all of them."""
        return "".join(self.buffer[number][x].data for x in range(self.columns))

    @property
    def text(self) -> str:
        """All lines, those that scrolled off first."""
        return "\n".join(line.rstrip() for line in [*self.scrolled, *self.display])


class Person:
    """Someone in front of a terminal in which one command runs."""

    def __init__(self, *words: str) -> None:
        self._start([sys.executable, "-m", "dsectl", *words])

    @classmethod
    def of(cls, *argv: str) -> "Person":
        """In front of another program."""
        person = cls.__new__(cls)
        person._start(list(argv))
        return person

    def _start(self, argv: list[str]) -> None:
        self.seen = ""
        """All that was written, with its escape sequences."""
        self.read_at = 0.0
        """When something came last (time.perf_counter)."""
        self._pid, self._master = pty.fork()
        if self._pid == 0:
            os.execv(argv[0], argv)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.screen = Screen()
        self._is_typing = False
        self._stream = pyte.ByteStream(self.screen)

    @property
    def pid(self) -> int:
        """The command's process."""
        return self._pid

    @property
    def line(self) -> str:
        """The line that the cursor is in."""
        return self.screen.row(self.screen.cursor.y).rstrip()

    def wait_for(self, text: str, times: int = 1) -> None:
        """Until `text` stands so often on the screen, or above it."""
        self.wait_until(lambda: self.screen.text.count(text) >= times, f"{text!r}")

    def wait_gone(self, text: str) -> None:
        """Until `text` stands nowhere on the screen or above it."""
        self.wait_until(lambda: text not in self.screen.text, f"the end of {text!r}")

    def wait_for_line(self, text: str) -> None:
        """Until the cursor stands in a line that is just this."""
        self.wait_until(lambda: self.line == text.rstrip(), f"the line {text!r}")

    def wait_written(self, text: str) -> None:
        """Until `text` was written, however soon it was overwritten."""
        self.wait_until(lambda: text in self.seen, f"{text!r}")

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Until it holds of what is seen."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert self._read(deadline), f"never saw {what} but\n{self.screen.text.rstrip()}"

    def look(self, until: float) -> None:
        """Take what is shown next, if anything is until then (time.monotonic)."""
        if select.select([self._master], [], [], max(0.0, until - time.monotonic()))[0]:
            self._read(until)

    def type(self, text: str) -> None:
        """Press keys; what does not fit into the terminal's buffer waits until it does."""
        self._is_typing = True
        left = text.encode()
        deadline = time.monotonic() + DEADLINE_S
        while left:
            readable, writable, _ = select.select([self._master], [self._master], [], deadline - time.monotonic())
            assert readable or writable, f"keys are not taken any more:\n{self.screen.text.rstrip()}"
            if writable:
                left = left[os.write(self._master, left[:1024]) :]
            elif not self._read(deadline):
                break
        self._is_typing = False

    def leave(self) -> int:
        """Wait for the end; returns the exit code."""
        deadline = time.monotonic() + DEADLINE_S
        while self._read(deadline):
            pass
        os.close(self._master)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def hang_up(self) -> int:
        """Close the terminal's window; returns the exit code."""
        os.close(self._master)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def _read(self, deadline: float) -> bool:
        """Take what is shown next; False at the end."""
        ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"nothing happens any more:\n{self.screen.text.rstrip()}"
        try:
            data = os.read(self._master, 65536)
        except OSError:  # Linux says EIO when the other side is closed
            return False
        self.read_at = time.perf_counter()
        self.seen += data.decode(errors="replace")
        self._stream.feed(data)
        if self.screen.answers and not self._is_typing:  # an answer does not land amid what is pasted
            answers, self.screen.answers = self.screen.answers, ""
            os.write(self._master, answers.encode())
        return bool(data)
