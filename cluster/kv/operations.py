"""The writes of this node that ended as `maybe`, by operation id, so that their clients can try them again.

Only a `maybe` is ever tried again, and only where it was coordinated, so nothing is kept of the other writes: their
operation ids stand beside their values. An entry is a row of the log, there before the client is told, and small; the
oldest goes when there are too many. Rows stay on this node, and are in no partition's hand-off.
"""

from hashlib import blake2b
from typing import Final

import msgspec

from cluster.layout import PARTITIONS
from cluster.replication.quorum import MAYBE
from cluster.storage import Store
from cluster.versions import Actor, Dot
from cluster.wire.kv import Update

TABLE_OPERATIONS: Final = 2
MAYBES_MAX: Final = 4096
"""A node that writes into silence for a second at full speed has a few thousand; 1 MB with the longest keys and ids."""
_PAGE: Final = 1024


class MaybeRow(msgspec.Struct, frozen=True, array_like=True):
    """What an operation wrote: which key, as which event, when, and a digest of what."""

    key: str
    actor: Actor
    number: int
    stamp: int = 0
    digest: bytes = b""

    @property
    def dot(self) -> Dot:
        """The event."""
        return self.actor, self.number


class Operations:
    """What is remembered of operations."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows: dict[str, tuple[int, MaybeRow]] = {}
        self._recent: dict[str, MaybeRow] = {}

    def recover(self) -> None:
        """Read what the log brought back."""
        for partition in range(PARTITIONS):
            after, more = "", True
            while more:
                page, more = self._store.scan(TABLE_OPERATIONS, partition, after, _PAGE)
                for after, blob in page:
                    self._rows[after] = partition, msgspec.msgpack.decode(blob, type=MaybeRow)

    def remember(self, operation: str, partition: int, row: MaybeRow) -> None:
        """The write ends as `maybe`."""
        self._rows[operation] = partition, row
        self._store.put(TABLE_OPERATIONS, partition, operation, msgspec.msgpack.encode(row), None)
        if len(self._rows) > MAYBES_MAX:
            oldest = next(iter(self._rows))
            self._store.put(TABLE_OPERATIONS, self._rows.pop(oldest)[0], oldest, None, None)

    def ended(self, operation: str, partition: int, row: MaybeRow, outcome: str) -> None:
        """A write of a cell was not refused. The cell has no place for its id, so a client that never heard how it
        ended finds it here, as long as this node runs. Not before: of what was refused no later event may be taken as
        a proof that it is there."""
        if outcome == MAYBE:
            self.remember(operation, partition, row)
            return
        self._recent[operation] = row
        if len(self._recent) > MAYBES_MAX:
            del self._recent[next(iter(self._recent))]

    def find(self, operation: str, key: str) -> MaybeRow | None:
        """What an operation wrote that ended as `maybe`, or an update of late; None for one that this node does not
        remember."""
        _, row = self._rows.get(operation, (0, self._recent.get(operation)))
        return row if row is not None and row.key == key else None


def digest_of(value: bytes, deleted: bool) -> bytes:
    """Eight bytes that differ, for all practical purposes, when values do."""
    return b"" if deleted else blake2b(value, digest_size=8).digest()


def update_row(update: Update, dot: Dot) -> MaybeRow:
    """What is remembered of an update."""
    return MaybeRow(update.key, *dot, digest=digest_of(msgspec.msgpack.encode(update.change), False))
