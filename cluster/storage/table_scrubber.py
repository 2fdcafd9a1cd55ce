"""The scrubber of tables that outlive the log: verifies their rows on the medium, slowly, and replaces what is damaged.

It does to the files of the database what `scrubber` does to the log. A damaged block there took rows, though: no log
has them any more, and what is in memory is only what was written last. So all that can be read is copied into a
database of its own; the partitions that lack something are noted as lost, on the medium; and then the copy takes the
place of what was damaged (what stays in the way of the next merge would else fail each write). In this order no crash
leaves a partition that denies what it lost.
"""

import errno
from collections.abc import Callable
from functools import partial

from cluster.env import Clock, Salvaged, SortedRows
from cluster.errors import StorageFull
from cluster.storage.scrubber import REST_S, ROUND_S

MEND_RETRY_S = 60.0
"""When there was no room for a copy."""

Range = tuple[bytes, bytes]


class TableScrubber:
    """Of one database. `ranges` gives the keys of each partition of each table; `replace` is given, of each of these,
    what was read, and what was wrong. It has noted what is lost when it returns, and gives the rows that the copy needs
    beside those; it may raise StorageFull."""

    def __init__(
        self,
        clock: Clock,
        rows: SortedRows,
        ranges: Callable[[], list[Range]],
        replace: Callable[[list[Salvaged], str], list[tuple[bytes, bytes | None]]],
    ) -> None:
        self._clock = clock
        self._rows = rows
        self._ranges = ranges
        self._replace = replace
        self._mending = ""
        self.stopped = True
        self.rounds = 0
        self.damaged = 0
        """How often rows were replaced, since the boot."""

    def start(self) -> None:
        """Begin at once: unlike the log, the tables were not read by the boot."""
        self.stopped = False
        self._go_on(b"")

    def stop(self) -> None:
        """Verify no more."""
        self.stopped = True

    def mend(self, reason: str) -> None:
        """Something cannot be read, whoever found it."""
        if self._mending or self.stopped:
            return
        self._mending = reason
        self._salvage()

    def _go_on(self, cursor: bytes) -> None:
        if self.stopped:
            return
        if self._mending:  # other files by then
            self._clock.call_later(ROUND_S, self._go_on, b"")
        else:
            self._rows.verify(cursor, partial(self._verified, cursor))

    def _verified(self, cursor: bytes, found: bytes | OSError) -> None:
        rest_s = ROUND_S
        if not isinstance(found, OSError):
            cursor = found
            if cursor:
                rest_s = REST_S
            else:
                self.rounds += 1
        elif found.errno == errno.EAGAIN:
            rest_s = REST_S
        else:
            self.mend(found.strerror or str(found))
            cursor = b""
        self._clock.call_later(rest_s, self._go_on, cursor)

    def _salvage(self) -> None:
        if not self.stopped:
            self._rows.salvage(self._ranges(), self._salvaged)

    def _salvaged(self, found: list[Salvaged] | OSError) -> None:
        if self.stopped:
            return
        try:
            if isinstance(found, OSError):
                raise found
            self._rows.switch(self._replace(found, self._mending))
        except (OSError, StorageFull):
            self._rows.abandon()
            self._clock.call_later(MEND_RETRY_S, self._salvage)
            return
        self._mending = ""
        self.damaged += 1
