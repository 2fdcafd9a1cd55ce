"""The protocols of the seam. All callbacks run on one thread, one at a time, in the order of their causes.

Times are seconds. `Clock.now` is monotonic and only differences of it mean anything; `Clock.wall` is Unix time, for
people and for hybrid clocks, and never for timeouts. Nothing here waits: what takes time calls back.
"""

import errno
import os
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from random import Random

Address = tuple[str, int]  # host, port


class Timer(Protocol):
    """A call that is still to come."""

    def cancel(self) -> None:
        """Do not make the call; harmless when it has been made."""


class Clock(Protocol):
    """Time and the calls that wait for it."""

    def now(self) -> float:
        """Monotonic seconds."""

    def wall(self) -> float:
        """Unix time in seconds; it may jump."""

    def call_at(self, when: float, function: Callable[..., object], *args: Any) -> Timer:
        """Call at the monotonic time `when`, or as soon after as the process runs."""

    def call_later(self, delay: float, function: Callable[..., object], *args: Any) -> Timer:
        """Call after `delay` seconds."""

    def call_soon(self, function: Callable[..., object], *args: Any) -> Timer:
        """Call in the next pass of the loop, after what is ready now."""


class Link(Protocol):
    """One side of a byte stream that is open."""

    def write(self, data: bytes | bytearray) -> None:
        """Queue bytes for sending; a bytearray must not be touched afterwards. Never fails: a link that broke says so
        through `LinkHandler.lost`."""

    def pause_reading(self) -> None:
        """Take no more bytes, so that the other side has to wait, until `resume_reading`."""

    def resume_reading(self) -> None:
        """Take bytes again."""

    def close(self) -> None:
        """Send what is queued, then close."""

    def abort(self) -> None:
        """Close at once; what is queued is lost, and the other side sees a reset (an end, over the short way between
        processes of one machine)."""

    @property
    def peer(self) -> Address:
        """Where the other side is; its port is 0 when it came by the short way."""


class LinkHandler(Protocol):
    """What a byte stream tells its user; the same calls for dialled and for accepted links."""

    def connected(self, link: Link) -> None:
        """The stream is open. Called once, before any other; not called when a dial fails."""

    def received(self, data: bytes) -> None:
        """Some bytes came, cut anywhere."""

    def lost(self, reason: str) -> None:
        """The stream ended, or the dial failed. Called once, last. `reason` is one of `closed` (in order, by
        either side), `reset`, `refused`, `timeout`, `aborted` (by this side), or the system's words for another
        failure. A process that dies closes or resets its streams, as the bytes in its sockets happen to stand."""

    def pause(self) -> None:
        """The link's send buffer is over its high-water mark: hold back."""

    def resume(self) -> None:
        """The send buffer has drained."""


class StreamListener(Protocol):
    """A place that accepts streams."""

    def close(self) -> None:
        """Accept no more."""


class DatagramSocket(Protocol):
    """A bound datagram socket."""

    def send(self, data: bytes, to: Address) -> None:
        """Send one datagram; it may be lost, and errors are silent, as on any network."""

    def close(self) -> None:
        """Receive no more."""


class Network(Protocol):
    """Streams and datagrams."""

    def listen(
        self, at: Address, accept: Callable[[Address], LinkHandler | None], *, shared: bool = False
    ) -> StreamListener:
        """Accept streams at `at`; `accept(peer)` gives each its handler, or None to close it at once. Raises OSError
        when the address is taken. The socket listens before this returns. `shared`: other processes of this user may
        listen there too, and each stream goes to one of them (SO_REUSEPORT on Linux, socket(7))."""

    def dial(self, to: Address, handler: LinkHandler, timeout: float) -> None:
        """Open a stream; the outcome comes to the handler, never in the same pass."""

    def datagrams(self, at: Address, receive: Callable[[bytes, Address], None]) -> DatagramSocket:
        """Bind a datagram socket. Raises OSError when the address is taken."""


class AppendFile(Protocol):
    """A file that only grows. Writes are given to the kernel at once: SIGKILL keeps them, power loss may not."""

    size: int

    def append(self, data: bytes) -> None:
        """Write all of `data` at the end. Raises OSError (full disk, size limit); then nothing of it is kept: the file
        is cut back to the size it had."""

    def sync(self, done: Callable[[OSError | None], None]) -> None:
        """Force what was appended before this call to the medium, then call back in a later pass."""

    def flush(self) -> None:
        """Force what was appended to the medium before this returns: it blocks for milliseconds, so it is only for what
        must be durable before the next thing is said. Raises OSError."""

    def close(self) -> None:
        """Release the file; no implicit sync."""


class Salvaged(Struct, frozen=True):
    """What was read of a range of keys."""

    rows: int
    whole: bool
    """Whether nothing is missing. What is missing lay between two of its keys: rows, and what had replaced or removed
    older ones, which are left out as well."""


