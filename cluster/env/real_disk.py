"""Files on the real disk, below one folder.

Appends go to the kernel at once, on the calling thread: that is what SIGKILL keeps. Forcing them to the medium takes
milliseconds, so it happens in the executor's threads and calls back on the loop. The rest (`write`, `truncate`) is rare
and blocks. A disk that ails (`faults`) is slow where a slow one is: a late append stops the calling thread, a late sync
only its own. A removed file may be back after a power loss, as on any system that does not sync the folder for it.
"""

import asyncio
import errno
import os
import sys
import time
from collections.abc import Callable

from cluster.env.seam import DiskFaults

if sys.platform == "darwin":
    import fcntl

    def force(descriptor: int) -> None:
        """Force a file's bytes to the medium; on macOS fsync alone stops at the drive's cache."""
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)

else:
    force = os.fdatasync  # the bytes and the size, without the times

UNFINISHED = ".tmp"  # what a crash leaves of an atomic write; `names` hides it and the next such write replaces it

Synced = Callable[[OSError | None], None]


class RealDisk:
    """Files below `folder`, which is made (for this user alone) when it is missing."""

    def __init__(self, loop: asyncio.AbstractEventLoop, folder: str) -> None:
        self._loop = loop
        self._folder = os.path.abspath(folder)
        self.faults: DiskFaults | None = None
        """What ails it; None, which is all that an operation pays for, while nothing does."""
        os.makedirs(self._folder, mode=0o700, exist_ok=True)

    def _path(self, path: str) -> str:
        assert path and not path.startswith("/") and ".." not in path.split("/"), path
        return os.path.join(self._folder, path)

    def check_room(self, path: str) -> None:
        """Raise OSError when a fault leaves no room for what is written to the file."""
        if self.faults is not None and self.faults.refuses(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    def read(self, path: str) -> bytes:
        """The whole file. Raises FileNotFoundError."""
        with open(self._path(path), "rb") as file:
            return file.read()

    def read_part(self, path: str, start: int, size: int, done: Callable[[bytes | OSError], None]) -> None:
        """Read so many bytes from the medium, in a thread, and call back in a later pass."""

        def ended(future: asyncio.Future[bytes]) -> None:
            if future.cancelled():
                return  # the loop is shutting down
            error = future.exception()
            if error is not None and not isinstance(error, OSError):
                raise error
            done(future.result() if error is None else error)

        self._loop.run_in_executor(None, read_medium, self._path(path), start, size).add_done_callback(ended)

    def write(self, path: str, data: bytes) -> None:
        """Replace the file atomically and durably. On an error the old file is still there, whole."""
        self.check_room(path)
        full = self._path(path)
        make_folder(os.path.dirname(full))
        temporary = full + UNFINISHED  # one node owns the folder, so the name is free
        try:
            with open(temporary, "wb", opener=private) as file:
                file.write(data)
                file.flush()
                force(file.fileno())
            os.replace(temporary, full)
        except OSError:
            remove_if_there(temporary)
            raise
        sync_folder(os.path.dirname(full))

    def write_in_place(self, path: str, data: bytes) -> None:
        """Overwrite the start of a small file, unsynced; made when it is missing."""
        full = self._path(path)
        flags = os.O_WRONLY | os.O_CLOEXEC
        try:
            descriptor = os.open(full, flags)
        except FileNotFoundError:
            self.check_room(path)
            make_folder(os.path.dirname(full))
            descriptor = os.open(full, flags | os.O_CREAT, 0o600)
        try:
            written = os.pwrite(descriptor, data, 0)
        finally:
            os.close(descriptor)
        if written < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), full)

    def append(self, path: str) -> "RealAppendFile":
        """Open for appending; made (with a sync of its folder) when it is missing."""
        full = self._path(path)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        try:
            descriptor = os.open(full, flags)
        except FileNotFoundError:
            make_folder(os.path.dirname(full))
            descriptor = os.open(full, flags | os.O_CREAT, 0o600)
            sync_folder(os.path.dirname(full))
        return RealAppendFile(self, path, self._loop, descriptor)

    def truncate(self, path: str, size: int) -> None:
        """Cut the file to `size` bytes and sync it."""
        descriptor = os.open(self._path(path), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.ftruncate(descriptor, size)
            force(descriptor)
        finally:
            os.close(descriptor)

    def names(self, folder: str) -> list[str]:
        """The sorted names in a folder (`""` is the node's own); none when it does not exist."""
        try:
            found = os.listdir(self._path(folder) if folder else self._folder)
        except FileNotFoundError:
            return []
        return sorted(name for name in found if not name.endswith(UNFINISHED))

    def remove(self, path: str) -> None:
        """Delete a file; harmless when it is missing."""
        remove_if_there(self._path(path))

    def remove_soon(self, path: str) -> None:
        """Delete a large file in a thread."""
        removed = self._loop.run_in_executor(None, remove_if_there, self._path(path))
        removed.add_done_callback(lambda future: future.cancelled() or future.exception())


class RealAppendFile:
    """A file opened for appending. `size` is its length while this is its only writer."""

    __slots__ = ("_closed", "_descriptor", "_disk", "_loop", "_path", "_syncs", "size")

    def __init__(self, disk: RealDisk, path: str, loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
        self._disk = disk
        self._path = path
        self._loop = loop
        self._descriptor = descriptor
        self._syncs = 0  # running in threads: the descriptor must outlive them, or they would sync another file
        self._closed = False
        self.size = os.fstat(descriptor).st_size

    def append(self, data: bytes) -> None:
        """Write all of `data` at the end, or raise OSError and keep none of it."""
        if self._disk.faults is not None:
            self._disk.check_room(self._path)
            self._be_late()
        try:
            written = os.write(self._descriptor, data)
            while written < len(data):  # a nearly full disk or a signal cuts writes short
                written += os.write(self._descriptor, memoryview(data)[written:])
        except OSError:
            os.ftruncate(self._descriptor, self.size)
            raise
        self.size += written

    def sync(self, done: Synced) -> None:
        """Force what was appended before this call to the medium, then call back in a later pass."""

        def ended(future: asyncio.Future[None]) -> None:
            self._syncs -= 1
            if self._closed and not self._syncs:
                os.close(self._descriptor)
            if future.cancelled():
                return  # the loop is shutting down
            error = future.exception()
            if error is not None and not isinstance(error, OSError):
                raise error
            done(error)

        self._syncs += 1
        faults = self._disk.faults
        delay_s = 0.0 if faults is None else faults.delay_s()
        self._loop.run_in_executor(None, force_late, self._descriptor, delay_s).add_done_callback(ended)

    def _be_late(self) -> None:
        """A call of a slow disk returns late, and the thread that made it stands still."""
        faults = self._disk.faults
        if faults is not None:
            time.sleep(faults.delay_s())

    def flush(self) -> None:
        """Force what was appended to the medium before this returns."""
        self._be_late()
        force(self._descriptor)

    def close(self) -> None:
        """Release the file, once the syncs under way have ended; no implicit sync."""
        if not self._closed:
            self._closed = True
            if not self._syncs:
                os.close(self._descriptor)


def force_late(descriptor: int, delay_s: float) -> None:
    """`force`, on a disk that is slow by so much."""
    if delay_s:
        time.sleep(delay_s)
    force(descriptor)


def read_medium(path: str, start: int, size: int) -> bytes:
    """Read a part of a file. What the kernel has of it in memory is let go of first, if it stands on the medium: there
    damage is that this reads for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if sys.platform != "darwin":
            os.posix_fadvise(descriptor, start, size, os.POSIX_FADV_DONTNEED)
        return os.pread(descriptor, size, start)
    finally:
        os.close(descriptor)


def private(path: str, flags: int) -> int:
    """Open for this user alone."""
    return os.open(path, flags, 0o600)


def make_folder(folder: str) -> None:
    """Make a folder and those above it, durably."""
    if not os.path.isdir(folder):
        make_folder(os.path.dirname(folder))
        os.mkdir(folder, 0o700)
        sync_folder(os.path.dirname(folder))


def sync_folder(folder: str) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_if_there(path: str) -> None:
    """Delete a file that may be missing."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
