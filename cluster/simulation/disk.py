"""The disk of one simulated node: what the kernel holds, and what a power loss would leave of it.

A killed process loses nothing that it wrote. A power loss takes what was not synced: the end of each append file (or a
part of it: a torn write), and it may bring back files whose removal no later sync of their folder made durable. After a
failed sync what it covered never becomes durable (Rebello et al. 2020, "Can applications recover from fsync
failures?"). With `scattered` the blocks of that end reach the medium in any order: the file has its size, and zeros
where a block is missing (Pillai et al. 2014, "All File Systems Are Not Created Equal", section 3: appended blocks may
persist in any order, after the new size).
"""

import errno
import os
import zlib
from collections.abc import Callable
from random import Random

from cluster.env import DiskFaults
from cluster.simulation.schedule import EventSchedule, SimulatedProcess

SYNC_MIN_S = 0.000_2
SYNC_MAX_S = 0.004  # a solid-state drive's range
BLOCK_BYTES = 4096


class Content:
    """One file: its bytes, and how many of them a power loss leaves."""

    __slots__ = ("before", "data", "durable", "stuck")

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.durable = len(data)
        self.stuck = False  # a sync failed: the kernel marked the pages clean without writing them
        self.before: bytes | None = None  # what the medium may still hold of a file that was overwritten in place


