"""The writes of this node that ended as `maybe`, by operation id, so that their clients can try them again.

Only a `maybe` is ever tried again, and only where it was coordinated, so nothing is kept of the other writes: their
operation ids stand beside their values. An entry is a row of the log, there before the client is told, and small; the
oldest goes when there are too many. Rows stay on this node, and are in no partition's hand-off.
"""

from hashlib import blake2b
from typing import Final

import msgspec

from cluster.layout import PARTITIONS
from cluster.storage import Store
from cluster.versions import Actor, Dot, Sibling

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

    def recover(self) -> None:
        """Read what the log brought back."""
        for partition in range(PARTITIONS):
            after, more = "", True
            while more:
                page, more = self._store.scan(TABLE_OPERATIONS, partition, after, _PAGE)
                for after, blob in page:
                    self._rows[after] = partition, msgspec.msgpack.decode(blob, type=MaybeRow)

    def remember(self, operation: str, partition: int, key: str, written: Sibling) -> None:
        """The write ends as `maybe`."""
        row = MaybeRow(key, *written.dot, written.stamp, digest_of(written.value, written.deleted))
        self._rows[operation] = partition, row
        self._store.put(TABLE_OPERATIONS, partition, operation, msgspec.msgpack.encode(row), None)
        if len(self._rows) > MAYBES_MAX:
            oldest = next(iter(self._rows))
            self._store.put(TABLE_OPERATIONS, self._rows.pop(oldest)[0], oldest, None, None)

    def find(self, operation: str, key: str) -> MaybeRow | None:
        """What an operation that ended as `maybe` wrote; None for one that this node does not remember."""
        _, row = self._rows.get(operation, (0, None))
        return row if row is not None and row.key == key else None


def digest_of(value: bytes, deleted: bool) -> bytes:
    """Eight bytes that differ, for all practical purposes, when values do."""
    return b"" if deleted else blake2b(value, digest_size=8).digest()
