"""Sorted rows of a simulated node, kept in one append file of its disk: a batch that was not synced is forgotten.

Each write is one record, `length 4 | CRC-32 4 | msgpack of the rows`, appended and then synced. So what the simulated
disk does to files happens to these rows too: a kill keeps what was appended, a power loss takes what was not synced and
may tear it, a full disk refuses it, a flipped byte is found. Opening reads the file, and cuts off what is torn. Nothing
is ever compacted.
"""

import errno
import os
import zlib
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable

import msgspec

from cluster.env import AppendFile, Clock, Disk

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
        batch = list(rows)
        body = _encode(batch)
        try:
            self._file.append(len(body).to_bytes(4, "little") + zlib.crc32(body).to_bytes(4, "little") + body)
        except OSError as error:
            self._clock.call_soon(done, error)
            return

        def synced(error: OSError | None) -> None:
            if error is None:
                self._apply(batch)
                self._note_synced()
            done(error)

        self._file.sync(synced)

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def _recover(self) -> None:
        data, offset = self._disk.read(self._path), 0
        while offset < len(data):
            length = int.from_bytes(data[offset : offset + 4], "little")
            body = data[offset + _HEADER : offset + _HEADER + length]
            if not body or zlib.crc32(body) != int.from_bytes(data[offset + 4 : offset + 8], "little"):
                break
            self._apply(_decode(body))
            offset += _HEADER + length
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

    def _apply(self, batch: list[tuple[bytes, bytes | None]]) -> None:
        for key, value in batch:
            if value is None:
                if self._rows.pop(key, None) is not None:
                    del self._keys[bisect_left(self._keys, key)]
            else:
                if key not in self._rows:
                    insort(self._keys, key)
                self._rows[key] = value
