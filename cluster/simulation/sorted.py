"""Sorted rows of a simulated node, kept in one append file of its disk: a batch that was not synced is forgotten.

Each write is one record, `length 4 | CRC-32 4 | msgpack of the rows`, appended and then synced. So what the simulated
disk does to files happens to these rows too: a kill keeps what was appended, a power loss takes what was not synced and
may tear it, a full disk refuses it, a flipped byte is found. Opening reads the file, and cuts off what is torn. Nothing
is compacted, but when a damaged record is left out.
"""

import errno
import os
import zlib
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence

import msgspec

from cluster.env import AppendFile, Clock, Disk, Salvaged

_HEADER = 8
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[bytes, bytes | None]]).decode


class SimulatedSortedRows:
    """See `cluster.env.seam.SortedRows`."""

    def __init__(self, disk: Disk, clock: Clock, folder: str, *, anew: bool) -> None:
        self._clock = clock
        self._folder = folder
        self._path = f"{folder}/rows"
        self._mark = f"{folder}/synced"
        self._disk = disk
        self._rows: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []
        self._places: list[int] = []
        """Where each record begins."""
        self._record_of: dict[bytes, int] = {}
        """Where the record of the last change of each key begins, its removal included."""
        self._copy: list[tuple[bytes, bytes | None]] = []
        self._writing = self._copying = False
        self._postponed: Callable[[], None] | None = None  # a write that waits for a copy, or a copy for a write
        # A failed sync leaves a record that may be on the medium or not; the next one of the same rows follows it.
        if anew:
            disk.remove(self._path)
            disk.remove(self._mark)
        elif "rows" in disk.names(folder):
            self._recover()
        self._file: AppendFile = disk.append(self._path)

    def get(self, key: bytes) -> bytes | None:
        """The value."""
        return self._rows.get(key)

    def page(
        self, start: bytes, end: bytes, limit: int, bytes_max: int | None
    ) -> tuple[list[tuple[bytes, bytes]], bool]:
        """Rows from `start` on and below `end`."""
        rows: list[tuple[bytes, bytes]] = []
        left = float("inf") if bytes_max is None else bytes_max
        for key in self._keys[bisect_left(self._keys, start) : bisect_left(self._keys, end)]:
            if len(rows) == limit or left < 0:
                return rows, True
            rows.append((key, self._rows[key]))
            left -= len(self._rows[key])
        return rows, False

    def write(self, rows: Iterable[tuple[bytes, bytes | None]], done: Callable[[OSError | None], None]) -> None:
        """Append them as one record, and sync it."""
        if self._copying:
            self._postponed = lambda: self.write(rows, done)
            return
        batch, place = list(rows), self._file.size
        try:
            self._file.append(_record(batch))
        except OSError as error:
            self._clock.call_soon(done, error)
            return

        def synced(error: OSError | None) -> None:
            self._writing = False
            if error is None:
                self._apply(batch, place)
                self._note_synced()
            done(error)
            self._go_on()

        self._writing = True
        self._file.sync(synced)

    def verify(self, cursor: bytes, done: Callable[[bytes | OSError], None]) -> None:
        """Read the next record."""
        turn, found = int.from_bytes(cursor, "little"), b""
        if turn + 1 < len(self._places):
            found = (turn + 1).to_bytes(8, "little")
        if turn < len(self._places) and _body(self._disk.read(self._path), self._places[turn]) is None:
            error = OSError(
                errno.EBADMSG, f"the record at byte {self._places[turn]} of {self._path} fails its checksum"
            )
            self._clock.call_soon(done, error)
            return
        self._clock.call_soon(done, found)

    def salvage(self, ranges: Sequence[tuple[bytes, bytes]], done: Callable[[list[Salvaged] | OSError], None]) -> None:
        """What was changed last by a record that is damaged cannot be read."""
        if self._writing:
            self._postponed = lambda: self.salvage(ranges, done)
            return
        self._copying = True
        data = self._disk.read(self._path)
        lost = {key for key, place in self._record_of.items() if _body(data, place) is None}
        self._copy = [(key, self._rows[key]) for key in self._keys if key not in lost]
        found = [
            Salvaged(
                sum(start <= key < end for key, _ in self._copy), not any(start <= key < end for key in sorted(lost))
            )
            for start, end in ranges
        ]
        self._clock.call_soon(done, found)

    def switch(self, rows: Iterable[tuple[bytes, bytes | None]]) -> None:
        """The file has one record."""
        batch = [*self._copy, *rows]
        self._disk.write(self._mark, bytes(8))  # of a shorter file an older mark would say that it is damaged
        self._disk.write(self._path, _record(batch))
        self._file.close()
        self._file = self._disk.append(self._path)
        self._rows, self._keys, self._places, self._record_of = {}, [], [], {}
        self._apply(batch, 0)
        self._note_synced()
        self.abandon()

    def abandon(self) -> None:
        """The write that waited begins."""
        self._copying, self._copy = False, []
        self._go_on()

    def _go_on(self) -> None:
        begin, self._postponed = self._postponed, None
        if begin is not None:
            begin()

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def _recover(self) -> None:
        data, offset = self._disk.read(self._path), 0
        while offset < len(data):
            body = _body(data, offset)
            if body is None:
                break
            self._apply(_decode(body), offset)
            offset += _HEADER + len(body)
        synced = self._disk.read(self._mark) if "synced" in self._disk.names(self._folder) else b""
        if offset < int.from_bytes(synced, "little"):
            raise OSError(errno.EBADMSG, os.strerror(errno.EBADMSG), self._path)
        if offset < len(data):
            self._disk.truncate(self._path, offset)

    def _note_synced(self) -> None:
        """What is bad below this size is damage, and what is bad above it was torn."""
        try:
            self._disk.write_in_place(self._mark, self._file.size.to_bytes(8, "little"))
        except OSError:
            pass  # the first one, on a full disk: then nothing is said about damage yet

    def _apply(self, batch: list[tuple[bytes, bytes | None]], place: int) -> None:
        self._places.append(place)
        for key, value in batch:
            self._record_of[key] = place
            if value is None:
                if self._rows.pop(key, None) is not None:
                    del self._keys[bisect_left(self._keys, key)]
            else:
                if key not in self._rows:
                    insort(self._keys, key)
                self._rows[key] = value


def _record(batch: list[tuple[bytes, bytes | None]]) -> bytes:
    body = _encode(batch)
    return len(body).to_bytes(4, "little") + zlib.crc32(body).to_bytes(4, "little") + body


def _body(data: bytes, place: int) -> bytes | None:
    """What the record that begins there holds; None when it is not whole."""
    length = int.from_bytes(data[place : place + 4], "little")
    body = data[place + _HEADER : place + _HEADER + length]
    return body if body and zlib.crc32(body) == int.from_bytes(data[place + 4 : place + 8], "little") else None
