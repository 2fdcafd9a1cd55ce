"""The store of one node: tables in memory over the log.

A put is visible at once and is written with all others of its loop pass (`Tick.write_log`), before anything is
acknowledged on the wire. Values are opaque encoded bytes; what they mean and how they merge is the owner's part.

Invariant: outside a pass the tables are what replaying the log gives. A batch that the disk refused is undone in
memory, newest change first, so that the tables never run ahead of the log.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from cluster.config import StorageSettings
from cluster.env import Env, Tick
from cluster.errors import Damaged, StorageFull
from cluster.storage.record import RELEASE, ROW, Record, Span, encode_release, encode_row
from cluster.storage.recovery import Recovery, Replay, Tables
from cluster.storage.segments import Done, SegmentLog, segment_path

PARTITION_MAX = 0xFFFF
TABLE_MAX = 0xFF
"""What the record header has room for."""


class Store:
    """Rows by (table, partition, key), durable as `settings.durability` says once `done(None)` was called.

    `on_fatal` hears of a failed sync, after which nothing is written or acknowledged: the process must end.
    `on_undone` is called when a refused batch has been undone, before its `done`s: versions that were minted for it may
    have left the node in a read, so their actor must not mint the same ones again.
    """

    def __init__(
        self,
        env: Env,
        tick: Tick,
        settings: StorageSettings,
        *,
        on_fatal: Callable[[OSError], None],
        on_undone: Callable[[], None] | None = None,
    ) -> None:
        self._env = env
        self._tick = tick
        self._on_undone = on_undone
        self._log = SegmentLog(env, settings, on_fatal=on_fatal, wake=tick.arm)
        self._tables: Tables = {}
        self._damage: dict[int, list[Span]] = {}
        # One staged batch, as lists in step with what uses them: the log, an undo, the acknowledgements.
        self._records: list[Record] = []
        self._changes: list[tuple[dict[Any, Any], Any, Any]] = []  # the dictionary, the key, the value before or None
        self._dones: list[Done] = []
        self._synced_dones: list[Done] = []  # those that a sync must come before
        self.quarantined: dict[int, str] = {}
        """Partitions that may lack rows, with the reason. They keep what is good and must cast no vote."""
        self.undone = 0
        """How many changes were undone since the boot."""
        tick.write_log = self._write

    def recover(self) -> Recovery:
        """Read the log and open it for writing; once, before any other call. Raises Damaged."""
        replay = Replay(self._env.disk)
        try:
            replay.run()
            self._log.open(replay.last_segment, replay.previous_bytes, sealed=replay.sealed)
        except OSError as error:
            raise Damaged(f"{segment_path(replay.last_segment)} cannot be opened for writing: {error}") from error
        self._tables = replay.tables
        for partition, spans in replay.damage():
            self._damage[partition] = list(spans)
            first, more = next(iter(spans.values())), len(spans) - 1
            self.quarantined[partition] = f"{first} (and {more} more)" if more else first
        return Recovery(replay.records, replay.bytes, replay.segments, replay.torn_bytes, dict(self.quarantined))

    def get(self, table: int, partition: int, key: str) -> bytes | None:
        """The row's value, staged ones included."""
        rows = self._tables.get((table, partition))
        return None if rows is None else rows.get(key)

    def put(self, table: int, partition: int, key: str, value: bytes | None, done: Done | None) -> None:
        """Set a row, or delete it with None. Visible at once; `done` hears when it is durable, or StorageFull."""
        payload = encode_row((key, value))
        rows = self._tables.get((table, partition))
        if rows is None:
            rows = self._make_rows(table, partition)
        self._changes.append((rows, key, rows.get(key)))
        if value is None:
            rows.pop(key, None)
        else:
            rows[key] = value
        records = self._records
        if not records:
            self._tick.arm()
        records.append((partition, table, ROW, payload))
        if done is not None:
            self._dones.append(done)

    def then(self, done: Done, *, synced: bool = False) -> None:
        """`done` as of a put, for all the puts that this pass has made: one call for many. `synced`: only once they are
        on the medium, whatever the settings promise, and without waiting for the next interval."""
        assert self._records, "nothing was put in this pass"
        (self._synced_dones if synced else self._dones).append(done)

    def rows(self, table: int, partition: int) -> Mapping[str, bytes]:
        """A live view of the rows, in the order of their first writes; do not put while iterating."""
        rows = self._tables.get((table, partition))
        return MappingProxyType(self._make_rows(table, partition) if rows is None else rows)

    def partitions(self, table: int) -> list[int]:
        """The partitions of the table that have rows, ascending."""
        return sorted(partition for (owner, partition), rows in self._tables.items() if owner == table and rows)

    def release(self, partition: int) -> None:
        """The partition has been refilled, by puts before this call: lift its quarantine, for later boots too."""
        reason = self.quarantined.pop(partition, None)
        if reason is None:
            return
        if not self._records:
            self._tick.arm()
        self._changes.append((self.quarantined, partition, reason))
        self._records.append((partition, 0, RELEASE, encode_release(self._damage[partition])))

    def close(self) -> None:
        """Release the files. What is staged or not yet synced stays unacknowledged."""
        self._log.close()

    def _make_rows(self, table: int, partition: int) -> dict[str, bytes]:
        assert 0 <= table <= TABLE_MAX and 0 <= partition <= PARTITION_MAX, (table, partition)
        rows: dict[str, bytes] = {}
        self._tables[table, partition] = rows
        return rows

    def _write(self) -> None:
        """The end of a pass: the staged batch goes to the log. While a full segment is synced it waits."""
        if not self._records or not self._log.ready():
            return
        records, changes, dones, synced_dones = self._records, self._changes, self._dones, self._synced_dones
        self._records, self._changes, self._dones, self._synced_dones = [], [], [], []
        try:
            self._log.append(records)
        except OSError as error:
            self._undo(changes, dones + synced_dones, error)
            return
        self._log.acknowledge(dones, synced_dones)

    def _undo(self, changes: list[tuple[dict[Any, Any], Any, Any]], dones: list[Done], error: OSError) -> None:
        for rows, key, before in reversed(changes):
            if before is None:
                rows.pop(key, None)
            else:
                rows[key] = before
        self.undone += len(changes)
        if self._on_undone is not None:
            self._on_undone()
        refusal = StorageFull(f"the log refused {len(changes)} changes: {error}")
        for done in dones:
            done(refusal)
