"""A table in memory: rows by partition and key, which can also be read in the order of their keys; see `KeyOrder`.

Rows that a listing passed over, because they show nothing (tombstones), are in an order of their own, so that the next
one does not meet them again: a page costs its own length, however many keys were deleted.
"""

from collections.abc import Iterable
from heapq import merge

from cluster.ports import Page, Position, RowTable, TableStat
from cluster.storage.order import KeyOrder
from cluster.storage.record import PARTITION_MAX

SPARE_MAX = 1024
"""Keys that may wait to be sorted, or are gone and still in order, in a partition of any size."""


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

    def status(self) -> dict[str, int]:
        """Nothing: they live in the log."""
        return {}

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
                rows.passed.discard(key)
            return removed
        before = rows.get(key)
        rows[key] = value
        if before is None:
            rows.size += len(key) + len(value)
            rows.added(key)
        else:
            rows.size += len(value) - len(before)
            if key in rows.passed:
                rows.passed.remove(key)
                rows.added(key)
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
        """A page of rows in the order of their keys."""
        rows = self._partitions.get(partition)
        return ([], False) if rows is None else rows.page(after, limit, prefix, bytes_max, passed)

    def pass_over(self, partition: int, keys: Iterable[str]) -> None:
        """These show nothing: a scan without those that were passed over leaves them out, until they are set again."""
        if (rows := self._partitions.get(partition)) is not None:
            rows.pass_over(keys)

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

    __slots__ = ("_order", "_passed_order", "passed", "size")

    def __init__(self) -> None:
        super().__init__()
        self.size = 0
        self.passed: set[str] = set()
        """Keys that were passed over, and not set since."""
        self._order = KeyOrder()
        self._passed_order = KeyOrder()

    def added(self, key: str) -> None:
        """A key was set that was not here, or was passed over."""
        fresh = self._order.fresh
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
        self._order.fresh += fresh

    def prepare(self) -> bool:
        """Put a few keys in order; whether there are more."""
        if self._order.length > 2 * (len(self) - len(self.passed)) + SPARE_MAX:
            self._begin_anew()
        if self._passed_order.length > 2 * len(self.passed) + SPARE_MAX:
            self._passed_order = KeyOrder(self.passed)
        return self._order.prepare() or self._passed_order.prepare()

    def page(self, after: str, limit: int, prefix: str, bytes_max: int | None, passed: bool) -> Page:
        """See `ports.RowTable.scan`."""
        while self.prepare():
            pass
        keys = self._order.after(after, prefix)
        if passed and self.passed:
            keys = merge(keys, self._passed_order.after(after, prefix))
        page: list[tuple[str, bytes]] = []
        gone: list[str] = []
        size, last, more = 0, "", False
        for key in keys:
            value = self.get(key)
            if value is None or (not passed and key in self.passed):
                gone.append(key)
            elif key != last:
                if len(page) == limit or (bytes_max is not None and size > bytes_max):
                    more = True
                    break
                page.append((key, value))
                size += len(value)
                last = key
        self._order.discard(gone)
        return page, more

    def pass_over(self, keys: Iterable[str]) -> None:
        """Keep these apart until they are set again."""
        apart = [key for key in keys if key in self and key not in self.passed]
        self._order.discard(apart)
        self._passed_order.fresh += apart
        self.passed.update(apart)

    def _begin_anew(self) -> None:
        """Forget the order, and with it what is gone."""
        self._order = KeyOrder(key for key in self if key not in self.passed)
