"""A screen to project: `dsectl` on a pseudo-terminal, with an emulator that knows what is on it now."""

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
OTHER_SCREEN = ("\x1b[?1049h", "\x1b[?1049l")


class Screen(pyte.Screen):
    """Answers where the cursor is, when it is asked."""

    master = -1

    def write_process_input(self, data: str) -> None:
        os.write(self.master, data.encode())


class Projector:
    """One command and the screen that it draws on."""

    def __init__(
        self, *words: str, columns: int = 80, rows: int = 24, environment: dict[str, str] | None = None
    ) -> None:
        self.screen = Screen(columns, rows)
        self.written = ""
        self._stream = pyte.Stream(self.screen)
        self._pid, self._master = pty.fork()
        if self._pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.environ.update({"TERM": "xterm-256color", **(environment or {})})
            os.execv(sys.executable, [sys.executable, "-m", "dsectl", *words])
        self.screen.master = self._master
        self.before = termios.tcgetattr(self._master)

    @property
    def pid(self) -> int:
        """The command's process."""
        return self._pid

    @property
    def page(self) -> str:
        """What is on the screen."""
        return "\n".join(self.screen.display)

    @property
    def is_as_before(self) -> bool:
        """Whether the terminal echoes and reads lines again, on its own screen, with a cursor."""
        entered, left = OTHER_SCREEN
        back = self.written.rindex(left) > self.written.rindex(entered) and self.written.count("\x1b[?25h") > 0
        return back and termios.tcgetattr(self._master)[:4] == self.before[:4]

    def until(self, condition: Callable[[str], bool], what: str = "") -> str:
        """Wait until the screen is so; returns it."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition(self.page):
            assert self._read(deadline), f"ended before {what}:\n{self.page}"
        return self.page

    def shows(self, *texts: str) -> str:
        """Wait until all these texts stand on the screen."""
        return self.until(lambda page: all(text in page for text in texts), f"it showed {texts}")

    def returns(self, times: int = 1) -> None:
        """Wait until the command has left its other screen so often."""
        self.until(lambda _: self.written.count(OTHER_SCREEN[1]) >= times, "it left its screen")

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._master, text.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Another size, as when somebody drags the window's corner."""
        self.screen.resize(rows, columns)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def leave(self) -> int:
        """Wait for the end; returns the exit code."""
        deadline = time.monotonic() + DEADLINE_S
        while self._read(deadline):
            pass
        code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return code

    def close(self) -> None:
        """Let the terminal go."""
        os.close(self._master)

    def _read(self, deadline: float) -> bool:
        remaining = deadline - time.monotonic()
        ready, _, _ = select.select([self._master], [], [], max(0.0, remaining))
        assert ready, f"nothing happens any more:\n{self.page}"
        try:
            data = os.read(self._master, 65536).decode(errors="replace")
        except OSError:  # Linux says EIO when the other side is closed
            return False
        self.written += data
        for at, part in enumerate(data.split(OTHER_SCREEN[1])):  # the emulator has one screen only
            if at:
                self.screen.reset()
            self._stream.feed(part)
        return bool(data)
