"""Copies the rows of a partition from one node to another, page by page, and not those that are there already.

The receiver asks, so that it never gets more than it can take, and a page behind: the next is on its way while one is
merged. With each question it sends digests of the rows that it has next, and gets what differs; so a second source
costs little, and neither does going on after either side was killed: what was received is on the disk, and what is on
the disk is not sent again. Both sides take what is moved from their `Throttle`; the giver says with its answer for how
long it wants to be left alone.

A receiver that lost data may have brought back what was deleted, and collected since (`collection`). A source that
lacks nothing shows that: it has not what the stable clock covers. So the receiver notes which of its rows the source
has not, or has less of, and drops of them what is settled.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from cluster.errors import ClusterError, Unreachable, Usage
from cluster.layout import PARTITIONS
from cluster.ports import Inbound, Outcome
from cluster.replication.collection import NOTHING_SETTLED
from cluster.replication.context import ReplicationContext
from cluster.replication.digests import row_sum
from cluster.replication.mergeable import TABLE_HINTS, TABLE_STABLE
from cluster.replication.throttle import LOOKED_AT_BYTES
from cluster.wire.handshake import LANE_BACKGROUND
from cluster.wire.replication import Scan, Scanned

PAGE_BYTES: Final = 32 * 1024
"""Costs the giver and the receiver a millisecond or less."""
PAGE_ROWS: Final = 128
"""Rows that are looked at for a page, whether they are sent or not."""
LOOKED_AT_PAGES: Final = 16
"""Of large rows fewer: their bytes have to be hashed."""
DIGEST_BYTES: Final = 8


@dataclass
class ReceivedRows:
    """What was received of partitions that lacked something."""

    bytes: int = 0
    rows: int = 0
    partitions: int = 0
    """Those that are complete again."""


class RowGiver:
    """Answers the questions of receivers."""

    def __init__(self, context: ReplicationContext) -> None:
        self.context = context

    def on_scan(self, inbound: Inbound) -> None:
        """A page of a partition, in the order of keys, without the rows that the receiver has."""
        context = self.context
        body: Scan = inbound.body
        if body.table not in context.mergeables or not 0 <= body.partition < PARTITIONS:
            inbound.fail(Usage(f"no table {body.table} or partition {body.partition}"))
            return
        if not body.bytes_max:
            inbound.reply(Scanned([], "", False, context.status.complete(body.partition), 0.0))
            return
        known = {digest: place for place, digest in enumerate(digests_in(body.known))}
        same = bytearray((len(known) + 7) // 8)
        limit = LOOKED_AT_PAGES * body.bytes_max if known else body.bytes_max
        page, more = context.store.scan(body.table, body.partition, body.after, PAGE_ROWS, bytes_max=limit)
        digest = context.mergeables[body.table].digest
        rows: list[tuple[str, bytes]] = []
        size = looked_at = 0
        for key, blob in page:
            place = known.get(row_digest(body.table, key, digest(blob))) if known else None
            if place is not None:
                same[place // 8] |= 1 << place % 8
            else:
                if rows and size + len(blob) > body.bytes_max:  # a large object has a page of its own
                    more = True
                    break
                rows.append((key, blob))
                size += len(key) + len(blob)
            looked_at += 1
        after = page[looked_at - 1][0] if page else ""
        rest_s = context.throttle.take(size + LOOKED_AT_BYTES * looked_at)
        inbound.reply(Scanned(rows, after, more, context.status.complete(body.partition), rest_s, bytes(same)))


def row_digest(table: int, key: str, digest: bytes) -> bytes:
    """Of a row and its key, as receivers send it."""
    return row_sum(table, key, digest).to_bytes(DIGEST_BYTES, "big")


def digests_in(packed: bytes) -> list[bytes]:
    """One by one."""
    return [packed[at : at + DIGEST_BYTES] for at in range(0, len(packed), DIGEST_BYTES)]


class RowReceiver:
    """One node's receiving: merges the pages that have come one a pass, and counts."""

    def __init__(self, context: ReplicationContext) -> None:
        self.context = context
        self.moved = ReceivedRows()
        self._waiting: deque[Callable[[], None]] = deque()

    def later(self, work: Callable[[], None]) -> None:
        """Do this in a pass of its own, after what is there already."""
        self._waiting.append(work)
        if len(self._waiting) == 1:
            self.context.env.clock.call_soon(self._run)

    def _run(self) -> None:
        self._waiting[0]()
        self._waiting.popleft()
        if self._waiting:
            self.context.env.clock.call_soon(self._run)


