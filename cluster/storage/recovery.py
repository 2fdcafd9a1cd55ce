"""Reads the log back at boot: rebuilds the tables, cuts a torn tail, and charges damage to partitions.

Torn is what a crash explains: at the end of the last segment, less than a record. It was never acknowledged as synced,
and it is cut. Everything else that fails a checksum was once whole, so it may have been acknowledged: it is damage, and
the partitions that it may have touched are quarantined. Rows that verify are kept either way.

Damage stays in the log, so each boot finds it again; a release record names the spans that have been refilled for its
partition. A partition is quarantined while one of its spans has no release. Naming them matters: damage that appears
later in an older part of the log is not excused by a release that was written before anyone had seen it.

Not detected here: the loss of whole records from the very end of the log, which no later header speaks of.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from cluster.env import Disk
from cluster.errors import Damaged
from cluster.layout.partition import PARTITIONS
from cluster.storage.documents import read_document
from cluster.storage.record import (
    RELEASE,
    ROW,
    VERSION,
    Damage,
    Record,
    Span,
    Torn,
    decode_release,
    decode_row,
    decode_segment_header,
    scan,
)
from cluster.storage.segments import FOLDER, segment_path

Tables = dict[tuple[int, int], dict[str, bytes]]
"""Encoded rows by key, by (table, partition)."""


@dataclass(frozen=True)
class Recovery:
    """What a boot found in the log. No segments at a later boot than the first mean that the log was lost."""

    records: int
    bytes: int
    segments: int
    torn_bytes: int
    quarantined: dict[int, str]

    @property
    def cut(self) -> bool:
        """Whether a torn tail was removed."""
        return self.torn_bytes > 0


class Replay:
    """One pass over all segments; afterwards the attributes hold what the store goes on with."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.tables: Tables = {}
        self.records = 0
        self.torn_bytes = 0
        self.segments = 0
        self.bytes = 0
        self.last_segment = 1
        self.previous_bytes = 0
        """The size of the segment before the last one."""
        self.sealed = False
        """The last segment was cut, so no more may be appended to it: bytes that the file held before might come back
        with its next blocks, and in another segment they do not verify. Damage is no such reason: what is appended
        after it is found by the scan, and so its span stays what it is."""
        self._local: dict[int, dict[Span, str]] = {}
        self._anywhere: dict[Span, str] = {}
        self._released: dict[int, set[Span]] = {}

    def run(self) -> None:
        """Read everything. Raises Damaged when a file cannot be read or has an unknown version, OSError when the torn
        tail cannot be cut."""
        numbers = _segment_numbers(self._disk)
        self.segments = len(numbers)
        sizes = {0: 0}
        for number in numbers:
            data = _read(self._disk, number)
            self.previous_bytes = sizes.get(number - 1, 0)
            if number - 1 not in sizes:
                self._anywhere[number - 1, 0, 0] = f"{segment_path(number - 1)} is missing"
            self._check_header(data, number)
            kept = self._apply(data, number, last=number == numbers[-1])
            sizes[number] = kept
            self.bytes += kept
            self.last_segment = number

    def damage(self) -> Iterator[tuple[int, dict[Span, str]]]:
        """Each quarantined partition with the spans to blame and why."""
        if not self._local and not self._anywhere:
            return
        seen = {partition for _, partition in self.tables} | set(self._local)
        for partition in sorted(seen.union(range(PARTITIONS))):
            released = self._released.get(partition, set())
            spans = self._local.get(partition, {}) | self._anywhere
            left = {span: reason for span, reason in spans.items() if span not in released}
            if left:
                yield partition, left

    def _check_header(self, data: bytes, number: int) -> None:
        header = decode_segment_header(data, number)
        if header is None:
            return  # the scan reports it
        version, previous_bytes = header
        if version != VERSION:
            raise Damaged(f"{segment_path(number)} has version {version} of the format, and only {VERSION} is known")
        if previous_bytes != self.previous_bytes:
            span = (number - 1, self.previous_bytes, previous_bytes)
            path = segment_path(number - 1)
            self._anywhere[span] = f"{path} has {self.previous_bytes} bytes and had {previous_bytes}"

    def _apply(self, data: bytes, number: int, *, last: bool) -> int:
        """Apply what is whole; returns how many bytes of the segment stay."""
        for item in scan(data, number):
            if isinstance(item, tuple):
                self._apply_record(item)
            elif isinstance(item, Damage):
                self._note(item, number)
            elif last:
                return self._cut(data, number, item.start)
            else:
                self._note(_torn_inside(item, len(data)), number)
        return len(data)

    def _apply_record(self, record: Record) -> None:
        partition, table, kind, payload = record
        self.records += 1
        if kind == ROW:
            key, value = decode_row(payload)
            rows = self.tables.get((table, partition))
            if rows is None:
                rows = self.tables[table, partition] = {}
            if value is None:
                rows.pop(key, None)
            else:
                rows[key] = value
        else:
            assert kind == RELEASE, kind
            self._released.setdefault(partition, set()).update(decode_release(payload))

    def _note(self, damage: Damage, number: int) -> None:
        spans = self._anywhere if damage.partition is None else self._local.setdefault(damage.partition, {})
        where = f"{segment_path(number)}, bytes {damage.start} to {damage.end}"
        spans[number, damage.start, damage.end] = f"{where}: {damage.reason}"

    def _cut(self, data: bytes, number: int, start: int) -> int:
        self._disk.truncate(segment_path(number), start)
        self.torn_bytes = len(data) - start
        self.sealed = start > 0  # an empty file is begun anew, header and all
        return start


def _torn_inside(torn: Torn, size: int) -> Damage:
    return Damage(torn.start, size, None, "the segment ends inside a record and is not the last one")


def _segment_numbers(disk: Disk) -> list[int]:
    """The numbers of the segments that exist, ascending; other files in the folder are left alone."""
    stems = [name.removesuffix(".log") for name in disk.names(FOLDER)]
    numbers = [(int(stem), stem) for stem in stems if stem.isascii() and stem.isdigit()]
    return sorted(number for number, stem in numbers if segment_path(number) == f"{FOLDER}/{stem}.log")


def _read(disk: Disk, number: int) -> bytes:
    path = segment_path(number)
    data = read_document(disk, path)
    if data is None:
        raise Damaged(f"{path} was listed and is gone")
    return data
