"""Fills a partition that lost data from its other owners, so that this node may vote on it again.

A recovering owner has voted on nothing. It copies the partition from N - W + 1 other owners that vote: every write
quorum of W has a member among them, so whatever was acknowledged is in the union. Pages are merged, never replaced.
"""

from collections.abc import Callable
from functools import partial

from cluster.errors import ClusterError
from cluster.ports import Outcome
from cluster.replication.context import ReplicationContext
from cluster.replication.mergeable import TABLE_HINTS
from cluster.wire.handshake import LANE_BACKGROUND
from cluster.wire.replication import Scan, Scanned

PAGE_BYTES = 64 * 1024
RETRY_S = 0.5
PARALLEL = 4
"""Partitions at a time: controlled parallelism, so that foreground traffic keeps its share."""


class Completing:
    """All partitions of one node that are recovering, a few at a time."""

    def __init__(self, context: ReplicationContext) -> None:
        self.context = context
        self._running: dict[int, None] = {}
        self._timer = False

    def start(self) -> None:
        """Completing what is recovering; again from time to time while something is."""
        self._timer = False
        status = self.context.status
        for partition in list(status.recovering):
            if len(self._running) >= PARALLEL:
                break
            if partition not in self._running and not self._sources_missing(partition):
                self._running[partition] = None
                PartitionCompleting(self.context, partition, self._sources(partition), self._ended).start()
        if status.recovering and not self._timer:
            self._timer = True
            self.context.env.clock.call_later(RETRY_S, self.start)

    def _needed(self, partition: int) -> int:
        owners = self.context.view.owners(partition)
        settings = self.context.settings
        return min(len(owners) - 1, len(owners) - min(settings.w, len(owners)) + 1)

    def _sources(self, partition: int) -> list[str]:
        owners = self.context.view.owners(partition)
        reachable = [name for name in owners if name != self.context.me and not self.context.avoided(name)]
        return reachable[: self._needed(partition)]

    def _sources_missing(self, partition: int) -> bool:
        return len(self._sources(partition)) < self._needed(partition)

    def _ended(self, partition: int, complete: bool) -> None:
        if complete:  # the vote waits until the rows that it rests on, and their release, are in the log
            self.context.store.complete(partition, partial(self._completed, partition))
        else:
            self._running.pop(partition, None)

    def _completed(self, partition: int, error: ClusterError | None) -> None:
        self._running.pop(partition, None)
        context = self.context
        if error is not None:
            return
        reason = context.status.recovering.pop(partition, "")
        context.record("owner.refilled", f"was recovering: {reason}", partition=partition)
        if not self._timer:
            self._timer = True
            context.env.clock.call_soon(self.start)


class PartitionCompleting:
    """One partition: every table of it, from each source in turn, page by page."""

    def __init__(
        self, context: ReplicationContext, partition: int, sources: list[str], ended: Callable[[int, bool], None]
    ) -> None:
        self.context = context
        self.partition = partition
        self.ended = ended
        self._left = [
            (source, table) for source in sources for table in sorted(context.mergeables) if table != TABLE_HINTS
        ]

    def start(self) -> None:
        """Begin with the first source."""
        self._ask("")

    def _ask(self, after: str) -> None:
        if not self._left:
            self.ended(self.partition, True)
            return
        source, table = self._left[0]
        deadline = self.context.env.clock.now() + self.context.settings.read_timeout_s
        body = Scan(table, self.partition, after, PAGE_BYTES)
        self.context.messenger.request([source], body, deadline, self._on_page, LANE_BACKGROUND)

    def _on_page(self, source: str, outcome: Outcome) -> None:
        if type(outcome) is not Scanned or not outcome.voting:
            self.ended(self.partition, False)
            return
        context = self.context
        _, table = self._left[0]
        for key, blob in outcome.rows:
            context.store.put(table, self.partition, key, context.merge_in(table, self.partition, key, blob), None)
        if not outcome.more:
            self._left.pop(0)
        self._ask(outcome.rows[-1][0] if outcome.more and outcome.rows else "")
