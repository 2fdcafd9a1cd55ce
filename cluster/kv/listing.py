"""Listing keys: one page out of many partitions, in order, in slices.

Keys are spread over the partitions by their hash, so every page is merged from all of them: each gives its next few
rows, and the heap says which partition's key is next. A page costs its own length and a bisection a partition, however
many keys there are. Deleted keys that were not collected yet come on top once: whoever meets one first has it passed
over from then on. So a page may end before it is full, and says up to where it looked.
"""

from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heapreplace

from cluster.env import Clock
from cluster.errors import ClusterError, DeadlinePassed
from cluster.replication.mergeable import TABLE_KV, Mergeable
from cluster.storage import Store

LISTINGS_MAX = 64
"""Of one node at a time; they share one slice a pass, so more would only make all of them late."""
SLICE_S = 0.000_3
"""An operation that passes five nodes' loops meets as many slices: this is what a listing may add to it, each time."""
SLICE_STEPS = 64
"""Rows and partitions looked at in a slice, whatever the clock says."""
AHEAD_MIN = 4
"""Rows asked of a partition at a time."""
PAGE_S = 0.25
PAGE_ROWS_MAX = 8192
"""What has looked through so many rows, or for so long, answers with what it has found: its client goes on if it wants
more, and nobody waits to the end of a deadline for a page full of deleted keys."""
PAGE_ROWS_MIN = 64
"""As few are always looked through, so that each page gets on."""

Listed = Callable[[list[str], str, ClusterError | None], None]
"""(keys, up to where it looked, None), with "" for all of it; or ([], "", why not); once."""


class Cursor:
    """One partition: its rows ahead, and where to go on behind them."""

    __slots__ = ("after", "at", "hidden", "more", "partition", "rows")

    def __init__(self, partition: int, after: str) -> None:
        self.partition = partition
        self.after = after
        self.rows: list[tuple[str, bytes]] = []
        self.at = 0
        self.more = True
        self.hidden: list[str] = []
        """Deleted keys that it has met."""


class Listing:
    """One page. `step` is its slice; see `Slices`."""

    def __init__(
        self,
        store: Store,
        objects: Mergeable,
        clock: Clock,
        partitions: Sequence[int],
        after: str,
        prefix: str,
        limit: int,
        deadline: float,
        done: Listed,
    ) -> None:
        self._store = store
        self._objects = objects
        self._clock = clock
        self._prefix = prefix
        self._limit = limit
        self._deadline = deadline
        self._done = done
        self._ahead = AHEAD_MIN + limit // max(1, len(partitions))
        self._unopened = [Cursor(partition, after) for partition in reversed(partitions)]
        self._heap: list[tuple[str, int, Cursor]] = []
        self._found: list[str] = []
        self._looked = 0
        self._last = ""
        self._ends_at = min(deadline, clock.now() + PAGE_S)
        self._cancelled = False

    def cancel(self) -> None:
        """Nobody waits for the page any more."""
        self._cancelled = True

    def step(self) -> bool:
        """Look at a few partitions, or rows; whether there is more to do."""
        if self._cancelled:
            return False
        started = self._clock.now()
        if started >= self._deadline:
            self._done([], "", DeadlinePassed("the listing took longer than its client waits"))
            return False
        for _ in range(SLICE_STEPS):
            if not (self._open() if self._unopened else self._advance()):
                page = self._found[: self._limit]
                return self._end(page, page[-1] if len(self._found) > self._limit else "")
            now = self._clock.now()
            if now - started > SLICE_S:
                break
        if self._looked >= PAGE_ROWS_MAX or (self._looked >= PAGE_ROWS_MIN and now >= self._ends_at):
            return self._end(self._found, self._last)
        return True

    def _end(self, page: list[str], after: str) -> bool:
        for _, _, cursor in self._heap:
            self._pass_over(cursor)
        self._done(page, after, None)
        return False

    def _pass_over(self, cursor: Cursor) -> None:
        """The next listing does not look at these again."""
        if cursor.hidden:
            self._store.pass_over(TABLE_KV, cursor.partition, cursor.hidden)
            cursor.hidden = []

    def _open(self) -> bool:
        cursor = self._unopened[-1]
        if self._store.prepare(TABLE_KV, cursor.partition):
            return True
        self._unopened.pop()
        if self._fill(cursor):
            self._heap.append((cursor.rows[0][0], cursor.partition, cursor))
        if not self._unopened:
            heapify(self._heap)
        return True

    def _advance(self) -> bool:
        """Take the least key of all; whether the page needs another."""
        if not self._heap:
            return False
        key, _, cursor = self._heap[0]
        row = cursor.rows[cursor.at][1]
        if self._objects.shows(row, key):
            self._found.append(key)
        elif self._objects.is_deleted(row, key):  # else it shows nothing at this time
            cursor.hidden.append(key)
        self._looked += 1
        self._last = key
        cursor.at += 1
        if cursor.at < len(cursor.rows) or self._fill(cursor):
            heapreplace(self._heap, (cursor.rows[cursor.at][0], cursor.partition, cursor))
        else:
            heappop(self._heap)
        return len(self._found) <= self._limit

    def _fill(self, cursor: Cursor) -> bool:
        """Fetch the partition's next rows; whether there are any."""
        self._pass_over(cursor)
        if not cursor.more:
            return False
        cursor.rows, cursor.more = self._store.scan(
            TABLE_KV, cursor.partition, cursor.after, self._ahead, prefix=self._prefix, passed=False
        )
        cursor.at = 0
        if cursor.rows:
            cursor.after = cursor.rows[-1][0]
        return bool(cursor.rows)
