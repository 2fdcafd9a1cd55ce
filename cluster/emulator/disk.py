"""Files of the state directory: written whole or not at all, locked by `flock`, failures told as cluster errors."""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.client.locate import owner
from cluster.errors import ClusterError, Damaged, Failed, StorageFull

FOLDER_MODE, FILE_MODE = 0o700, 0o600
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
HELP_HOME = "Make the state directory writable, or set DSECTL_HOME to one that is."
LOCK_POLL_S = 0.002
TAIL_BYTES = 8192


@contextmanager
def disk_errors(doing: str) -> Iterator[None]:
    """Turn the system's errors into StorageFull or Damaged, with the path in the message."""
    try:
        yield
    except OSError as error:
        raise disk_error(doing, error) from error


def disk_error(doing: str, error: OSError) -> ClusterError:
    """What an OSError of the state directory means to a user."""
    message = f"cannot {doing}: {error.strerror or error}"
    if error.filename and str(error.filename) not in doing:
        message += f" ({error.filename})"
    if error.errno in FULL:
        return StorageFull(message)
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        if error.errno != errno.EROFS and isinstance(error.filename, str) and os.path.exists(error.filename):
            message += f", which belongs to {owner(error.filename)}"
        return Damaged(message, help=HELP_HOME)
    return Damaged(message)


def make_folder(path: Path) -> None:
    """A folder that only its owner can enter; the folders above it too, where they are missing."""
    if path.is_dir():
        return
    make_folder(path.parent)
    try:
        path.mkdir(mode=FOLDER_MODE, exist_ok=True)
    except OSError as error:
        if error.errno in FULL:
            raise
        raise Damaged(f"cannot make the folder {path}: {error.strerror}", help=HELP_HOME) from error


def write_new(path: Path, data: bytes, durable: bool = False) -> None:
    """Write a file that is not there yet. `durable`: it outlives a power failure."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(path: Path, data: bytes) -> None:
    """Write a file so that readers see the old content or the new, and nothing is left behind on failure."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        write_new(temporary, data)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def numbered(folder: Path, prefix: str) -> Path:
    """A path in `folder` that is free: the prefix, and one more than the highest number that is there."""
    numbers = [path.name.removeprefix(prefix) for path in folder.iterdir() if path.name.startswith(prefix)]
    return folder / f"{prefix}{1 + max((int(number) for number in numbers if number.isdigit()), default=0)}"


def sync_folder(path: Path) -> None:
    """Make the names in a folder outlive a power failure."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path) -> bytes:
    """The whole file; Damaged, naming it, when it is missing or unreadable."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise Damaged(f"{path} is missing") from None
    except OSError as error:
        raise disk_error(f"read {path}", error) from error


def tail(path: Path, lines: int = 5, start: int = 0) -> str:
    """The last lines of a log, from the offset `start` on; empty when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(start, os.fstat(file.fileno()).st_size - TAIL_BYTES))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


@contextmanager
def locked(path: Path, wait_s: float, busy: ClusterError | None = None) -> Iterator[None]:
    """Hold the exclusive lock on `path`, a file that is made when missing. Who holds it may delete it: the lock counts
    only while the file is still what the path names, so that it is never split between two files.

    The kernel drops the lock with the process, whatever ends it. Raises `busy` when another keeps it for `wait_s`.
    """
    deadline = time.monotonic() + wait_s
    held = -1
    while held < 0:
        with disk_errors(f"lock {path}"):
            make_folder(path.parent)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE)
        try:
            taken = take_lock(descriptor, deadline - time.monotonic())
            if taken and is_in_place(descriptor, path):
                held = descriptor
        finally:
            if held < 0:
                os.close(descriptor)
        if not taken:
            raise busy or Failed(f"another command keeps {path} locked", help="Wait until it is done, then try again.")
    try:
        yield
    finally:
        os.close(held)


def is_in_place(descriptor: int, path: Path) -> bool:
    """Whether an open file is still what its path names."""
    try:
        there = os.stat(path)
    except OSError:
        return False
    mine = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)


def take_lock(descriptor: int, wait_s: float) -> bool:
    """Take the exclusive lock on an open file; False when another keeps it for `wait_s`."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(LOCK_POLL_S)