class PartitionScan:
    """All tables of one partition from one source. `ended` with whether the source was complete all the time, or None
    when the scan does not count. With pages of 0 bytes it asks only that."""

    def __init__(
        self,
        receiver: RowReceiver,
        partition: int,
        source: str,
        page_bytes: int,
        ended: Callable[[bool | None], None],
        informed: bool = False,
    ) -> None:
        """`informed`: a source that lacks nothing was merged before."""
        self.receiver = receiver
        self.context = receiver.context
        self.partition = partition
        self.source = source
        self.page_bytes = page_bytes
        self.ended = ended
        self.informed = informed
        self._doubtful: dict[tuple[int, str], bytes | None] = {}
        """Rows of this node that the source has not, or has less of: then what it has."""
        # What a stable clock covers may be gone by the time it is read, so it comes behind all rows.
        self._tables = [table for table in sorted(self.context.mergeables) if table not in (TABLE_HINTS, TABLE_STABLE)]
        self._tables.append(TABLE_STABLE)
        self._complete = True
        self._asked_all = False
        """Nothing is left to be asked for."""
        self._unkept = 0
        """Pages that have come and are not on the disk."""
        self._over = False
        self.error = ""
        """Why the scan does not count."""

    def start(self) -> None:
        """Ask for the first page."""
        self._ask("")

    def _ask(self, after: str) -> None:
        if self._over:
            return
        context, table = self.context, self._tables[0]
        known, asked = b"", []
        if self.page_bytes:
            digest = context.mergeables[table].digest
            limit = LOOKED_AT_PAGES * self.page_bytes
            held, _ = context.store.scan(table, self.partition, after, PAGE_ROWS, bytes_max=limit)
            known = b"".join(row_digest(table, key, digest(blob)) for key, blob in held)
            asked = [key for key, _blob in held]
        deadline = context.env.clock.now() + context.settings.read_timeout_s
        body = Scan(table, self.partition, after, self.page_bytes, known)
        answered = partial(self._on_page, after, asked)
        context.messenger.request([self.source], body, deadline, answered, LANE_BACKGROUND)

    def _on_page(self, after: str, asked: list[str], source: str, outcome: Outcome) -> None:
        if self._over:
            return
        if type(outcome) is not Scanned:
            if isinstance(outcome, Unreachable):  # a late page says little: giving is what waits for everything else
                self.context.reach.failed(source)
            self._end(None, str(outcome))
            return
        self._complete = self._complete and outcome.complete
        if not self.page_bytes:
            self._end(self._complete)
            return
        table, rows = self._tables[0], outcome.rows
        size = sum(len(key) + len(blob) for key, blob in rows)
        moved = self.receiver.moved
        moved.bytes += size
        moved.rows += len(rows)
        rest_s = max(outcome.rest_s, self.context.throttle.take(size))
        self._unkept += 1
        self._doubt(table, after, asked, outcome)
        self.receiver.later(lambda: self._keep(table, rows))
        self._ask_next(outcome, rest_s)

    def _doubt(self, table: int, after: str, asked: list[str], page: Scanned) -> None:
        """Note the rows of this node that the source has not, as far as the page goes."""
        theirs = {key for key, _blob in page.rows}
        same = page.same.ljust(len(asked) // 8 + 1, b"\0")
        theirs.update(key for place, key in enumerate(asked) if same[place // 8] >> place % 8 & 1)
        more = True
        while more:
            rows, more = self.context.store.scan(table, self.partition, after, PAGE_ROWS)
            for key, _blob in rows:
                if page.more and key > page.after:
                    return
                if key not in theirs:
                    self._doubtful[table, key] = None
                after = key

    def _ask_next(self, page: Scanned, rest_s: float) -> None:
        if not page.more:
            self._tables.pop(0)
        if not self._tables:
            self._asked_all = True
        elif rest_s > 0:
            self.context.env.clock.call_later(rest_s, self._ask, page.after if page.more else "")
        else:
            self._ask(page.after if page.more else "")

    def _keep(self, table: int, rows: list[tuple[str, bytes]]) -> None:
        """Merge the rows; the scan ends once they are as durable as the cluster promises. A row that cannot be merged
        is named and left out: it holds up no other."""
        context, kept = self.context, False
        if not context.view.holds(self.partition):  # taken back meanwhile: nobody would drop them again
            self._end(None, "this node is not to hold the partition any more")
            return
        stable = context.stable_clock(self.partition) if self.informed else NOTHING_SETTLED
        for key, blob in rows:
            try:
                mergeable = context.check_place(table, self.partition, key)
                mergeable.check(blob)
                held = context.store.get(table, self.partition, key)
                if held is None and not mergeable.wanted(blob, key):
                    continue
                news = mergeable.unsettled(blob, key, held, stable) if stable else blob
                if news is None:
                    continue
                merged = context.merge_in(table, self.partition, key, news)
            except ClusterError as error:
                context.record("owner.bad-row", error.message, key=key, source=self.source)
            else:
                context.store.put(table, self.partition, key, merged, None)
                kept = True
                if merged != blob:
                    self._doubtful[table, key] = blob
        if kept:
            context.store.then(self._kept)
        else:
            self._kept(None)

    def _kept(self, error: ClusterError | None) -> None:
        self._unkept -= 1
        if error is not None:
            self._end(None, error.message)
        elif self._asked_all and not self._unkept:
            self._drop_old(None)

    def _drop_old(self, error: ClusterError | None) -> None:
        """What is settled, and a source that lacks nothing has not, was deleted and collected: the loss has brought it
        back. The stable clock has come last, behind the rows."""
        context, stable = self.context, self.context.stable_clock(self.partition)
        if error is not None:
            self._end(None, error.message)
            return
        changed = False
        while self._doubtful and self._complete and stable and not changed:
            for row in list(self._doubtful)[:PAGE_ROWS]:
                theirs, (table, key) = self._doubtful.pop(row), row
                held = context.store.get(table, self.partition, key)
                left = None if held is None else context.mergeables[table].unsettled(held, key, theirs, stable)
                if left != held:
                    context.store.put(table, self.partition, key, left, None)
                    changed = True
        if changed:
            context.store.then(self._drop_old)
        else:
            self._end(self._complete)

    def _end(self, complete: bool | None, error: str = "") -> None:
        if not self._over:
            self._over = True
            self.error = error
            self.ended(complete)
