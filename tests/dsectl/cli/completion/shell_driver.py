"""A real interactive shell on a pseudo-terminal, in which TAB is pressed."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

DEADLINE_S = 20.0
ROWS, COLUMNS = 120, 200
CONTROL = re.compile(
    r"\x1b(?:\[[0-9;?>=]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-Za-z]|.)|[\x00-\x07\x0e-\x1f]"
)
WRITTEN_OVER = re.compile("[^\b]\b")
PROMPT = "ready>"
"""Set by the lines that a shell reads first. Once it is shown, keys are read one by one."""
CLEAR_LINE = "\x05\x15"
"""To the end of the line, then kill all before: what all three shells bind to these keys."""


class Shell:
    """Runs until `close`. `argv` starts it; `setup` are lines that it reads first."""

    def __init__(self, argv: list[str], environment: dict[str, str], setup: list[str]) -> None:
        self._count = 0
        self._pid, self._master = pty.fork()
        if self._pid == 0:
            os.execvpe(argv[0], argv, environment)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._heard = ""
        for line in setup:
            self._type(line + "\r")
        self._until_mark()

    def offers(self, line: str) -> set[str]:
        """The words that are shown after `line` and TAB, but for those of `line`."""
        self._heard = ""
        self._type(line + "\t")
        return {*self._until_mark().partition("printf")[0].split()} - {*line.split(), PROMPT}

    def runs(self, line: str) -> str:
        """What is shown when `line`, TAB and Enter are typed."""
        self._heard = ""
        self._type(line + "\t\r")
        return self._until_mark()

    def close(self) -> None:
        """End it."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._master)

    def _type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def _until_mark(self) -> str:
        """Let the shell say a word that nobody has typed, and return what came before. What is typed for that is in it,
        and may come before the output of a program that still runs: the terminal echoes what nobody reads yet."""
        self._count += 1
        typed, said = f"printf 'end%s\\n' {self._count}x", f"end{self._count}x"
        self._type(f"{CLEAR_LINE}{typed}\r")
        deadline = time.monotonic() + DEADLINE_S
        while PROMPT not in _text(self._heard).partition(said)[2]:
            ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"the shell hangs: {self._heard!r}"
            self._heard += os.read(self._master, 65536).decode(errors="replace")
        return _text(self._heard).partition(said)[0]


def _text(heard: str) -> str:
    """What was shown, without what moves the cursor; what was written over is left out."""
    return WRITTEN_OVER.sub("", CONTROL.sub("", heard))
