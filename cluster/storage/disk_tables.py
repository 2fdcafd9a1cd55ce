"""Tables larger than memory: rows in a database on the disk, and in memory what the database does not hold yet.

What is put stays in memory until some megabytes have come together, a *generation*. Then it is written in one batch,
with the position of the log up to which it goes and with the number of rows a partition; reads look into memory first.
So the database is always exactly what the log gives up to its position, whatever moment a crash picks, and a boot
replays the log from there (an LSM tree whose log is the node's own: O'Neil et al., "The Log-Structured Merge-Tree",
1996). Nothing waits for the database: when it falls too far behind, as on a full disk, `refuses` says so, and the log
takes no more.

A row that the database cannot read back is damage: it is reported once, and then missing. `table_scrubber` looks for
such rows before anybody asks for them, and replaces the database by what can be read of it.
"""

import errno
from collections.abc import Callable, Iterable, Iterator

import msgspec

from cluster.env import Clock, Env, Salvaged, SortedRows
from cluster.errors import Damaged
from cluster.ports import Page, Position, RowTable, TableStat
from cluster.storage.record import PARTITION_MAX, TABLE_MAX
from cluster.storage.recovery import HINTS, TABLE_HINTS
from cluster.storage.table_scrubber import Range, TableScrubber

FOLDER = "table"
"""Where in a node's directory the database lies."""

VERSION = 1
ROW_BYTES = 200
"""What a row in memory takes beside its key and value."""
GENERATIONS_MAX = 8
"""So much may wait for the database, in sizes of one generation."""
SEGMENTS_MAX = 16
"""A position so many segments behind keeps the log from being cut, however little is written: each boot begins one."""
RETRY_S = 1.0
SEEN_BYTES_MAX = 1024 * 1024
"""Who puts has read the row just before: what was read in this pass is kept for it, up to so much."""
KEYS_PAGE = 1024

_EXTENT = b"\0"
"""Where the database keeps its position; the rows' keys begin with a higher byte."""


class _Extent(msgspec.Struct, frozen=True, array_like=True):
    """The row of that key."""

    version: int
    position: Position
    rows: dict[int, dict[int, int]]
    """How many, by table and partition."""


_encode_extent = msgspec.msgpack.Encoder().encode
_decode_extent = msgspec.msgpack.Decoder(_Extent).decode

Changes = dict[int, dict[str, bytes | None]]
"""By partition and key."""