class SimulatedDisk:
    """Files of one node, kept over its incarnations, and the faults that a test gives them."""

    def __init__(self, schedule: EventSchedule, random: Random, name: str) -> None:
        self._schedule = schedule
        self._random = random
        self._name = name
        self._files: dict[str, Content] = {}
        self._removed: dict[str, Content] = {}  # not durably
        self._sync_failures = 0
        self._room: int | None = None  # bytes
        self._power_losses = 0

    # Faults.

    def power_loss(self, *, torn: bool, scattered: bool = False) -> None:
        """Keep what is durable; with `torn` also a random part of what was appended after it, and with `scattered` some
        blocks of that part, the others being zeros."""
        self._power_losses += 1
        for path, content in self._removed.items():
            if path not in self._files and self._random.random() < 0.5:
                self._files[path] = content
        self._removed.clear()
        for content in self._files.values():
            if content.before is not None and self._random.random() < 0.5:
                content.data = bytearray(content.before)
                content.durable = len(content.data)
            content.before = None
            unsynced = len(content.data) - content.durable
            kept = content.durable + (self._random.randint(0, unsynced) if torn and unsynced else 0)
            if scattered and kept > content.durable:
                for start in range(content.durable - content.durable % BLOCK_BYTES, kept, BLOCK_BYTES):
                    first, last = max(start, content.durable), min(start + BLOCK_BYTES, kept)
                    if self._random.random() < 0.5:
                        content.data[first:last] = bytes(last - first)
            del content.data[kept:]
            content.durable, content.stuck = kept, False
        self._sync_failures = 0

    def write_back(self) -> None:
        """Make durable all that the kernel holds, as a machine that shuts down in good order does."""
        self._removed.clear()
        for content in self._files.values():
            content.before = None
            if not content.stuck:
                content.durable = len(content.data)

    def flip_byte(self, path: str, offset: int | None = None) -> int:
        """Damage one byte of a file, anywhere when no offset is given. Returns where."""
        content = self._content(path)
        at = self._random.randrange(len(content.data)) if offset is None else offset
        content.data[at] ^= 1 + self._random.randrange(255)
        return at

    def fail_next_sync(self, count: int = 1) -> None:
        """Let the next syncs of append files fail with EIO."""
        self._sync_failures += count

    def full_after(self, size: int | None) -> None:
        """Have room for so many more bytes, then fail with ENOSPC; None for room without end."""
        self._room = size

    def unsynced(self, path: str) -> int:
        """How many bytes of the file a power loss would take."""
        content = self._content(path)
        return len(content.data) - content.durable

    # What the seam's `Disk` does.

    def read(self, path: str) -> bytes:
        """The whole file. Raises FileNotFoundError."""
        return bytes(self._content(path).data)

    def read_part(
        self,
        process: SimulatedProcess,
        path: str,
        start: int,
        size: int,
        done: Callable[[bytes | OSError], None],
    ) -> None:
        """Read so many bytes, as the file is then."""

        def read() -> None:
            try:
                found: bytes | OSError = bytes(self._content(path).data[start : start + size])
            except FileNotFoundError as error:
                found = error
            self._schedule.deliver(process, done, found)

        when = self._schedule.now + self._random.uniform(SYNC_MIN_S, SYNC_MAX_S)
        self._schedule.at(when, self._schedule.kernel, read)

    def write(self, path: str, data: bytes) -> None:
        """Replace the file atomically and durably."""
        self._take_room(len(data))
        self._note("replace", path, data)
        self._files[path] = Content(data)
        self._synced_folder(path)

    def write_in_place(self, path: str, data: bytes) -> None:
        """Overwrite the start of a small file, unsynced; made when it is missing."""
        content = self._files.get(path)
        self._take_room(len(data) - (len(content.data) if content is not None else 0))
        self._note("overwrite", path, data)
        if content is None:
            content = self._files[path] = Content()
        if content.before is None:
            content.before = bytes(content.data)
        content.data[: len(data)] = data
        content.durable = len(content.data)

    def open(self, path: str) -> Content:
        """The file, made durably (but empty) when it is missing."""
        content = self._files.get(path)
        if content is None:
            content = self._files[path] = Content()
            self._synced_folder(path)
        return content

    def append(self, path: str, content: Content, data: bytes) -> None:
        """Give bytes to the kernel, all or none."""
        self._take_room(len(data))
        self._note("append", path, data)
        content.data += data

    def sync(
        self,
        process: SimulatedProcess,
        path: str,
        content: Content,
        done: Callable[[OSError | None], None],
        delay_s: float = 0.0,
    ) -> None:
        """Make what the file holds now durable, in a while and `delay_s`; the kernel does it even when the process dies
        meanwhile."""
        when = self._schedule.now + self._random.uniform(SYNC_MIN_S, SYNC_MAX_S) + delay_s
        fails = self._sync_failures > 0
        self._sync_failures -= fails
        size, power_losses = len(content.data), self._power_losses
        overwritten = None if content.before is None else bytes(content.data)

        def synced() -> None:
            if power_losses != self._power_losses:
                return  # it came too late
            self._schedule.trace.record(("sync", self._name, path, size, fails))
            if fails:
                content.stuck = True
            elif not content.stuck:
                content.durable = max(content.durable, min(size, len(content.data)))
                if overwritten is not None:
                    content.before = None if overwritten == content.data else overwritten
            self._schedule.deliver(process, done, OSError(errno.EIO, os.strerror(errno.EIO)) if fails else None)

        self._schedule.at(when, self._schedule.kernel, synced)

    def flush(self, path: str, content: Content) -> None:
        """Make what the file holds now durable at once."""
        fails = self._sync_failures > 0
        self._sync_failures -= fails
        self._schedule.trace.record(("flush", self._name, path, len(content.data), fails))
        if fails:
            content.stuck = True
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if not content.stuck:
            content.durable, content.before = len(content.data), None

    def hold(self, process: SimulatedProcess, seconds: float, until: float) -> float:
        """A call of the process returns so much later, or later still when others are under way until `until`: it
        stands still as soon as the present call of the simulation ends. Returns until when."""
        until = max(self._schedule.now, until) + seconds
        self._schedule.starve(process)
        self._schedule.at(until, self._schedule.kernel, self._schedule.feed, (process,))
        return until

    def truncate(self, path: str, size: int) -> None:
        """Cut the file to `size` bytes and sync it."""
        content = self._content(path)
        self._note("truncate", path, size.to_bytes(8, "big"))
        del content.data[size:]
        content.data.extend(bytes(size - len(content.data)))
        content.durable, content.stuck = size, False

    def paths(self) -> list[str]:
        """Every file, sorted."""
        return sorted(self._files)

    @property
    def now(self) -> float:
        """Virtual time."""
        return self._schedule.now

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""
        return path in self._files

    def names(self, folder: str) -> list[str]:
        """The sorted names in a folder."""
        start = f"{folder}/" if folder else ""
        found = dict.fromkeys(path[len(start) :].partition("/")[0] for path in self._files if path.startswith(start))
        return sorted(found)

    def remove(self, path: str) -> None:
        """Delete the file if it is there."""
        content = self._files.pop(path, None)
        if content is not None:
            self._note("remove", path, b"")
            self._removed[path] = content

    def _content(self, path: str) -> Content:
        try:
            return self._files[path]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None

    def _take_room(self, size: int) -> None:
        if self._room is not None and size > 0:
            if size > self._room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._room -= size

    def _synced_folder(self, path: str) -> None:
        """The names in the file's folder are durable now, and so are removals from it."""
        folder = path.rpartition("/")[0]
        for removed in [other for other in self._removed if other.rpartition("/")[0] == folder]:
            del self._removed[removed]

    def _note(self, what: str, path: str, data: bytes) -> None:
        self._schedule.trace.record((what, self._name, path, len(data), zlib.crc32(data)))


