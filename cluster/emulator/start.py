"""What a node's process is given to begin with, and its line to the command that started it.

The line is the launcher's standard output, a pipe: the child says on it that it has its lock, then that it listens (or
why it failed), and closes it. So the starter waits for the end of file and polls nothing, and a child whose starter is
gone before it listens learns that from the broken pipe and ends: nobody would know of it.
"""

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from cluster.emulator.spec import ClusterRecord
from cluster.layout import LayoutEntry

Said = Literal["locked", "listening", "failed"]


class StartReport(msgspec.Struct, omit_defaults=True):
    """One line from a child."""

    node: str
    """Empty when the launcher itself failed."""
    said: Said
    pid: int = 0
    code: str = ""
    """failed: the code of the error (cluster/errors.py), or `address` when a port was taken."""
    message: str = ""


ADDRESS_TAKEN = "address"


class ReportLine:
    """The child's end of the pipe."""

    def __init__(self, descriptor: int, node: str) -> None:
        self._descriptor = descriptor
        self._node = node

    def say(self, said: Said, code: str = "", message: str = "") -> bool:
        """Tell the starter; False when it is gone. One write, so that lines of several children do not mix."""
        if self._descriptor < 0:
            return True
        line = msgspec.json.encode(StartReport(self._node, said, os.getpid(), code, message[:1000])) + b"\n"
        try:
            os.write(self._descriptor, line)
        except BrokenPipeError:
            return False
        return True

    @property
    def is_open(self) -> bool:
        """Whether somebody may still listen."""
        return self._descriptor >= 0

    def close(self) -> None:
        """Nothing more to say."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


REPORT = 3  # the first descriptor behind the standard ones


def detach(log: Path, name: str) -> ReportLine:
    """Leave the session and every descriptor of the starter. What was standard output becomes the report line; the new
    one, and standard error, are the log."""
    if os.getsid(0) != os.getpid():
        os.setsid()
    signal.pthread_sigmask(signal.SIG_SETMASK, [])  # whatever the starter had blocked
    os.dup2(1, REPORT)
    os.set_inheritable(REPORT, False)
    opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(opened, 1)
    os.dup2(opened, 2)
    os.closerange(REPORT + 1, os.sysconf("SC_OPEN_MAX"))
    return ReportLine(REPORT, name)


@dataclass
class NodeStart:
    """A node about to run, in its own process, after the fork."""

    cluster: Path
    """The cluster's folder."""
    folder: Path
    """The node's folder."""
    name: str
    entry: LayoutEntry
    record: ClusterRecord
    secret: bytes
    line: ReportLine
