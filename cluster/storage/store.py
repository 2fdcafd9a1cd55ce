"""The store of one node: tables in memory over the log, and what the node has lost.

A put is staged at once and written with all others of its loop pass (`OutputTick.write_log`), before anything is
acknowledged or sent. Values are opaque encoded bytes; what they mean and how they merge is the owner's part.

Invariant: outside a pass the tables are what replaying the log gives. A batch that the disk refused is undone in
memory, newest change first, so that the tables never run ahead of the log; and readers (`logged`, `scan`) are shown
what the log holds, never what is only staged.

A partition that may lack rows is in `recovering`, on the disk before anybody is told, and through any number of boots,
until `complete`. Hint records that were lost are noted likewise, apart from the rows.
"""

import gc
from collections import Counter
from collections.abc import Callable, Iterable
from errno import ENOSPC

from cluster.config import Durability, StorageSettings
from cluster.env import Env, OutputTick
from cluster.errors import Damaged, StorageFull
from cluster.ports import Page, Recorder, RowTables
from cluster.storage.checkpoints import Checkpoints
from cluster.storage.identity import Boot
from cluster.storage.memory import MemoryTables
from cluster.storage.record import LOSS, RELEASE, ROW, TABLE_MAX, Record, Span, encode_loss, encode_release, encode_row
from cluster.storage.recovery import HINTS, Recovery, Replay
from cluster.storage.scrubber import Scrubber
from cluster.storage.segments import Done, SegmentLog, segment_path

Change = tuple[int, int, str, bytes | None]
"""Table, partition, key, and the value before."""

ROOM_PROBE_S = 1.0
ROOM_PROBE: Record = (HINTS, 0, RELEASE, encode_release([(0, 0, 0)] * 256))
"""Releases what was never lost. About a kibibyte, so that what a refused batch left over is not taken for room."""


def _unheard(kind: str, cause: str, **fields: object) -> None:
    """Nobody asks."""


