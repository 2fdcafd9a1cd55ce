"""A table in memory: rows by partition and key, which can also be read in the order of their keys.

A put must not pay for order, so a new key is only noted; the sorted blocks of its partition are brought up to date by
whoever reads in order, some hundred keys at a time (`prepare`), so that a first reader need not stop the node.
Bisection finds the start of a page, so a page costs its own length and not the partition's. Deleted keys stay in the
blocks, and are passed over; they never outnumber what is there by more than a constant.
"""

import gc
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

from cluster.ports import Page, Position, RowTable, TableStat
from cluster.storage.record import PARTITION_MAX

BLOCK = 1024
"""Keys in a block, and up to twice as many: what is moved when one is inserted."""
CHUNK = 512
"""Keys that are sorted and merged in one step: 0.3 ms."""
CHUNK_SHARE = 16
"""With more keys than `CHUNK` times this, a step takes as large a part of them: each goes through all blocks, so that
steps of one length would cost the square of the keys."""
FEW_SHARE = 32
"""Up to this part of the keys are inserted one by one (two bisections and a move of memory each)."""
SPARE_MAX = 1024
"""Keys that may wait to be sorted, or are deleted and still listed, in a partition of any size."""


class MemoryTables:
    """See `ports.RowTables`: as many as are asked for, which live in the log alone."""

    def __init__(self) -> None:
        self.by_number: dict[int, RowTable] = {}

    def make(self, number: int) -> RowTable:
        """An empty one."""
        table = self.by_number[number] = MemoryTable()
        return table

    def refuses(self) -> str:
        """Nothing."""
        return ""

    def commit(self, end: Position) -> None:
        """The log has it, and nobody else needs it."""

    def close(self) -> None:
        """Nothing is held."""


class MemoryTable:
    """See `ports.RowTable`."""

    __slots__ = ("_partitions", "position")

    def __init__(self) -> None:
        self._partitions: dict[int, Rows] = {}
        self.position: Position | None = None

    def get(self, partition: int, key: str) -> bytes | None:
        """The value of a row."""
        rows = self._partitions.get(partition)
        return None if rows is None else rows.get(key)

    def put(self, partition: int, key: str, value: bytes | None) -> bytes | None:
        """Set a row, or with None remove it. Returns the value before."""
        rows = self._partitions.get(partition)
        if rows is None:
            assert 0 <= partition <= PARTITION_MAX, partition
            rows = self._partitions[partition] = Rows()
        if value is None:
            removed = rows.pop(key, None)
            if removed is not None:
                rows.size -= len(key) + len(removed)
            return removed
        before = rows.get(key)
        rows[key] = value
        if before is None:
            rows.size += len(key) + len(value)
            rows.added(key)
        else:
            rows.size += len(value) - len(before)
        return before

    def load(self, partition: int, rows: dict[str, bytes]) -> None:
        """Many rows at once, most of which are new: what a page of the log holds."""
        held = self._partitions.get(partition)
        if held is None:
            held = self._partitions[partition] = Rows()
        held.load(rows)

    def keys(self, partition: int) -> list[str]:
        """As they come."""
        return list(self._partitions.get(partition, ()))

    def scan(self, partition: int, after: str, limit: int, *, prefix: str = "", bytes_max: int | None = None) -> Page:
        """A page of rows in the order of their keys."""
        page: list[tuple[str, bytes]] = []
        rows = self._partitions.get(partition)
        if rows is None:
            return page, False
        size = 0
        for key in rows.after(after, prefix):
            if len(page) == limit or (bytes_max is not None and size > bytes_max):
                return page, True
            value = rows[key]
            page.append((key, value))
            size += len(value)
        return page, False

    def prepare(self, partition: int) -> bool:
        """A step of what the next `scan` would have to do first."""
        rows = self._partitions.get(partition)
        return rows is not None and rows.prepare()

    def stat(self, partition: int) -> TableStat:
        """How much the partition holds."""
        rows = self._partitions.get(partition)
        return TableStat(0, 0) if rows is None else TableStat(len(rows), rows.size)

    def partitions(self) -> list[int]:
        """Those that were ever put to."""
        return list(self._partitions)