class DiskTables:
    """See `ports.RowTables`."""

    def __init__(self, rows: SortedRows, clock: Clock, generation_bytes: int) -> None:
        self._rows = rows
        self._clock = clock
        self._generation_bytes = generation_bytes
        self._made: dict[int, DiskTable] = {}
        self.by_number: dict[int, RowTable] = {}
        self._end: Position = (0, 0)  # of the log, behind the last pass
        self._salvaging: list[tuple[int, int]] = []  # table and partition of each range that is being copied
        self._writing = False
        self._failure = ""
        self.fresh_bytes = 0
        """What was put since the last generation was closed, rows that were replaced since included."""
        self.position: Position = (0, 0)
        """Up to where in the log the database is whole, on the medium."""
        self.damaged = ""
        """Why what lay in the folder was of no use, and was deleted."""
        self._unsaid: list[tuple[int, str]] = []
        self.on_damage: Callable[[int, str], None] = lambda partition, reason: self._unsaid.append((partition, reason))
        self._on_lost: Callable[[list[int], str], None] = lambda partitions, reason: None
        self.scrubber = TableScrubber(clock, rows, self._ranges, self._replace)
        blob = rows.get(_EXTENT)
        if blob is not None:
            extent = _decode_extent(blob)
            if extent.version != VERSION:
                raise Damaged(f"{FOLDER} has version {extent.version} of the format, and only {VERSION} is known")
            self.position = self._end = extent.position
            for number, counts in extent.rows.items():
                self._add(number, counts)
        if not self.by_number:
            self.make(0)  # one that says that the database is empty, whatever the log has been cut behind

    def make(self, number: int) -> RowTable:
        """An empty one."""
        return self._add(number, {})

    def _add(self, number: int, counts: dict[int, int]) -> RowTable:
        assert 0 <= number < TABLE_MAX, number
        table = self._made[number] = self.by_number[number] = DiskTable(self, self._rows, number, counts)
        return table

    def commit(self, end: Position) -> None:
        """The log has all that was put, and ends here: write it when that is enough for a generation, or long ago."""
        self._end = end
        for table in self._made.values():
            table.forget_seen()
        due = self.fresh_bytes >= self._generation_bytes or end[0] > self.position[0] + SEGMENTS_MAX
        if due and not self._writing:
            for table in self._made.values():
                table.close_generation()
            self.fresh_bytes, self._writing = 0, True
            self._write(end)

    def refuses(self) -> str:
        """Why nothing may be put now; empty when it may. Not while nothing is being written: the next commit begins."""
        if not self._writing or self.fresh_bytes < GENERATIONS_MAX * self._generation_bytes:
            return ""
        waiting = f"{self.fresh_bytes / 1e6:.0f} MB wait to be written to its table"
        return f"{waiting}: {self._failure}" if self._failure else waiting

    def watch(self, on_damage: Callable[[int, str], None], on_lost: Callable[[list[int], str], None]) -> None:
        """From now on verify the rows, and report damage, also what was found before: `on_damage` gets the partition of
        a row that cannot be read, and why; `on_lost` the partitions that will lack rows from now on, which it must have
        written down when it returns (or raise StorageFull)."""
        self.on_damage, self._on_lost = on_damage, on_lost
        self.scrubber.start()
        for partition, reason in self._unsaid:
            on_damage(partition, reason)
            self.scrubber.mend(reason)
        self._unsaid.clear()

    def status(self) -> dict[str, int]:
        """How often all rows were verified since the boot, and how often they were replaced by what could be read."""
        return {"table_scrubs": self.scrubber.rounds, "damaged_tables": self.scrubber.damaged}

    def close(self) -> None:
        """Release the files. What is in memory only is in the log. A process that ends may read a little longer: that
        what it reads is closed is no damage."""
        self.on_damage = lambda partition, reason: None
        self.scrubber.stop()
        self._rows.close()

    def _write(self, end: Position) -> None:
        def done(error: OSError | None) -> None:
            if error is not None:
                self._failure = error.strerror or str(error)
                if error.errno == errno.EBADMSG:
                    self.scrubber.mend(self._failure)  # merging what was written met it
                self._clock.call_later(RETRY_S, self._write, end)
                return
            self._failure, self._writing, self.position = "", False, end
            for table in self._made.values():
                table.writing = {}

        self._rows.write(self._generation(end), done)

    def _ranges(self) -> list[Range]:
        self._salvaging = [(number, partition) for number, table in self._made.items() for partition in table.counts]
        starts = [self._made[number].prefix(partition) for number, partition in self._salvaging]
        return [(start, _behind(start)) for start in starts]

    def _replace(self, found: list[Salvaged], reason: str) -> list[tuple[bytes, bytes | None]]:
        """The copy is about to be what the database has."""
        copied = list(zip(self._salvaging, found, strict=True))
        lost = {charged(number, partition): None for (number, partition), one in copied if not one.whole}
        self._on_lost(list(lost), f"its table cannot be read: {reason}")
        for table in self._made.values():
            table.forget_seen()
        has: dict[int, dict[int, int]] = {}
        for (number, partition), one in copied:
            has.setdefault(number, {})[partition] = one.rows
            if not one.whole:
                self._made[number].recount(partition, one.rows)
        return [(_EXTENT, _encode_extent(_Extent(VERSION, self.position, has)))]

    def _generation(self, end: Position) -> Iterator[tuple[bytes, bytes | None]]:
        """Made row by row in the thread that writes it."""
        for table in list(self._made.values()):
            for partition, changes in table.writing.items():
                prefix = table.prefix(partition)
                for key, value in changes.items():
                    yield prefix + key.encode(), value
        counts = {number: table.counts_written for number, table in list(self._made.items())}
        yield _EXTENT, _encode_extent(_Extent(VERSION, end, counts))