class SortedRows(Protocol):
    """Keys and values of bytes in the order of the keys, in a folder of their own. They outlive the process.

    One write runs at a time, and reads see it from some moment between its call and its callback on.
    """

    def get(self, key: bytes) -> bytes | None:
        """The value. Raises OSError when it cannot be read, as when its checksum fails."""

    def page(
        self, start: bytes, end: bytes, limit: int, bytes_max: int | None
    ) -> tuple[list[tuple[bytes, bytes]], bool]:
        """Rows from `start` on and below `end`, in order, at most `limit` of them, the last of which may take their
        values over `bytes_max`; and whether there may be more. Raises OSError."""

    def write(self, rows: Iterable[tuple[bytes, bytes | None]], done: Callable[[OSError | None], None]) -> None:
        """Set these rows, and remove those that are None: all of them or, when the process or the machine ends first,
        none. They are on the medium when `done(None)` is called, in a later pass. Until then they must not change: they
        may be iterated in another thread. After an error it is not known which is the case; writing them again is
        harmless. Does not block."""

    def verify(self, cursor: bytes, done: Callable[[bytes | OSError], None]) -> None:
        """Read some rows from the medium rather than from memory, as far as the system lets us, and verify them; `done`
        in a later pass with where to go on, which is empty behind the last one, or with what is wrong there; EAGAIN is
        nothing, and the same cursor again. Begins with an empty cursor. One at a time."""

    def salvage(self, ranges: Sequence[tuple[bytes, bytes]], done: Callable[[list[Salvaged] | OSError], None]) -> None:
        """Copy what can be read of these ranges of keys, each from its first and below its second, and call back in a
        later pass; writes that are called meanwhile begin when `switch` or `abandon` has ended. Takes a while, and as
        much room again as the rows."""

    def switch(self, rows: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Go on with the copy, and with these rows in it, in place of what could not be read. Blocks for some
        tens of milliseconds. Raises OSError, and then all is as it was."""

    def abandon(self) -> None:
        """Delete the copy."""

    def close(self) -> None:
        """Release the files, once the write under way has ended; a copy under way is given up."""


class Disk(Protocol):
    """Files below one node's folder. Paths are relative, with `/`. OSError as the system raises it."""

    def read(self, path: str) -> bytes:
        """The whole file. Raises FileNotFoundError."""

    def read_part(self, path: str, start: int, size: int, done: Callable[[bytes | OSError], None]) -> None:
        """Read so many bytes from the medium rather than from the kernel's memory, as far as the system lets us, and
        call back in a later pass."""

    def write(self, path: str, data: bytes) -> None:
        """Replace the file atomically and durably: temporary file, sync, rename, sync of the folder."""

    def write_in_place(self, path: str, data: bytes) -> None:
        """Overwrite the start of a small file (at most a disk sector, always the same length), made when it is missing.
        Not synced: SIGKILL keeps it, a power loss leaves what it was or what it is. Needs no room once the file is
        there, so that it works on a full disk."""

    def append(self, path: str) -> AppendFile:
        """Open for appending; made (with a sync of its folder) when it is missing."""

    def truncate(self, path: str, size: int) -> None:
        """Cut the file to `size` bytes and sync it."""

    def names(self, folder: str) -> list[str]:
        """The sorted names in a folder; none when it does not exist."""

    def remove(self, path: str) -> None:
        """Delete a file; harmless when it is missing."""

    def remove_soon(self, path: str) -> None:
        """Delete a large file, which takes the system some milliseconds, beside the loop. It may fail, and nobody hears
        of it."""


class DiskFaults(Protocol):
    """What a user wished upon a disk: asked by the disk before an operation, which it counts."""

    def delay_s(self) -> float:
        """By how many seconds an append, or a sync of an append file, is late."""

    def refuses(self, path: str) -> bool:
        """Whether what is written to this file finds no room (ENOSPC)."""


Ailing = Callable[[DiskFaults | None, float, Callable[[], object]], None]
"""Makes a disk and a clock suffer. From now on the disk asks the first (None: it is well), and `wall` is ahead by so
many seconds, of which each reading is said to the third. `now` and the timers are not touched."""


def well(disk: DiskFaults | None, skew_s: float, on_clock: Callable[[], object]) -> None:
    """A world in which nothing ails."""


OpenSorted = Callable[[str, bool], SortedRows]
"""Opens the sorted rows of a folder, made when they are missing; with True they are made anew, empty. Raises OSError:
EBADMSG when what lies there is damaged."""


def no_sorted_rows(folder: str, anew: bool) -> SortedRows:
    """A world without a database."""
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), folder)


class Env(Struct, eq=False):  # not a data class: a one-shot client reads the boot, and would load that too
    """All that a node knows of the world."""

    clock: Clock
    random: "Random"
    disk: Disk
    network: Network
    spawn: Callable[[Coroutine[Any, Any, Any]], Timer]
    """Run a coroutine (a service handler); the handle's `cancel` cancels it. It must handle its own errors."""
    boot_id: str = ""
    """Which boot of the machine this is: the same for all processes between two boots of it, and never the same for two
    boots or two machines. Empty when the system does not say: then it is equal to no other, itself included."""
    open_sorted: OpenSorted = no_sorted_rows
    """For rows that are more than memory holds."""
    ail: Ailing = well
    """How the faults of a disk and of a clock get where they act."""