class Store:
    """Rows by (table, partition, key), durable as `settings.durability` says once `done(None)` was called.

    `on_fatal` hears of a failed sync, after which nothing is written or acknowledged: the process must end.
    `on_undone` is called when a refused batch has been undone, before its `done`s: copies of it may have left the node,
    so its actor must not go on. `on_full` hears why the disk refuses writes, once, and "" when it takes them again.
    `record` hears of what becomes of the log.
    """

    def __init__(
        self,
        env: Env,
        tick: OutputTick,
        settings: StorageSettings,
        *,
        on_fatal: Callable[[OSError], None],
        on_undone: Callable[[], None] | None = None,
        on_full: Callable[[str], None] | None = None,
        tables: RowTables | None = None,
        record: Recorder = _unheard,
    ) -> None:
        self._env = env
        self._tick = tick
        self._settings = settings
        self._always = settings.durability is Durability.ALWAYS
        self._on_undone = on_undone
        self._on_full = on_full
        self._log = SegmentLog(env, settings, on_fatal=on_fatal)
        self._all = MemoryTables() if tables is None else tables
        self._tables = self._all.by_number
        # One staged batch, as lists in step with what uses them: the log, an undo, the acknowledgements.
        self._records: list[Record] = []
        self._changes: list[Change] = []
        self._dones: list[Done] = []
        self._synced_dones: list[Done] = []  # those that a sync must come before
        # By table and partition, what the log has of each staged key; made when somebody asks.
        self._before: dict[tuple[int, int], dict[str, bytes | None]] = {}
        self._looked_up = 0  # how many of the changes `_before` has seen
        self._epoch = 0
        self._losses = 0  # declared in this boot
        self._lost: dict[int, dict[Span, str]] = {}
        self._releases: Counter[int] = Counter()  # by partition, those that are not kept yet
        self._at_rest: list[Callable[[], None]] = []
        self.checkpoints = Checkpoints(
            env.clock, self._log, self._all, self._between, self._outstanding, lambda: self._lost, record
        )
        self.scrubber = Scrubber(env.clock, env.disk, self._log, self._damaged)
        self._record = record
        self.recovering: dict[int, str] = {}
        """Partitions that may lack rows, with the reason. They keep what is good and must cast no vote. To be changed
        by `lose` and `complete` only."""
        self.hints_lost = ""
        """Why hint records may have been lost, for any target; empty when none were."""
        self.full = ""
        """Why the disk refused the last batch; empty since one was written again."""
        self.full_since = 0.0
        """Unix time of the first refusal."""
        self.on_written: list[Callable[[list[Change]], None]] = []
        """Called at the end of each pass with what the log was given: table, partition, key, and the value before."""
        self.undone = 0
        """How many changes were undone since the boot."""
        tick.write_log = self._write

    def recover(self, boot: Boot, owned: Iterable[int] = ()) -> Recovery:
        """Read the log and begin this boot's segment; once, before any other call. What the boot or the log shows to be
        lost (of the partitions `owned`, and the hints) is on the disk before this returns.

        Raises Damaged, and StorageFull when what was lost cannot be written down.
        """
        replay = Replay(self._env.disk, boot, self._all, always=self._always)
        self._epoch = boot.epoch
        collects = gc.isenabled()
        gc.disable()  # rows are made by the hundred thousand, and none of them is garbage: a quarter of the time
        try:
            replay.run()
        except OSError as error:
            raise Damaged(f"{segment_path(replay.last_number)} cannot be cut: {error}") from error
        finally:
            if collects:
                gc.enable()
        self._lost = dict(replay.losses())
        reason = replay.lost()
        losses = self._declare([*owned, HINTS], reason) if reason else []
        if boot.joins and not reason:
            losses = self._declare(owned, boot.joins)  # no hints were lost: it never had any
        self._judge(self._lost)
        try:
            self._log.open(
                boot.epoch, replay.last_number + 1, replay.end, losses, replay.sizes, marked=replay.mark is not None
            )
        except OSError as error:
            raise StorageFull(f"{segment_path(replay.last_number + 1)} cannot be begun: {error}") from error
        self.checkpoints.start(replay.begun, replay.damaged())
        return Recovery(
            replay.records,
            sum(replay.sizes.values()),
            len(replay.sizes),
            replay.torn_bytes,
            dict(self.recovering),
            reason,
        )

    # -- rows

    def get(self, table: int, partition: int, key: str) -> bytes | None:
        """The row's value, staged ones included: for whoever reads in order to write."""
        rows = self._tables.get(table)
        return None if rows is None else rows.get(partition, key)

    def logged(self, table: int, partition: int, key: str) -> bytes | None:
        """The row's value as the log has it: for whoever is shown it. A put of this pass may still be refused."""
        rows = self._tables.get(table)
        if rows is None:
            return None
        if self._records:
            before = self._staged(table, partition)
            if key in before:
                return before[key]
        return rows.get(partition, key)

    def scan(
        self,
        table: int,
        partition: int,
        after: str,
        limit: int,
        *,
        prefix: str = "",
        bytes_max: int | None = None,
        passed: bool = True,
    ) -> Page:
        """One page of what the log has; see `ports.RowTable`."""
        rows = self._tables.get(table)
        if rows is None:
            return [], False
        page, more = rows.scan(partition, after, limit, prefix=prefix, bytes_max=bytes_max, passed=passed)
        before = self._staged(table, partition) if self._records else None
        if not before:
            return page, more
        while True:
            shown = dict(page)
            last = page[-1][0] if more else None
            for key, value in before.items():  # few: they are of this pass
                if key > after and key.startswith(prefix) and (last is None or key <= last):
                    shown.pop(key, None)
                    if value is not None:
                        shown[key] = value
            if shown or last is None:
                return sorted(shown.items()), more
            page, more = rows.scan(partition, last, limit, prefix=prefix, bytes_max=bytes_max, passed=passed)

    def pass_over(self, table: int, partition: int, keys: Iterable[str]) -> None:
        """What the log has of these rows shows nothing; see `ports.RowTable`. What is staged of one may show more."""
        if (rows := self._tables.get(table)) is not None:
            staged = self._staged(table, partition) if self._records else {}
            rows.pass_over(partition, [key for key in keys if key not in staged])

    def prepare(self, table: int, partition: int) -> bool:
        """A step of what the next `scan` would have to do first; whether there is more."""
        rows = self._tables.get(table)
        return rows is not None and rows.prepare(partition)

    def count(self, table: int, partition: int) -> int:
        """How many rows there are, staged ones included."""
        rows = self._tables.get(table)
        return 0 if rows is None else rows.stat(partition).rows

    def put(self, table: int, partition: int, key: str, value: bytes | None, done: Done | None) -> None:
        """Set a row, or delete it with None. `done` hears when it is durable, or StorageFull."""
        payload = encode_row((key, value))
        rows = self._tables.get(table)
        if rows is None:
            assert 0 <= table <= TABLE_MAX, table
            rows = self._all.make(table)
        self._changes.append((table, partition, key, rows.put(partition, key, value)))
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

    def settled(self, done: Done) -> None:
        """`done` as of a put once what this pass has put so far is durable, for an answer that rests on it; at once
        when it has put nothing."""
        if self._records:
            self.then(done)
        else:
            done(None)

    def synced(self, done: Done) -> None:
        """`done` once all that was put so far is on the medium. It never comes when the log is closed."""
        if self._records:
            self.then(done, synced=True)
        else:
            self._log.synced(done)

    # -- what was lost

    def lose(self, partitions: Iterable[int], reason: str) -> None:
        """These partitions may lack rows (`HINTS`: hint records): on the medium before this returns, and in
        `recovering` in any case.

        Raises StorageFull when it could not be written down: nobody may be told yet; try again.
        """
        lost = list(partitions)
        records = self._declare(lost, reason)
        self._judge(lost)
        if self._log.stopped:
            raise StorageFull("the log is closed")
        try:
            self._log.append_durably(records)
        except OSError as error:
            raise StorageFull(f"the log cannot keep that partitions were lost: {error}") from error

    def complete(self, partition: int, done: Done | None = None) -> None:
        """All that the partition lacked has been put, by puts before this call. It leaves `recovering` once this is as
        durable as a put is; it stands behind the rows in the log, so it never outlives them. What is lost between this
        call and then stays lost."""
        spans = list(self._lost.get(partition, ()))

        def written(error: Exception | None) -> None:
            self._releases[partition] -= 1
            if error is None:
                left = self._lost.get(partition, {})
                for span in spans:
                    left.pop(span, None)
                self._judge([partition])

        if spans:
            if not self._records:
                self._tick.arm()
            self._releases[partition] += 1
            self._records.append((partition, 0, RELEASE, encode_release(spans)))
            self._dones.append(written)
            if done is not None:
                self._dones.append(done)
        elif done is not None:
            done(None)

    def settle_hints(self, done: Done | None = None) -> None:
        """Nobody lacks what the lost hints held any more, as far as `hints_lost` says now."""
        self.complete(HINTS, done)

    def _damaged(self, segment: int, reason: str) -> None:
        """The log has lost something that the tables have."""
        self._record("storage.damaged", f"{reason}; what it held is written again from the tables", segment=segment)
        self.checkpoints.drop(segment)

    def _declare(self, partitions: Iterable[int], reason: str) -> list[Record]:
        self._losses += 1
        span = (0, self._epoch, self._losses)
        records = []
        for partition in partitions:
            self._lost.setdefault(partition, {})[span] = reason
            records.append((partition, 0, LOSS, encode_loss((span, reason))))
        return records

    def _outstanding(self, partition: int) -> dict[Span, str] | None:
        """What the partition lacks, as the log has it; None while a release is not kept yet."""
        return None if self._releases[partition] else self._lost.get(partition, {})

    def _judge(self, partitions: Iterable[int]) -> None:
        """Bring `recovering` and `hints_lost` up to date."""
        for partition in list(partitions):
            spans = self._lost.get(partition)
            if not spans:
                self._lost.pop(partition, None)
            # The last one: a damaged release brings back the loss that it was of, and is what there is to be told.
            reason, more = (next(reversed(spans.values())), len(spans) - 1) if spans else ("", 0)
            text = f"{reason} (and {more} more)" if more else reason
            if partition == HINTS:
                self.hints_lost = text
            elif text:
                self.recovering[partition] = text
            else:
                self.recovering.pop(partition, None)

    def status(self) -> dict[str, str | int]:
        """For `status --json`: the promise, the log, and what was copied and verified since the boot."""
        return {
            "durability": self._settings.durability.value,
            "store": self._settings.tables.value,
            "log_bytes": self._log.bytes,
            "log_segments": len(self._log.sizes) + 1,
            "checkpoints": self.checkpoints.done,
            "copied_bytes": self.checkpoints.copied_bytes,
            "scrubs": self.scrubber.rounds,
            "damaged_segments": self.scrubber.damaged,
            **self._all.status(),
        }

    # -- the end of a pass

    def close(self) -> None:
        """Write and sync what is staged, and note that the log ends here; release the files. Acknowledges nothing."""
        if self._records and not self._log.stopped:
            try:
                self._log.append(self._records)
            except OSError:
                pass  # nobody was told that it was kept
            else:
                self._all.commit(self._log.end)
        self._log.close()
        self._all.close()

    def _staged(self, table: int, partition: int) -> dict[str, bytes | None]:
        """What the log has of each staged key. Made by whoever asks: a pass that only writes does not pay for it."""
        before, changes = self._before, self._changes
        for of_table, of_partition, key, value in changes[self._looked_up :]:
            before.setdefault((of_table, of_partition), {}).setdefault(key, value)
        self._looked_up = len(changes)
        return before.get((table, partition), {})

    def _between(self, step: Callable[[], None]) -> None:
        """Call when nothing is staged: now, or as soon as the batch of this pass is in the log."""
        if self._records:
            self._at_rest.append(step)
        else:
            step()

    def _write(self) -> None:
        """The end of a pass: the staged batch goes to the log."""
        if not self._records or self._log.stopped:
            return
        records, changes, dones, synced_dones = self._records, self._changes, self._dones, self._synced_dones
        self._records, self._changes, self._dones, self._synced_dones = [], [], [], []
        if self._looked_up:
            self._before, self._looked_up = {}, 0
        try:
            if reason := self._all.refuses():
                raise OSError(ENOSPC, reason)
            self._log.append(records)
        except OSError as error:
            self._undo(changes, dones + synced_dones, error)
            return
        self._all.commit(self._log.end)
        if self.full:
            self._say_full("")
        for on_written in self.on_written:
            on_written(changes)
        self._rest()
        if self._log.bytes > self.checkpoints.limit:
            self.checkpoints.grown()
        self._log.acknowledge(dones, synced_dones)

    def _rest(self) -> None:
        """The tables are what the log has."""
        steps, self._at_rest = self._at_rest, []
        for step in steps:
            step()

    def _say_full(self, reason: str) -> None:
        self.full = reason
        if self._on_full is not None:
            self._on_full(reason)

    def _undo(self, changes: list[Change], dones: list[Done], error: OSError) -> None:
        for table, partition, key, before in reversed(changes):
            self._tables[table].put(partition, key, before)
        self.undone += len(changes)
        self._rest()
        reason = error.strerror or str(error)
        if not self.full:
            self.full_since = self._env.clock.wall()
            self._say_full(reason)
            self._env.clock.call_later(ROOM_PROBE_S, self._probe_room)
        if self._on_undone is not None:
            self._on_undone()
        refusal = StorageFull(f"nothing was written, since the disk of a node refuses it: {reason}")
        for done in dones:
            done(refusal)

    def _probe_room(self) -> None:
        """Ask the log itself whether there is room again: a full node is written to less and less, and would call
        itself full for ever."""
        if not self.full or self._log.stopped:
            return
        try:
            if reason := self._all.refuses():
                raise OSError(ENOSPC, reason)
            self._log.append([ROOM_PROBE])
        except OSError:
            self._env.clock.call_later(ROOM_PROBE_S, self._probe_room)
        else:
            self._say_full("")
