"""Delivers a mark: brings an owner all rows that the mark stands for and that it lacks, or has less of.

The holder of the mark is an owner itself. It offers its rows page by page, as keys with digests, and sends those that
the other asks for; what that one has alone is not its affair. The owner acknowledges what it has synced, as of any
hint. What is written meanwhile reaches it as any write does, or raises the mark again.
"""

from collections.abc import Callable
from typing import Final

from cluster.errors import ClusterError, Maybe
from cluster.limits import BATCH_BYTES_MAX
from cluster.ports import Outcome
from cluster.replication.context import ReplicationContext
from cluster.replication.hints import HintKey
from cluster.replication.throttle import LOOKED_AT_BYTES
from cluster.wire.handshake import LANE_BACKGROUND
from cluster.wire.replication import Offer, Offered, Replicate, Replicated

PAGE_ROWS: Final = 256
"""Keys and digests of so many rows are 15 KiB."""


class MarkDelivery:
    """One mark on its way; `ended` with why it is not delivered, or None."""

    def __init__(
        self, context: ReplicationContext, mark: HintKey, ended: Callable[[ClusterError | None], None]
    ) -> None:
        self.context = context
        self.mark = mark
        self.raised = context.hints.raised(mark)
        """How often it had been raised when its rows were looked at."""
        self.sent = 0
        """Rows that the owner lacked."""
        self._ended = ended
        self._after = ""
        self._more = True
        self._left = 0
        self._error: ClusterError | None = None

    def start(self) -> None:
        """Offer the next page."""
        context, mark = self.context, self.mark
        if not self._more:
            self._ended(None)
            return
        page, self._more = context.store.scan(
            mark.table, mark.partition, self._after, PAGE_ROWS, prefix=mark.key, bytes_max=BATCH_BYTES_MAX
        )
        if not page:
            self._ended(None)
            return
        self._after = page[-1][0]
        digest = context.mergeables[mark.table].digest
        body = Offer(mark.table, mark.partition, [(key, digest(blob)) for key, blob in page])

        def answered(target: str, outcome: Outcome) -> None:
            if type(outcome) is Offered:
                self._send([page[place] for place in outcome.lacking if 0 <= place < len(page)])
            else:
                self._ended(self._error_of(outcome))

        self._request(body, answered)

    def _send(self, rows: list[tuple[str, bytes]]) -> None:
        mark = self.mark
        self.sent += len(rows)
        size = sum(len(key) + len(blob) for key, blob in rows)
        rest_s = self.context.throttle.take(size + PAGE_ROWS * LOOKED_AT_BYTES)
        self._left = len(rows)
        if not rows:
            self._next(rest_s)

        def answered(target: str, outcome: Outcome) -> None:
            self._left -= 1
            if type(outcome) is not Replicated:
                self._error = self._error_of(outcome)
            if not self._left:
                self._next(rest_s)

        for key, blob in rows:
            self._request(Replicate(mark.table, mark.partition, key, blob, synced=True), answered)

    def _next(self, rest_s: float) -> None:
        if self._error is not None:
            self._ended(self._error)
        elif rest_s > 0:
            self.context.env.clock.call_later(rest_s, self.start)
        else:
            self.start()

    def _request(self, body: Offer | Replicate, answered: Callable[[str, Outcome], None]) -> None:
        deadline = self.context.env.clock.now() + self.context.settings.write_timeout_s
        self.context.messenger.request([self.mark.target], body, deadline, answered, LANE_BACKGROUND)

    def _error_of(self, outcome: Outcome) -> ClusterError:
        return outcome if isinstance(outcome, ClusterError) else Maybe(f"{self.mark.target} answered out of turn")
