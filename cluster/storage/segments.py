"""The log on disk: numbered segment files, one append a batch, and when they are synced and replaced.

Invariant: only the last segment may hold bytes that are not synced. A full segment is therefore synced before the next
one is begun (`ready` is false meanwhile and batches wait), so whatever is torn in an earlier segment is damage and no
crash explains it.

Group commit: one sync runs at a time, and all that was appended meanwhile goes with the next (DeWitt et al.,
"Implementation Techniques for Main Memory Database Systems", SIGMOD 1984).

A failed sync ends the process. The kernel has marked the pages clean, so a second sync would succeed without having
written them (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020). Not solved here: what
the restarted process reads may come from those pages.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from cluster.config import Durability, StorageSettings
from cluster.env import AppendFile, Env, Timer
from cluster.errors import ClusterError
from cluster.storage.record import Record, encode_records, encode_segment_header, seed_of

FOLDER = "log"

Done = Callable[[ClusterError | None], None]
"""Called once: with None when the write is as durable as the settings promise, or with why it was not kept."""


def segment_path(segment: int) -> str:
    """Where segment number `segment` (from 1) lies."""
    return f"{FOLDER}/{segment:08d}.log"


class SegmentLog:
    """Appends batches of records. `wake` is called when `ready` turns true again."""

    def __init__(
        self, env: Env, settings: StorageSettings, *, on_fatal: Callable[[OSError], None], wake: Callable[[], None]
    ) -> None:
        self._env = env
        self._settings = settings
        self._always = settings.durability is Durability.ALWAYS
        self._on_fatal = on_fatal
        self._wake = wake
        self._file: AppendFile | None = None
        self._segment = 0
        self._previous_bytes = 0
        self._sealed = False
        self._stopped = True
        self._unsynced = False  # bytes were appended that no sync, running or finished, covers
        self._syncing = False
        self._waiting: list[Done] = []  # acknowledgements that the next sync will cover
        self._timer: Timer | None = None

    def open(self, segment: int, previous_bytes: int, *, sealed: bool) -> None:
        """Go on in this segment, or after it when it is `sealed`. Raises OSError.

        What an earlier process left here was read back and will be served, so it is synced like a new write.
        """
        self._file = self._env.disk.append(segment_path(segment))
        self._segment, self._previous_bytes, self._sealed = segment, previous_bytes, sealed
        self._stopped = False
        self._unsynced = self._file.size > 0
        self._schedule()

    def ready(self) -> bool:
        """Whether a batch may be appended now."""
        if self._stopped:
            return False
        return not (self._full() and (self._unsynced or self._syncing))

    def append(self, records: Iterable[Record]) -> None:
        """Give a batch to the kernel in one write. Raises OSError, and then nothing of it is kept."""
        assert self.ready()
        if self._full():
            self._rotate()
        file = self._file
        assert file is not None
        header = b"" if file.size else encode_segment_header(self._segment, self._previous_bytes)
        file.append(header + encode_records(records, seed_of(self._segment), file.size + len(header)))
        self._unsynced = True

    def acknowledge(self, dones: Sequence[Done], synced_dones: Sequence[Done] = ()) -> None:
        """Call `dones` once what was appended is as durable as the settings promise (for `interval` that is now), and
        `synced_dones` once it is synced, which is then begun at once."""
        if self._always:
            self._waiting += dones
        self._waiting += synced_dones
        self._schedule()
        if not self._always:
            for done in dones:
                done(None)

    def close(self) -> None:
        """Release the file; no sync. What waits for one is never acknowledged."""
        self._stopped = True
        self._cancel_timer()
        if self._file is not None:
            self._file.close()

    def _full(self) -> bool:
        assert self._file is not None
        return self._sealed or self._file.size >= self._settings.segment_bytes

    def _rotate(self) -> None:
        """Begin the next segment. Its header goes with the first batch, so a crash in between leaves it empty."""
        assert self._file is not None
        following = self._env.disk.append(segment_path(self._segment + 1))
        assert following.size == 0, "the segment after the last one exists"
        self._previous_bytes = self._file.size
        self._file.close()
        self._file = following
        self._segment += 1
        self._sealed = False

    def _schedule(self) -> None:
        if self._syncing or not self._unsynced:
            return
        if self._waiting or self._always or self._full():
            self._sync()
        elif self._timer is None:
            self._timer = self._env.clock.call_later(self._settings.sync_interval_s, self._sync)

    def _sync(self) -> None:
        assert self._file is not None and not self._syncing
        self._cancel_timer()
        self._unsynced, self._syncing = False, True
        covered, self._waiting = self._waiting, []
        self._file.sync(partial(self._synced, covered))

    def _synced(self, covered: list[Done], error: OSError | None) -> None:
        self._syncing = False
        if self._stopped:
            return
        if error is not None:
            self._stopped = True
            self._on_fatal(error)
            return
        self._schedule()
        for done in covered:
            done(None)
        if self._full() and self.ready():
            self._wake()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
