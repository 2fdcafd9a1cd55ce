"""The log on disk: numbered segment files, one append a batch, and when they are synced and replaced.

Each boot begins a segment of its own, above every position that anything names, so that bytes which an earlier boot cut
off, or a disk brought back, never stand where this one writes. A batch never waits: a full segment is replaced by the
next append, while a sync of the last one may still be due. So the log is always written before the sockets, and a copy
that left this node is in its log.

Invariant: what is not synced lies behind the mark, in the last two segments. Syncs run in the order of the log, and the
mark is moved after each, so that a log which ends before its mark has lost something.

Group commit: one sync runs at a time, and all that was appended meanwhile goes with the next (DeWitt et al.,
"Implementation Techniques for Main Memory Database Systems", SIGMOD 1984).

A log that was cut begins with another segment than its first. `log/begin` says with which, and is on the medium before
a file is removed: what a crash leaves of the files before it, or a power loss brings back, is not read again.

A failed sync ends the process. The kernel has marked the pages clean, so a second sync would succeed without having
written them (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020). Not solved here: what
the restarted process reads may come from those pages.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from cluster.config import Durability, StorageSettings
from cluster.env import AppendFile, Env, Timer
from cluster.errors import ClusterError
from cluster.ports import Position
from cluster.storage.record import (
    BEGIN,
    FOLDER,
    HEADER_BYTES,
    MARK,
    Begin,
    Mark,
    Record,
    encode_begin,
    encode_mark,
    encode_records,
    encode_segment_header,
    seed_of,
)

Done = Callable[[ClusterError | None], None]
"""Called once: with None when the write is as durable as the settings promise, or with why it was not kept."""


REMOVE_REST_S = 0.05
"""The files of a cut go one by one: each takes the file system some milliseconds."""


def segment_path(segment: int) -> str:
    """Where segment number `segment` (from 1) lies."""
    return f"{FOLDER}/{segment:08d}.log"


class SegmentLog:
    """Appends batches of records, of one boot."""

    def __init__(self, env: Env, settings: StorageSettings, *, on_fatal: Callable[[OSError], None]) -> None:
        self._env = env
        self._sync_interval_s = settings.sync_interval_s
        self.full_bytes = max(settings.segment_bytes, HEADER_BYTES + 1)
        """From this size on a segment is full; one without a record is not."""
        self.sizes: dict[int, int] = {}
        """Of the segments before the present one, by number and in order."""
        self.bytes = 0
        """Of all segments."""
        self._always = settings.durability is Durability.ALWAYS
        self._unasked = settings.durability is not Durability.NONE  # whether what nobody waits for is synced, too
        self._on_fatal = on_fatal
        self._file: AppendFile | None = None
        self._segment = self._seed = 0
        self._previous: Position = (0, 0)
        self._old: AppendFile | None = None  # the segment before, while a sync of it is due
        self._begin: AppendFile | None = None  # to sync it; made by the first cut
        self._mark = Mark(0, (0, 0))
        self.stopped = True
        """Whether nothing is written any more."""
        self._unsynced = False  # bytes were appended that no sync, running or finished, covers
        self._syncing = False
        self._ending = False  # the next append begins a segment, however short this one is
        self._waiting: list[Done] = []  # acknowledgements that the next sync will cover
        self._timer: Timer | None = None

    def open(
        self,
        epoch: int,
        segment: int,
        previous: Position,
        records: Sequence[Record],
        sizes: dict[int, int],
        *,
        marked: bool = True,
    ) -> None:
        """Begin the segment of a boot, behind `previous`, up to where all is synced, and behind the segments of these
        `sizes`. Its header and `records` are on the medium before this returns, and the mark stands behind them; it is
        durable when it is the first of all (not yet `marked`). Raises OSError."""
        self.sizes, self.bytes = sizes, sum(sizes.values())
        self._segment, self._seed, self._previous = segment, seed_of(segment), previous
        self._file = self._env.disk.append(segment_path(segment))
        self.append(records)
        self._file.flush()
        self._mark = Mark(epoch, (segment, self._file.size))
        if marked:
            self._env.disk.write_in_place(MARK, encode_mark(self._mark))
        else:
            self._env.disk.write(MARK, encode_mark(self._mark))
        self._unsynced = self.stopped = False

    def append(self, records: Iterable[Record]) -> None:
        """Give a batch to the kernel in one write. Raises OSError, and then nothing of it is kept."""
        assert self._file is not None
        if self._is_full:
            # Begin the next segment. Its header goes with its first batch, so a crash in between leaves it empty.
            following = self._env.disk.append(segment_path(self._segment + 1))
            assert following.size == 0, "the segment after the last one exists"
            self._previous = (self._segment, self._file.size)
            self.sizes[self._segment] = self._file.size
            self._ending = False
            if self._unsynced or self._syncing:
                self._old = self._file
            else:
                self._file.close()
            self._file = following
            self._segment += 1
            self._seed = seed_of(self._segment)
        file = self._file
        header = b"" if file.size else encode_segment_header(self._segment, self._previous)
        data = header + encode_records(records, self._seed, file.size + len(header))
        file.append(data)
        self.bytes += len(data)
        self._unsynced = True

    def append_durably(self, records: Iterable[Record]) -> None:
        """Append ahead of what is staged, and sync before this returns. Raises OSError when nothing was kept; a failed
        sync is fatal."""
        unsynced = self._unsynced
        self.append(records)
        try:
            self._flush()
        except OSError as error:
            self._fail(error)
            raise
        self._unsynced = unsynced  # whoever waits for a sync of what came before still gets one

    def acknowledge(self, dones: Sequence[Done], synced_dones: Sequence[Done] = ()) -> None:
        """Call `dones` once what was appended is as durable as the settings promise (but for `always` that is now), and
        `synced_dones` once it is synced, which is then begun at once."""
        if self._always:
            self._waiting += dones
        self._waiting += synced_dones
        self._schedule()
        if not self._always:
            for done in dones:
                done(None)

    def synced(self, done: Done) -> None:
        """`done` once all that was appended is on the medium; a sync is begun at once if it takes one. It never comes
        when the log is closed: its file is, and the number may be another one's by now."""
        if self.stopped:
            return
        if self._unsynced or self._syncing:
            self._unsynced = True  # the sync that runs may have begun before the last append
            self._waiting.append(done)
            self._schedule()
        else:
            done(None)

    def cut(self, segment: int, done: Callable[[int, int], None]) -> None:
        """Let the log begin with `segment`: the files before it are removed once that is on the medium. `done` with how
        many went, and their bytes: none on a full disk. It never comes when the log is closed."""
        before = [number for number in self.sizes if number < segment]
        begin = Begin(segment, (before[-1], self.sizes[before[-1]]))

        def begun(error: OSError | None) -> None:
            if self.stopped:
                return
            if error is not None:
                self._fail(error)
                return
            size = sum(self.sizes.pop(number) for number in before)
            self.bytes -= size
            for turn, number in enumerate(before):
                self._env.clock.call_later(turn * REMOVE_REST_S, self._env.disk.remove_soon, segment_path(number))
            done(len(before), size)

        try:
            if self._begin is None:
                self._begin = self._env.disk.append(BEGIN)
            self._env.disk.write_in_place(BEGIN, encode_begin(begin))
        except OSError:
            done(0, 0)
        else:
            self._begin.sync(begun)

    def close(self) -> None:
        """Sync and say so in a clean mark, as far as the disk lets us; release the files. Acknowledges nothing."""
        stopped, self.stopped = self.stopped, True
        self._cancel_timer()
        if self._file is None:
            return
        if not stopped:
            try:
                self._flush()
                self._mark = replace(self._mark, clean=True)
                self._env.disk.write(MARK, encode_mark(self._mark))
            except OSError:
                pass  # without a clean mark the next boot assumes what it must
        for file in (self._begin, self._old, self._file):
            if file is not None:
                file.close()

    def end_segment(self) -> None:
        """Append no more to the present segment, as soon as that can be."""
        self._ending = self._file is not None and self._file.size > 0

    def size_of(self, segment: int) -> int:
        """How long the segment is; 0 for one that is not there."""
        if segment == self._segment and self._file is not None:
            return self._file.size
        return self.sizes.get(segment, 0)

    @property
    def _is_full(self) -> bool:
        assert self._file is not None
        return self._old is None and (self._ending or self._file.size >= self.full_bytes)

    @property
    def next_place(self) -> Position:
        """Where the next record will stand, or before."""
        return (self._segment + 1, 0) if self._is_full else self.end

    @property
    def first(self) -> int:
        """The segment that the log begins with."""
        return next(iter(self.sizes), self._segment)

    @property
    def end(self) -> Position:
        """Up to where the log was written."""
        assert self._file is not None
        return (self._segment, self._file.size) if self._file.size else self._previous  # a rotation was refused

    def _schedule(self) -> None:
        if self._syncing or not self._unsynced:
            return
        assert self._file is not None
        if self._waiting or self._always or self._file.size >= self.full_bytes:
            self._sync()
        elif self._timer is None and self._unasked:
            self._timer = self._env.clock.call_later(self._sync_interval_s, self._sync)

    def _sync(self) -> None:
        assert self._file is not None and not self._syncing
        self._cancel_timer()
        self._unsynced, self._syncing = False, True
        covered, self._waiting = self._waiting, []

        def old_synced(error: OSError | None) -> None:
            if error is not None or self.stopped:
                self._synced(self._mark.end, covered, error)
                return
            assert self._old is not None and self._file is not None
            self._old.close()
            self._old = None
            self._file.sync(partial(self._synced, self.end, covered))

        if self._old is None:
            self._file.sync(partial(self._synced, self.end, covered))
        else:
            self._old.sync(old_synced)

    def _synced(self, end: Position, covered: list[Done], error: OSError | None) -> None:
        self._syncing = False
        if self.stopped:
            return
        if error is not None:
            self._fail(error)
            return
        self._move_mark(end)
        self._schedule()
        for done in covered:
            done(None)

    def _flush(self) -> None:
        """Sync all that was appended before this returns."""
        assert self._file is not None
        if self._old is not None:
            self._old.flush()
        self._file.flush()
        self._move_mark(self.end)

    def _move_mark(self, end: Position) -> None:
        if end > self._mark.end:
            self._mark = replace(self._mark, end=end)
            try:
                self._env.disk.write_in_place(MARK, encode_mark(self._mark))
            except OSError:
                pass  # an older mark notices less and accuses nobody; the next move tries again

    def _fail(self, error: OSError) -> None:
        self.stopped = True
        self._cancel_timer()
        self._on_fatal(error)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
