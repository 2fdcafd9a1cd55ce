"""`dsectl` on a pseudo-terminal: what a person sees, and answers."""

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time

DEADLINE_S = 30.0
ROWS, COLUMNS = 30, 120
WHERE = b"\x1b[6n"
"""Asks the terminal where the cursor is."""
STYLES = re.compile("\x1b\\[[0-9;?]*[a-zA-Z]|\x1b[=>]")
"""Sequences that colour text or move the cursor."""


class Person:
    """Someone in front of a terminal in which one command runs."""

    def __init__(self, *words: str) -> None:
        self.seen = ""
        self._pid, self._master = pty.fork()
        if self._pid == 0:
            os.execv(sys.executable, [sys.executable, "-m", "dsectl", *words])
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))

    @property
    def pid(self) -> int:
        """The command's process."""
        return self._pid

    def wait_for(self, text: str, times: int = 1) -> None:
        """Until `text` has come so often, colours left out."""
        deadline = time.monotonic() + DEADLINE_S
        while STYLES.sub("", self.seen).count(text) < times:
            assert self._read(deadline), f"never saw {text!r} but {self.seen!r}"

    def forget(self) -> None:
        """What was seen so far does not count any more."""
        self.seen = ""

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._master, text.encode())

    def leave(self) -> int:
        """Wait for the end; returns the exit code."""
        deadline = time.monotonic() + DEADLINE_S
        while self._read(deadline):
            pass
        os.close(self._master)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def _read(self, deadline: float) -> bool:
        """Take what is shown next; False at the end."""
        ready, _, _ = select.select([self._master], [], [], deadline - time.monotonic())
        assert ready, f"nothing happens any more: {self.seen!r}"
        try:
            data = os.read(self._master, 65536)
        except OSError:  # Linux says EIO when the other side is closed
            return False
        if WHERE in data:
            os.write(self._master, b"\x1b[1;1R")
        self.seen += data.decode(errors="replace")
        return bool(data)
