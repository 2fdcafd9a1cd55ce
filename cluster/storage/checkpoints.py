"""Checkpoints: the rows of a partition copied forward to the end of the log, so that its beginning can be cut off.

The log is the only file of a table that lives in it. So a checkpoint is a part of the log: from the place on where it
began, the log has every row of the partition (copied as pages, or written since), every loss that is outstanding, and
last a record that says so. The partition whose checkpoint began first is the next; what lies before the oldest
checkpoint is dead, and whole segments of it are removed. That is the cleaner of a log-structured file system (Rosenblum
and Ousterhout, "The Design and Implementation of a Log-Structured File System", TOCS 1992) that always cleans the
oldest segment, so that no order is ever lost: a delete stands behind the row that it removed, or both are gone.

Invariant: a page holds what the log has at the place where it is written. It is made and appended between two batches
of a pass, so that it neither runs ahead of a batch that may be refused nor brings back what one has replaced.

Nothing is removed before what replaces it is on the medium: first the log is synced past the last checkpoint, then
`log/begin` is, then files go.
"""

from collections.abc import Callable, Iterable, Iterator

from cluster.env import Clock
from cluster.ports import Position, Recorder, RowTables
from cluster.storage.record import (
    CHECKPOINT,
    LOSS,
    PAGE,
    Record,
    Span,
    encode_checkpoint,
    encode_loss,
    encode_page,
)
from cluster.storage.segments import SegmentLog

PAGE_BYTES = 1 << 16
PAGE_ROWS = 512
"""What is copied in one slice at most, or one row: a quarter of a millisecond."""
RATE_BYTES = 4 << 20
"""A second, of a log that is just too long. It grows with the cube of the log, up to the next number: a node that is
written to faster than it copies would need a disk without end, and one that nobody writes to has time."""
RATE_BYTES_MAX = 32 << 20
REST_MIN_S = 0.001
REST_SHARE = 8
"""A rest is so many times as long as the slice before it: with a slow disk, or other processes on its core, a node
copies less. It shrinks with the square of the log, or a node at its limit would never catch up."""
GROWTH = 1.25
"""The log may be so many times as long as what is alive in it. The nearer to that it is, the more is copied for a byte
that is written (1.3 at 1.75 times, 4 at 1.25), so a busy node has a longer one. What is alive grows as well: a row
that all its owners have written has their clock entries."""
ROW_BYTES = 24
PARTITION_BYTES = 64
"""What a row takes in the log beside key and value, and a partition beside its rows."""
SEGMENTS_MAX = 64
"""Each boot begins a segment: so many may be there beside those that are full."""
RETRY_S = 1.0
"""On a full disk."""


class Copy:
    """A checkpoint under way."""

    def __init__(self, partition: int, begin: Position, tables: RowTables) -> None:
        self.partition = partition
        self.begin = begin
        self._tables = tables
        self.left = [
            (number, table.keys(partition)[::-1])
            for number, table in tables.by_number.items()
            if table.position is None and table.stat(partition).rows
        ]
        """Keys by table. Those that are new since then stand behind `begin` as it is."""

    def pages(self) -> list[Record]:
        """The next rows, of one slice; none when all that were looked at are gone."""
        pages: list[Record] = []
        size = count = 0
        while self.left and size < PAGE_BYTES and count < PAGE_ROWS:
            number, keys = self.left[-1]
            table, page = self._tables.by_number[number], dict[str, bytes]()
            while keys and size < PAGE_BYTES and count < PAGE_ROWS:
                key = keys.pop()
                value = table.get(self.partition, key)
                count += 1
                if value is not None:
                    page[key] = value
                    size += len(key) + len(value)
            if page:
                pages.append((self.partition, number, PAGE, encode_page(page)))
            if not keys:
                self.left.pop()
        return pages


