"""The lock of a node: to hold it is to be alive.

A node takes the `flock` on its folder's lock file after the fork, and the kernel drops it with the process, whatever
ends it. Inside stand the holder's pid and when that process started, so that a signal can find it; the lock, and never
the pid alone, says whether somebody lives there. flock(2): the lock belongs to the open file, so no child inherits it.
"""

import fcntl
import os
from pathlib import Path
from typing import NamedTuple

from cluster.emulator.disk import FILE_MODE, is_in_place, take_lock

TAKE_S = 2.0
"""How long a starting node retries: whoever looks holds the lock shared for some microseconds."""


class Holder(NamedTuple):
    """The process that took the lock last: the pid, and the start of the process in ticks of /proc (0: not known)."""

    pid: int
    started: int


class NodeLock:
    """The lock, held until `release` or the end of the process."""

    def __init__(self, path: Path, held: int = -1) -> None:
        """`held`: the descriptor of the lock that this process took before it became another program."""
        self.path = path
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE) if held < 0 else held

    def take(self, wait_s: float = TAKE_S) -> bool:
        """Take the lock and write who holds it; False when another node has it."""
        if not take_lock(self.descriptor, wait_s) or not self.in_place():
            return False
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, f"{os.getpid()} {process_start(os.getpid())}\n".encode(), 0)
        return True

    def in_place(self) -> bool:
        """Whether the file is still what its path names; not so when the cluster was deleted under the node."""
        return is_in_place(self.descriptor, self.path)

    def release(self) -> None:
        """No longer be alive."""
        os.close(self.descriptor)


def is_held(path: Path) -> bool:
    """Whether a process holds the lock, asked of the kernel."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def read_holder(path: Path) -> Holder | None:
    """Who wrote the lock file last; None before the first holder has."""
    try:
        words = path.read_bytes().split()
    except OSError:
        return None
    if len(words) != 2 or not all(word.isdigit() for word in words):
        return None
    return Holder(int(words[0]), int(words[1]))


def process_start(pid: int) -> int:
    """When a process started, in clock ticks since boot: with the pid, it names one process for good. 0: not known."""
    fields = stat_fields(pid)
    return int(fields[19]) if fields else 0


def stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third (the state) on; none where there is no such process or no /proc."""
    try:
        content = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return []
    return content[content.rindex(")") + 2 :].split()  # the name in parentheses may hold anything
