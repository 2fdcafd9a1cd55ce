"""Drops the rows of partitions that this node does not hold any more, a slice a pass, and no faster than the node's
throttle allows.

An entry of the chain took them away: their owners have all that was acknowledged. Hints stay, they belong to others.
Whatever is held again meanwhile, under a later entry, is left alone: it is completed anew. After a restart the rows
that are left are found again, so nothing has to be remembered.
"""

from collections.abc import Callable
from typing import Final

from cluster.layout import PARTITIONS
from cluster.replication.context import ReplicationContext
from cluster.replication.mergeable import TABLE_HINTS
from cluster.replication.throttle import LOOKED_AT_BYTES

SLICE_ROWS: Final = 128
REST_S: Final = 0.004
"""Between two slices, where there is nobody to give way to: some ten times what one takes."""


class Dropping:
    """One node's. `on_drop` is called before the first row of a partition goes: its actor must not go on, since what is
    dropped may hold writes of it that nobody else has."""

    def __init__(self, context: ReplicationContext, on_drop: Callable[[], None]) -> None:
        self.context = context
        self._on_drop = on_drop
        self._under_way: dict[int, None] = {}

    @property
    def left(self) -> int:
        """How many partitions are not dropped yet."""
        return len(self._under_way)

    def look(self) -> None:
        """The layout has changed, or the node has booted."""
        tables = [table for table in self.context.mergeables if table != TABLE_HINTS]
        for partition in range(PARTITIONS):
            if self._is_over(partition) or partition in self._under_way:
                continue
            if any(self.context.store.count(table, partition) for table in tables):
                if not self._under_way:
                    self._on_drop()
                    self.context.env.clock.call_soon(self._run, tables)
                self._under_way[partition] = None

    def _run(self, tables: list[int]) -> None:
        dropped = self._slice(next(iter(self._under_way)), tables)
        if self._under_way:
            rest_s = self.context.throttle.take(dropped * LOOKED_AT_BYTES)
            self.context.env.clock.call_later(max(REST_S, rest_s), self._run, tables)

    def _is_over(self, partition: int) -> bool:
        return self.context.view.holds(partition)

    def _slice(self, partition: int, tables: list[int]) -> int:
        """Returns how many rows it dropped; none when the partition is done with."""
        store = self.context.store
        if not self._is_over(partition) and not store.full:
            for table in tables:
                page, _ = store.scan(table, partition, "", SLICE_ROWS)
                for key, _blob in page:
                    store.put(table, partition, key, None, None)
                if page:
                    return len(page)
        del self._under_way[partition]
        if not self._under_way:
            self.context.record("partition.dropped", "what this node held of partitions that it no longer owns is gone")
        return 0