class Checkpoints:
    """Keeps the log of one node short.

    `between` calls back when nothing is staged; `lost` gives what a partition lacks as the log has it, or None while
    that is being changed.
    """

    def __init__(
        self,
        clock: Clock,
        log: SegmentLog,
        tables: RowTables,
        between: Callable[[Callable[[], None]], None],
        lost: Callable[[int], dict[Span, str] | None],
        losers: Callable[[], Iterable[int]],
        record: Recorder,
    ) -> None:
        self._clock = clock
        self._log = log
        self._tables = tables
        self._between = between
        self._lost = lost
        self._losers = losers
        self._record = record
        self._begun: dict[int, Position] = {}
        self._copy: Copy | None = None
        self._running = False
        self._going_bytes = 0  # of a cut under way
        self._rested = 0  # checkpoints since anything was written: all of them again would win nothing
        self._through = 0
        self.limit = 0
        """How many bytes the log may have before somebody looks whether they are too many."""
        self.copied_bytes = 0
        self.done = 0
        """Checkpoints since the boot."""

    def start(self, begun: dict[int, Position], damaged: int) -> None:
        """With where the last checkpoint of each partition began, as the log has it, and the last segment that holds
        damage."""
        self._begun, self._through = begun, damaged
        self.grown()

    def grown(self) -> None:
        """The log is longer than `limit`."""
        self._rested = 0
        self._wake()

    def _wake(self) -> None:
        if not self._running and not self._log.stopped:
            self._running = True
            self._rest()

    def drop(self, segment: int) -> None:
        """The segment is damaged, and what it holds is whole here: write all of it again, and remove the segment."""
        self._through = max(self._through, segment)
        if segment == self._log.end[0]:
            self._log.end_segment()
        self.grown()

    def _step(self) -> None:
        """One slice. Nothing is staged."""
        if self._log.stopped:
            return
        began = self._clock.now()
        if self._copy is None:
            self._cut()
            partition = self._next()
            if partition is None:
                self._running = False
                return
            self._copy = Copy(partition, self._log.next_place, self._tables)
        records = self._copy.pages() if self._copy.left else self._last(self._copy)
        try:
            if records:
                self._log.append(records)
        except OSError:
            self._copy = None  # it begins again: a page that waits would bring back what is replaced meanwhile
            self._clock.call_later(RETRY_S, self._between, self._step)
            return
        if records and records[-1][2] == CHECKPOINT:
            self._begun[self._copy.partition] = self._copy.begin
            self._copy = None
            self.done += 1
            self._rested += 1
        size = sum(len(payload) for _, _, _, payload in records)
        self.copied_bytes += size
        self._rest(size, self._clock.now() - began)

    def _rest(self, size: int = 0, took_s: float = 0.0) -> None:
        over = max(1.0, self._log.bytes / max(1, self.limit))
        rate = min(RATE_BYTES_MAX, RATE_BYTES * over**3)
        rest_s = max(REST_MIN_S, size / rate, REST_SHARE * took_s / over**2)
        self._clock.call_later(rest_s, self._between, self._step)

    def _last(self, copy: Copy) -> list[Record]:
        """What ends a checkpoint: what the partition lacks, and that this was all. Nothing yet when that is being
        changed: a loss must not stand behind its release."""
        lost = self._lost(copy.partition)
        if lost is None:
            return []
        losses = [(copy.partition, 0, LOSS, encode_loss((span, reason))) for span, reason in lost.items()]
        return [*losses, (copy.partition, 0, CHECKPOINT, encode_checkpoint(copy.begin))]

    def _next(self) -> int | None:
        """The partition to be copied next; None when the log is short enough."""
        partitions = self._partitions()
        live = PARTITION_BYTES * len(partitions)
        for table in self._tables.by_number.values():
            if table.position is None:
                for partition in table.partitions():
                    stat = table.stat(partition)
                    live += stat.bytes + ROW_BYTES * stat.rows
        self.limit = int(GROWTH * live) + 2 * self._log.full_bytes
        too_long = self._log.bytes - self._going_bytes > self.limit
        too_many = len(self._log.sizes) > SEGMENTS_MAX + self.limit // self._log.full_bytes
        if self._rested >= len(partitions) or not (too_long or too_many or self._log.first <= self._through):
            return None
        return min(partitions, key=lambda partition: self._begun.get(partition, (0, 0)))

    def _partitions(self) -> set[int]:
        """Those of which the log alone has something."""
        found = set(self._losers())
        for table in self._tables.by_number.values():
            if table.position is None:
                found.update(partition for partition in table.partitions() if table.stat(partition).rows)
        return found

    def _bounds(self) -> Iterator[Position]:
        """The log is needed from each of these places on."""
        yield self._log.end
        for partition in self._partitions():
            yield self._begun.get(partition, (0, 0))
        for table in self._tables.by_number.values():
            if table.position is not None:
                yield table.position

    def _cut(self) -> None:
        """Remove the segments that nobody needs, once what replaces them is on the medium."""
        segment = min(self._bounds())[0]
        if segment <= self._log.first or self._going_bytes:
            return
        self._going_bytes = sum(size for number, size in self._log.sizes.items() if number < segment)

        def ended(segments: int, size: int) -> None:
            self._going_bytes = 0
            self._clock.call_later(0.0 if segments else RETRY_S, self._wake)  # perhaps there is more to cut by now
            if segments:
                self._record(
                    "storage.cut",
                    f"the log begins with segment {segment}: all before it was written again",
                    segments=segments,
                    bytes=size,
                )

        self._log.synced(lambda error: self._log.cut(segment, ended))
