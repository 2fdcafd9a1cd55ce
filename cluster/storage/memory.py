"""A table in memory: rows by partition and key, which can also be read in the order of their keys.

A put must not pay for order, so a new key is only noted; the sorted list of its partition is brought up to date by
whoever reads in order. Bisection finds the start of a page, so a page costs its own length and not the partition's.
Deleted keys stay in the list until it is next merged, and are passed over; they never outnumber what is there by more
than a constant.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from cluster.ports import Page, TableStat
from cluster.storage.record import PARTITION_MAX

INSERT_SHARE = 32
"""Up to this part of the keys are inserted one by one (a bisection and a move of memory each); more are sorted in."""
SPARE_MAX = 1024
"""Keys that may wait to be sorted, or are deleted and still listed, in a partition of any size."""


class MemoryTable:
    """See `ports.Table`."""

    __slots__ = ("_partitions",)

    def __init__(self) -> None:
        self._partitions: dict[int, Rows] = {}

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
            return rows.pop(key, None)
        before = rows.get(key)
        rows[key] = value
        if before is None:
            rows.added(key)
        return before

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

    def stat(self, partition: int) -> TableStat:
        """How much the partition holds."""
        return TableStat(len(self._partitions.get(partition, ())))

    def partitions(self) -> list[int]:
        """Those that were ever put to."""
        return list(self._partitions)


class Rows(dict[str, bytes]):
    """Encoded values by key, of one partition. Whoever sets a key that is not here calls `added` with it, too."""

    __slots__ = ("_fresh", "_ordered")

    def __init__(self) -> None:
        super().__init__()
        self._fresh: list[str] = []  # not in the sorted list yet, in any order; some perhaps twice, or deleted again
        self._ordered: list[str] = []

    def added(self, key: str) -> None:
        """A key was set that was not here."""
        fresh = self._fresh
        fresh.append(key)
        if len(fresh) > SPARE_MAX and len(fresh) > 2 * len(self):
            self._merge()  # written and deleted over and over, and nobody reads in order

    def after(self, key: str, prefix: str = "") -> Iterator[str]:
        """The keys above `key` that begin with `prefix`, in order. No put meanwhile."""
        ordered = self._up_to_date()
        at = bisect_left(ordered, prefix) if prefix > key else bisect_right(ordered, key)
        for position in range(at, len(ordered)):
            found = ordered[position]
            if not found.startswith(prefix):
                return
            if found in self:
                yield found

    def _up_to_date(self) -> list[str]:
        """All keys in order, and perhaps some that were deleted."""
        ordered, fresh = self._ordered, self._fresh
        if INSERT_SHARE * len(fresh) > len(ordered) + SPARE_MAX or len(ordered) > 2 * len(self) + SPARE_MAX:
            self._merge()
        elif fresh:
            for key in fresh:
                at = bisect_left(ordered, key)
                if at == len(ordered) or ordered[at] != key:
                    ordered.insert(at, key)
            fresh.clear()
        return self._ordered

    def _merge(self) -> None:
        """Two sorted runs, which Timsort merges in linear time; the dictionary drops what is there twice."""
        self._fresh.sort()
        together = self._ordered + self._fresh
        together.sort()
        self._ordered = [key for key in dict.fromkeys(together) if key in self]
        self._fresh = []
