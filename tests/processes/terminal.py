"""`dsectl` on a pseudo-terminal: what a person sees, and answers."""

import os
import pty
import select
import sys
import time

DEADLINE_S = 30.0


class Person:
    """Someone in front of a terminal in which one command runs."""

    def __init__(self, *words: str) -> None:
        self.seen = ""
        self._pid, self._master = pty.fork()
        if self._pid == 0:
            os.execv(sys.executable, [sys.executable, "-m", "dsectl", *words])

    def wait_for(self, text: str) -> None:
        """Until the screen has shown `text`."""
        deadline = time.monotonic() + DEADLINE_S
        while text not in self.seen:
            assert self._read(deadline), f"never saw {text!r} but {self.seen!r}"

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
        self.seen += data.decode(errors="replace")
        return bool(data)