class Rows(dict[str, bytes]):
    """Encoded values by key, of one partition. Whoever sets a key that is not here calls `added` with it, too, and
    whoever changes anything keeps `size`, the bytes of keys and values, true."""

    __slots__ = ("_blocks", "_fresh", "_listed", "size")

    def __init__(self) -> None:
        super().__init__()
        self.size = 0
        self._fresh: list[str] = []  # not in a block yet, in any order
        self._blocks: list[list[str]] = []  # sorted, as the keys in them; none is empty
        self._listed = 0  # keys in all blocks; some perhaps twice, or deleted again

    def added(self, key: str) -> None:
        """A key was set that was not here."""
        fresh = self._fresh
        fresh.append(key)
        if len(fresh) > SPARE_MAX and len(fresh) > 2 * len(self):
            self._begin_anew()  # written and deleted over and over, and nobody reads in order

    def load(self, rows: dict[str, bytes]) -> None:
        """Set many."""
        known = self.keys() & rows.keys()
        self.size += sum(map(len, rows.values())) - sum(len(self[key]) for key in known)
        fresh = [key for key in rows if key not in known] if known else list(rows)
        self.size += sum(map(len, fresh))
        self.update(rows)
        self._fresh += fresh

    def after(self, key: str, prefix: str = "") -> Iterator[str]:
        """The keys above `key` that begin with `prefix`, in order. No put meanwhile."""
        while self.prepare():
            pass
        blocks = self._blocks
        from_prefix = prefix > key
        start = prefix if from_prefix else key
        last = ""
        for number in range(bisect_left(blocks, start, key=_last), len(blocks)):
            block = blocks[number]
            at = bisect_left(block, start) if from_prefix else bisect_right(block, start)
            for position in range(at, len(block)):
                found = block[position]
                if not found.startswith(prefix):
                    return
                if found != last and found in self:
                    yield found
                    last = found

    def prepare(self) -> bool:
        """Put a few of the fresh keys into blocks; whether there are more."""
        if self._listed > 2 * len(self) + SPARE_MAX:
            self._begin_anew()
        fresh = self._fresh
        if not fresh:
            return False
        size = max(CHUNK, self._listed // CHUNK_SHARE)
        chunk = fresh[-size:]
        del fresh[-size:]
        self._listed += len(chunk)
        if len(chunk) * FEW_SHARE < self._listed:
            blocks = self._blocks
            for key in chunk:
                number = min(bisect_left(blocks, key, key=_last), len(blocks) - 1)
                insort(blocks[number], key)
                if len(blocks[number]) > 2 * BLOCK:
                    blocks[number : number + 1] = _cut(blocks[number])
        else:
            chunk.sort()
            self._merge(chunk)
            # Many young lists of keys would be gone through at once, which takes as long as there are keys.
            gc.collect(0)
        return bool(fresh)

    def _begin_anew(self) -> None:
        """Forget the order, and with it what was deleted."""
        self._blocks, self._listed, self._fresh = [], 0, list(self)

    def _merge(self, chunk: list[str]) -> None:
        """Each block takes its part of the sorted keys: two sorted runs, which Timsort merges in linear time."""
        made: list[list[str]] = []
        done = 0
        for number, block in enumerate(self._blocks):
            is_last = number == len(self._blocks) - 1
            end = len(chunk) if is_last else bisect_right(chunk, block[-1], done)
            if end > done:
                block += chunk[done:end]
                block.sort()
                made += _cut(block)
                done = end
            else:
                made.append(block)
        self._blocks = made or _cut(chunk)


def _last(block: list[str]) -> str:
    return block[-1]


def _cut(block: list[str]) -> list[list[str]]:
    """Blocks that are not too long."""
    if len(block) <= 2 * BLOCK:
        return [block]
    return [block[first : first + BLOCK] for first in range(0, len(block), BLOCK)]