class DiskTable:
    """See `ports.RowTable`."""

    __slots__ = ("_fresh", "_number", "_rows", "_seen", "_seen_bytes", "_tables", "counts", "counts_written", "writing")

    def __init__(self, tables: DiskTables, rows: SortedRows, number: int, counts: dict[int, int]) -> None:
        self._tables = tables
        self._rows = rows
        self._number = number
        self._fresh: Changes = {}
        self._seen: dict[tuple[int, str], bytes | None] = {}
        self._seen_bytes = 0
        self.counts = counts
        """Rows, by partition."""
        self.counts_written: dict[int, int] = {}
        """The same with the generation that is being written, and without what came later."""
        self.writing: Changes = {}
        """The generation that is being written; it does not change any more."""

    @property
    def position(self) -> Position | None:
        """That of the database."""
        return self._tables.position

    def get(self, partition: int, key: str) -> bytes | None:
        """The value of a row."""
        for changes in (self._fresh, self.writing):
            of_partition = changes.get(partition)
            if of_partition is not None and key in of_partition:
                return of_partition[key]
        seen = self._seen
        if (partition, key) in seen:
            return seen[partition, key]
        try:
            value = self._rows.get(self.prefix(partition) + key.encode())
        except OSError as error:
            self._fresh.setdefault(partition, {})[key] = value = None  # so that it is reported once
            self._damage(partition, error)
        size = 0 if value is None else len(value)
        if self._seen_bytes + size <= SEEN_BYTES_MAX:
            seen[partition, key] = value
            self._seen_bytes += size + ROW_BYTES
        return value

    def put(self, partition: int, key: str, value: bytes | None) -> bytes | None:
        """Set a row, or with None remove it. Returns the value before."""
        assert 0 <= partition <= PARTITION_MAX, partition
        before = self.get(partition, key)
        of_partition = self._fresh.get(partition)
        if of_partition is None:
            of_partition = self._fresh[partition] = {}
        of_partition[key] = value
        size = len(key) + ROW_BYTES
        if value is not None:
            size += len(value)
        self._tables.fresh_bytes += size
        if (value is None) != (before is None):
            self.counts[partition] = self.counts.get(partition, 0) + (1 if before is None else -1)
        return before

    def load(self, partition: int, rows: dict[str, bytes]) -> None:
        """Set many rows."""
        for key, value in rows.items():
            self.put(partition, key, value)

    def keys(self, partition: int) -> list[str]:
        """From a scan of all of them."""
        keys, more = [""], True
        while more:
            page, more = self.scan(partition, keys[-1], KEYS_PAGE)
            keys += [key for key, _ in page]
        return keys[1:]

    def scan(
        self,
        partition: int,
        after: str,
        limit: int,
        *,
        prefix: str = "",
        bytes_max: int | None = None,
        passed: bool = True,
    ) -> Page:
        """A page of rows in the order of their keys: those of the database, and over them what is in memory."""
        start = self.prefix(partition)
        end = _behind(start + prefix.encode())
        while True:
            first = start + (prefix.encode() if prefix > after else after.encode() + b"\0")
            try:
                found, more = self._rows.page(first, end, limit, bytes_max)
            except OSError as error:
                found, more = [], False
                self._damage(partition, error)
            rows: dict[str, bytes | None] = {key[len(start) :].decode(): value for key, value in found}
            last = next(reversed(rows)) if more else None
            for changes in (self.writing, self._fresh):
                for key, value in changes.get(partition, {}).items():  # few: some megabytes of all partitions
                    if key > after and key.startswith(prefix) and (last is None or key <= last):
                        rows[key] = value
            page: list[tuple[str, bytes]] = []
            left = float("inf") if bytes_max is None else bytes_max
            for key in sorted(rows):
                value = rows[key]
                if value is None:
                    continue
                if len(page) == limit or left < 0:
                    return page, True
                page.append((key, value))
                left -= len(value)
            if page or last is None:
                return page, more
            after = last  # all of it was removed since

    def pass_over(self, partition: int, keys: Iterable[str]) -> None:
        """A listing meets them again: the database has one order."""

    def prepare(self, partition: int) -> bool:
        """Nothing to do: the database is in order."""
        return False

    def stat(self, partition: int) -> TableStat:
        """How much the partition holds; its bytes are not counted."""
        return TableStat(self.counts.get(partition, 0), 0)

    def partitions(self) -> list[int]:
        """Those that hold rows, or did."""
        return list(self.counts)

    def prefix(self, partition: int) -> bytes:
        """With what the database's keys of a partition begin."""
        return bytes((self._number + 1, partition >> 8, partition & 0xFF))

    def close_generation(self) -> None:
        """What was put so far is about to be written."""
        self.writing, self._fresh, self.counts_written = self._fresh, {}, dict(self.counts)

    def forget_seen(self) -> None:
        """The pass is over."""
        if self._seen:
            self._seen, self._seen_bytes = {}, 0

    def recount(self, partition: int, rows: int) -> None:
        """The database has so many rows of the partition, and not as many as it had: some cannot be read."""
        changes: dict[str, bytes | None] = {}
        for put, counts in ((self.writing, self.counts_written), (self._fresh, self.counts)):
            changes |= put.get(partition, {})
            counts[partition] = rows + sum(
                (value is not None) - self._can_read(partition, key) for key, value in changes.items()
            )

    def _can_read(self, partition: int, key: str) -> bool:
        try:
            return self._rows.get(self.prefix(partition) + key.encode()) is not None
        except OSError:
            return False

    def _damage(self, partition: int, error: OSError) -> None:
        self._tables.on_damage(charged(self._number, partition), f"its table cannot be read: {error}")
        self._tables.scrubber.mend(error.strerror or str(error))


def open_disk_tables(env: Env, generation_bytes: int) -> DiskTables:
    """The tables that lie in a node's directory; none when they are damaged beyond use, which are deleted then. Raises
    Damaged when the system cannot open them."""
    try:
        try:
            return DiskTables(env.open_sorted(FOLDER, False), env.clock, generation_bytes)
        except OSError as error:
            if error.errno != errno.EBADMSG:
                raise
            tables = DiskTables(env.open_sorted(FOLDER, True), env.clock, generation_bytes)
            tables.damaged = f"its table cannot be read: {error}"
            return tables
    except OSError as error:
        raise Damaged(f"{FOLDER} cannot be opened: {error}") from error


def charged(table: int, partition: int) -> int:
    """The partition that lacks something when rows of this one are lost."""
    return HINTS if table == TABLE_HINTS else partition


def _behind(prefix: bytes) -> bytes:
    """The first bytes behind all that begin with these."""
    return (int.from_bytes(prefix, "big") + 1).to_bytes(len(prefix), "big")