class ProcessDisk:
    """The disk as one process sees it: the seam's `Disk`. A dead process has none."""

    __slots__ = ("_disk", "_held_until", "_process", "faults")

    def __init__(self, disk: SimulatedDisk, process: SimulatedProcess) -> None:
        self._disk = disk
        self._process = process
        self._held_until = 0.0
        self.faults: DiskFaults | None = None
        """What ails it; None while nothing does."""

    def check_room(self, path: str) -> None:
        """Raise OSError when a fault leaves no room for what is written to the file."""
        if self.faults is not None and self.faults.refuses(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    def delay_s(self) -> float:
        """By how much an append, or a sync of an append file, is late."""
        return 0.0 if self.faults is None else self.faults.delay_s()

    def sync_delay_s(self) -> float:
        """By how much a sync is late that begins when the calls under way have returned."""
        return self.delay_s() + max(0.0, self._held_until - self._disk.now)

    def be_late(self) -> None:
        """A call of a slow disk returns late, and the process stands still."""
        delay_s = self.delay_s()
        if delay_s:
            self._held_until = self._disk.hold(self._process, delay_s, self._held_until)

    def read(self, path: str) -> bytes:
        """The whole file. Raises FileNotFoundError."""
        return self._disk.read(path)

    def read_part(self, path: str, start: int, size: int, done: Callable[[bytes | OSError], None]) -> None:
        """Read so many bytes, and call back in a while."""
        self._disk.read_part(self._process, path, start, size, done)

    def write(self, path: str, data: bytes) -> None:
        """Replace the file atomically and durably."""
        self._process.check_alive()
        self.check_room(path)
        self._disk.write(path, data)

    def write_in_place(self, path: str, data: bytes) -> None:
        """Overwrite the start of a small file, unsynced; made when it is missing."""
        self._process.check_alive()
        if not self._disk.exists(path):
            self.check_room(path)
        self._disk.write_in_place(path, data)
        if self._process.trap is not None:
            self._process.trap("overwrite")

    def append(self, path: str) -> "SimulatedAppendFile":
        """Open for appending; made when it is missing."""
        self._process.check_alive()
        return SimulatedAppendFile(self._disk, self, self._process, path)

    def truncate(self, path: str, size: int) -> None:
        """Cut the file to `size` bytes and sync it."""
        self._process.check_alive()
        self._disk.truncate(path, size)

    def names(self, folder: str) -> list[str]:
        """The sorted names in a folder; none when it does not exist."""
        return self._disk.names(folder)

    def remove(self, path: str) -> None:
        """Delete a file; harmless when it is missing."""
        self._process.check_alive()
        self._disk.remove(path)
        if self._process.trap is not None:
            self._process.trap("remove")

    def remove_soon(self, path: str) -> None:
        """The same: no call takes time here."""
        self.remove(path)


class SimulatedAppendFile:
    """A file that one process has opened for appending."""

    __slots__ = ("_closed", "_content", "_disk", "_path", "_process", "_seen", "size")

    def __init__(self, disk: SimulatedDisk, seen: ProcessDisk, process: SimulatedProcess, path: str) -> None:
        self._disk = disk
        self._seen = seen
        self._process = process
        self._path = path
        self._content = disk.open(path)
        self._closed = False
        self.size = len(self._content.data)

    def append(self, data: bytes) -> None:
        """Write all of `data` at the end, or raise OSError and keep none of it."""
        self._check_open()
        if self._seen.faults is not None:
            self._seen.check_room(self._path)
            self._seen.be_late()
        self._disk.append(self._path, self._content, data)
        self.size += len(data)
        if self._process.trap is not None:
            self._process.trap("append")

    def sync(self, done: Callable[[OSError | None], None]) -> None:
        """Make what was appended durable, then call back."""
        self._check_open()
        self._disk.sync(self._process, self._path, self._content, done, self._seen.sync_delay_s())
        if self._process.trap is not None:
            self._process.trap("sync")

    def flush(self) -> None:
        """Make what was appended durable before this returns."""
        self._check_open()
        self._seen.be_late()
        self._disk.flush(self._path, self._content)

    def _check_open(self) -> None:
        self._process.check_alive()
        if self._closed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def close(self) -> None:
        """Release the file."""
        self._closed = True
