"""The leash: a FIFO in the cluster's folder that its holder keeps open. When the last holder is gone, however it ended,
every node reads the end of file and ends itself, also those that `restart` brought later.

fifo(7): a reader meets end of file once no process has the other end open, so no signal, pid or timer is involved. A
leash that was taken off (its file unlinked) before the holder went keeps the nodes alive.
"""

import os
from pathlib import Path
from typing import Final

from cluster.emulator.disk import FILE_MODE
from cluster.emulator.home import LEASH_FILE

NO_LEASH: Final = -1


class Leash:
    """The holder's end. Not inherited by programs that the holder starts."""

    def __init__(self, folder: Path) -> None:
        """Put the cluster in `folder` on a new leash."""
        self.path = folder / LEASH_FILE
        self.path.unlink(missing_ok=True)
        os.mkfifo(self.path, FILE_MODE)
        # For reading too, because opening for writing alone needs a reader that is there already.
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)

    def release(self) -> None:
        """Let go: the nodes end. Harmless when done before."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def take_off(self) -> None:
        """Set the cluster free: its nodes outlive the holder, and the ones started from now on have no leash."""
        self.path.unlink(missing_ok=True)
        self.release()


def open_leash(folder: Path) -> int:
    """The node's end, to read from without blocking; NO_LEASH when the cluster has none."""
    try:
        return os.open(folder / LEASH_FILE, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return NO_LEASH


def has_ended(descriptor: int) -> bool:
    """Whether nobody holds the leash that this end belongs to."""
    try:
        return os.read(descriptor, 1) == b""
    except BlockingIOError:
        return False


def is_leashed(folder: Path) -> bool:
    """Whether the cluster is to end with its leash, held or not."""
    return (folder / LEASH_FILE).exists()


def is_gone(folder: Path) -> bool:
    """Whether the cluster has a leash that nobody holds."""
    descriptor = open_leash(folder)
    if descriptor == NO_LEASH:
        return False
    try:
        return has_ended(descriptor)
    finally:
        os.close(descriptor)
