"""Reads the log back at boot: rebuilds the tables, cuts a torn tail, and says what was lost.

Torn is what a crash explains: at the end of the last segment, less than a record; and after a reboot of the machine
under `always` anything behind the mark, since blocks that were not synced reach a disk in any order (Pillai et al.,
"All File Systems Are Not Created Equal", OSDI 2014). It was never acknowledged, and it is cut. Everything else that
fails a checksum was once whole, so it may have been acknowledged: it is damage, and the partitions that it may have
touched lack rows. Rows that verify are kept either way.

Three things keep what a node lacks through any number of boots. Damage stays in the log, so each boot finds it again. A
loss that leaves no such trace (a log that is gone or ends before its mark, a reboot) is a record of its own. A release
record names the damage and the losses that a partition was completed from; it stands behind the rows that completed it,
so it never outlives them. Naming them matters: damage that appears later in an older part of the log is not excused by
a release that was written before anyone had seen it.

Damage before the place where the last checkpoint of a partition began takes nothing from it, since the checkpoint has
every row that was alive. It does not have those that were removed, though, and the damaged record may have been the
removal, of a row that stands further back in the log. So such a partition is built again, from its checkpoint on.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from cluster.env import Disk
from cluster.errors import Damaged
from cluster.layout.partition import PARTITIONS
from cluster.ports import Position, RowTables
from cluster.storage.identity import Boot, read_document
from cluster.storage.record import (
    BEGIN,
    CHECKPOINT,
    FOLDER,
    HEADER_BYTES,
    LOSS,
    MARK,
    PAGE,
    RELEASE,
    ROW,
    VERSION,
    VERSIONS_READ,
    Begin,
    Damage,
    Mark,
    Span,
    Torn,
    decode_begin,
    decode_checkpoint,
    decode_loss,
    decode_mark,
    decode_page,
    decode_release,
    decode_row,
    decode_segment_header,
    scan,
)
from cluster.storage.segments import segment_path

TABLE_HINTS = 1
HINTS = 0xFFFE
"""Hint records are charged to a partition of their own: they are lost wherever their keys belong, and losing one takes
nothing from the rows of the partition that it names."""


@dataclass(frozen=True)
class Recovery:
    """What a boot found in the log. `lost` says why all that the node owns may lack rows, if it does."""

    records: int
    bytes: int
    segments: int
    torn_bytes: int
    recovering: dict[int, str]
    lost: str

    @property
    def cut(self) -> bool:
        """Whether a torn tail was removed."""
        return self.torn_bytes > 0

    @property
    def may_have_forgotten(self) -> bool:
        """Whether writes of this node may exist elsewhere that it does not know any more. (A reboot of the machine is
        another reason, of which nothing need be seen here.)"""
        return bool(self.torn_bytes or self.lost or self.recovering)


class Replay:
    """One pass over all segments; afterwards the attributes hold what the store goes on with."""

    def __init__(self, disk: Disk, boot: Boot, tables: RowTables, *, always: bool) -> None:
        self._disk = disk
        self._tables = tables
        self._boot = boot
        self._always = always
        self._torn_behind_mark = always and boot.rebooted
        self.records = 0
        self.torn_bytes = 0
        self.sizes: dict[int, int] = {}
        """Of the segments that stay, in order."""
        self._files = 0
        self.last_number = 0
        """The highest number that anything names."""
        self.end: Position = (0, 0)
        """Up to where the log goes, and is synced."""
        self.mark: Mark | None = None
        self.begin = Begin()
        self.begun: dict[int, Position] = {}
        """Where the last checkpoint of each partition began."""
        self._pending: dict[tuple[int, int], dict[str, bytes | None]] = {}  # rows of a segment, by table and partition
        self._found: dict[int, dict[Span, str]] = {}  # damage
        self._anywhere: dict[Span, str] = {}  # damage that may have been anybody's
        self._losses: dict[int, dict[Span, str]] = {}  # that are records
        self._released: dict[int, set[Span]] = {}

    def run(self) -> None:
        """Read everything. Raises Damaged when a file cannot be read or has an unknown version, OSError when the torn
        tail cannot be cut."""
        blob = read_document(self._disk, MARK)
        self.mark = None if blob is None else decode_mark(blob)
        marked = (0, 0) if self.mark is None else self.mark.end
        blob = read_document(self._disk, BEGIN)
        self.begin = Begin() if blob is None else decode_begin(blob) or Begin()
        self.end = self.begin.previous
        named = [table.position for table in self._tables.by_number.values() if table.position is not None]
        self.last_number = max([marked, (self.begin.segment, 0), *named])[0]
        torn = False
        for number, data, last in self._segments():
            self.last_number = max(self.last_number, number)
            if torn or not self._goes_on(data, number):
                torn = True  # it was written behind what was not synced, so it was not synced either
                self._cut(data, number, 0)
                self._disk.remove(segment_path(number))
                continue
            size, torn = self._apply(data, number, last=last)
            if not size:  # not even its header was whole
                self._disk.remove(segment_path(number))
                continue
            if not torn and (number, size) > marked:
                self._disk.truncate(segment_path(number), size)  # what will be served is synced like a new write
            self.end = (number, size)
            self.sizes[number] = size
        self._build_again()

    def _segments(self) -> Iterator[tuple[int, bytes, bool]]:
        """Number, bytes, and whether it is the last, of each segment that was begun. An empty file is none, and is
        removed: a node that is killed between two segments leaves one. So is one that the log was cut behind, which a
        crash left or a power loss brought back. Other files in the folder are left alone."""
        stems = [name.removesuffix(".log") for name in self._disk.names(FOLDER)]
        numbers = [(int(stem), stem) for stem in stems if stem.isascii() and stem.isdigit()]
        before: tuple[int, bytes] | None = None
        for number in sorted(number for number, stem in numbers if segment_path(number) == f"{FOLDER}/{stem}.log"):
            if number < self.begin.segment:
                self._disk.remove(segment_path(number))
                continue
            data = read_document(self._disk, segment_path(number))
            if data is None:
                raise Damaged(f"{segment_path(number)} was listed and is gone")
            self._files += 1
            if not data:
                self._disk.remove(segment_path(number))
                continue
            if before is not None:
                yield *before, False
            before = (number, data)
        if before is not None:
            yield *before, True

    def lost(self) -> str:
        """Why all that the node owns, and its hints, may lack rows; empty when nothing says so."""
        boot, mark = self._boot, self.mark
        if boot.lost:
            return boot.lost
        if boot.previous_epoch == 0:
            return ""
        if not self._files and (mark is None or mark.end > self.end):
            return "its log was gone"
        if mark is None:
            return f"{MARK} is missing or damaged"
        for table in self._tables.by_number.values():
            if table.position is not None and table.position < self.begin.previous:
                return f"a table ends at {_place(table.position)}, and the log begins at {_place(self.begin.previous)}"
        if self.end < mark.end:
            return f"the log ends at {_place(self.end)}, before its mark at {_place(mark.end)}"
        clean = mark.clean and mark.epoch == boot.previous_epoch and mark.end == self.end
        if boot.rebooted and not self._always and not clean:
            return "the machine rebooted, and what was written last may not have been synced"
        return ""

    def losses(self) -> Iterator[tuple[int, dict[Span, str]]]:
        """Each partition that lacks rows, with the spans to blame and why."""
        if not self._losses and not self._found and not self._anywhere:
            return
        seen = {partition for table in self._tables.by_number.values() for partition in table.partitions()}
        seen.update(self._losses, self._found)
        if self._anywhere:
            seen.update(range(PARTITIONS), (HINTS,))
        for partition in sorted(seen):
            found = self._found.get(partition, {}) | self._anywhere
            spans = dict(self._losses.get(partition, {}))
            spans |= {span: reason for span, reason in found.items() if not self._excused(partition, span)}
            released = self._released.get(partition, set())
            left = {span: reason for span, reason in spans.items() if span not in released}
            if left:
                yield partition, left

    def _excused(self, partition: int, span: Span) -> bool:
        """Whether damage took nothing from the partition: what was there was written again, from rows that were whole.
        Not so where the tables outlive the log, since no checkpoint copies their rows; and hints are of any partition,
        so theirs counts until the log is cut."""
        if partition == HINTS or any(table.position is not None for table in self._tables.by_number.values()):
            return False
        return (span[0], span[2]) <= self.begun.get(partition, (0, 0))

    def _build_again(self) -> None:
        """The partitions of which damage was excused: rows that their checkpoints do not have were removed."""
        begun = {
            partition: place
            for partition, place in self.begun.items()
            if any(self._excused(partition, span) for span in self._found.get(partition, {}) | self._anywhere)
        }
        if not begun:
            return
        for table in self._tables.by_number.values():
            for partition in begun:
                for key in table.keys(partition):
                    table.put(partition, key, None)
        first = min(begun.values())[0]
        for number in self.sizes:
            if number < first:
                continue
            data = read_document(self._disk, segment_path(number))
            if data is None:
                raise Damaged(f"{segment_path(number)} was read and is gone")
            place = HEADER_BYTES
            for item in scan(data, number):
                if isinstance(item, tuple):
                    partition, of_table, kind, payload = item
                    if kind in (ROW, PAGE) and partition in begun and (number, place) >= begun[partition]:
                        rows = [decode_row(payload)] if kind == ROW else decode_page(payload).items()
                        self._pending.setdefault((of_table, partition), {}).update(rows)
                    place += HEADER_BYTES + len(payload)
                elif isinstance(item, Damage):
                    place = item.end
            self._load()

    def damaged(self) -> int:
        """The last segment that holds damage; 0 when none does."""
        found = [self._anywhere, *self._found.values()]
        return max((segment for spans in found for segment, _, _ in spans), default=0)

    def _goes_on(self, data: bytes, number: int) -> bool:
        """Whether the segment counts; what is missing before it is damage, or else what a crash explains."""
        header = decode_segment_header(data, number)
        if header is None:
            return True  # the scan reports it
        version, previous = header
        if version not in VERSIONS_READ:
            raise Damaged(f"{segment_path(number)} has version {version} of the format, and only {VERSION} is known")
        if previous == self.end:
            return True
        if self._torn_behind_mark and self.mark is not None and self.end >= self.mark.end:
            return False
        span = (previous[0], self.end[1], previous[1])
        self._anywhere[span] = f"the log ends at {_place(self.end)}, and went on to {_place(previous)}"
        return True

    def _apply(self, data: bytes, number: int, *, last: bool) -> tuple[int, bool]:
        """Apply what is whole; returns how many bytes of the segment stay, and whether it was cut there."""
        try:
            return self._scan(data, number, last=last)
        finally:
            self._load()

    def _scan(self, data: bytes, number: int, *, last: bool) -> tuple[int, bool]:
        end, pending, lasting = HEADER_BYTES, self._pending, self._lasting(number)
        for item in scan(data, number):
            if isinstance(item, tuple):
                partition, table, kind, payload = item
                end += HEADER_BYTES + len(payload)
                self.records += 1
                if kind in (ROW, PAGE):
                    if table in lasting and self._has(table, (number, end)):
                        continue
                    rows = pending.get((table, partition))
                    if rows is None:
                        rows = pending[table, partition] = {}
                    if kind == ROW:
                        key, rows[key] = decode_row(payload)
                    else:
                        rows.update(decode_page(payload))
                else:
                    self._note(partition, kind, payload)
                continue
            unsynced = self._torn_behind_mark and self.mark is not None and (number, item.start) >= self.mark.end
            if unsynced or (last and isinstance(item, Torn)):  # a crash explains it
                return self._cut(data, number, item.start), True
            if isinstance(item, Torn):
                reason = "the segment ends inside a record and is not the last one"
                item = Damage(item.start, len(data), None, reason)
            end = item.end
            self._blame(number, item)
        return len(data), False

    def _blame(self, number: int, damage: Damage) -> None:
        spans = self._anywhere
        if damage.table is not None and damage.partition is not None and self._has(damage.table, (number, damage.end)):
            return
        if damage.partition is not None:
            spans = self._found.setdefault(HINTS if damage.table == TABLE_HINTS else damage.partition, {})
        where = f"{segment_path(number)}, bytes {damage.start} to {damage.end}"
        spans[number, damage.start, damage.end] = f"{where}: {damage.reason}"

    def _lasting(self, number: int) -> set[int]:
        """The tables that may have what the segment gives."""
        return {
            table
            for table, rows in self._tables.by_number.items()
            if rows.position is not None and number <= rows.position[0]
        }

    def _has(self, table: int, end: Position) -> bool:
        """Whether the table has what the log gives it up to there."""
        rows = self._tables.by_number.get(table)
        return rows is not None and rows.position is not None and end <= rows.position

    def _load(self) -> None:
        """Put what a segment had, of each row the last: many at once, which takes a third of the time."""
        for (number, partition), rows in self._pending.items():
            table = self._tables.by_number.get(number) or self._tables.make(number)
            kept = {key: value for key, value in rows.items() if value is not None}
            if len(kept) < len(rows):
                for key, value in rows.items():
                    if value is None:
                        table.put(partition, key, None)
            table.load(partition, kept)
        self._pending.clear()

    def _note(self, partition: int, kind: int, payload: bytes) -> None:
        """A record that is no row."""
        if kind == LOSS:
            span, reason = decode_loss(payload)
            self._losses.setdefault(partition, {})[span] = reason
            self._released.get(partition, set()).discard(span)  # a new id counts its boots from 1 again
        elif kind == CHECKPOINT:
            self.begun[partition] = decode_checkpoint(payload)
        else:
            assert kind == RELEASE, kind
            self._released.setdefault(partition, set()).update(decode_release(payload))

    def _cut(self, data: bytes, number: int, start: int) -> int:
        self._disk.truncate(segment_path(number), start)
        self.torn_bytes += len(data) - start
        return start


def _place(position: Position) -> str:
    return f"byte {position[1]} of {segment_path(position[0])}" if position[0] else "its beginning"
