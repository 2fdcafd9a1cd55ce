"""Sorted rows on the real disk: a RocksDB without a log of its own, in one column family.

Imported only by a node that keeps its rows here, since RocksDB takes 15 ms and some megabytes to load. A write is one
batch, which RocksDB takes as a whole, and a flush behind it: so nothing lives in RocksDB's memory that the caller has
not kept, and a crash leaves a prefix of the writes. A thread makes both. `Rdict.write` holds the interpreter's lock
(0.5 us a row, which bounds what a caller should write at once), and would hold it while RocksDB makes writers wait for
its compaction; the flush before it has waited for that instead, with the lock released. See docs/decisions/0028.
"""

import asyncio
import errno
import os
import shutil
import time
from collections.abc import Callable, Iterable
from threading import Lock

from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    Env,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
    WriteOptions,
)

BLOCK_BYTES = 8 * 1024
"""A read of one row reads and verifies a block; with smaller ones the index outgrows the cache."""
CACHE_BYTES = 96 * 1024 * 1024
"""Blocks, and the indexes and filters of all files: 25 MB for 4,000,000 rows of 1 KiB."""
FILES_MAX = 256
"""File descriptors at most; each file has up to 64 MB."""
BLOOM_BITS = 10
"""A key: a read of one that is not there looks at a file in vain once in a hundred times."""
RUNS_MERGED = 8
"""Written runs that are merged into the sorted rest at once: each is small, as the callers write them."""
CHUNK = 128
"""Rows that are added to a batch before the loop may have the interpreter again: 0.05 ms."""
ROOM_BYTES = 32 * 1024 * 1024
"""With less room on the disk RocksDB is not opened again after a refused write: it could not even begin its files."""


class RocksRows:
    """See `cluster.env.seam.SortedRows`. `check_room` raises OSError when a fault leaves no room."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, folder: str, check_room: Callable[[], None], *, anew: bool
    ) -> None:
        self._loop = loop
        self._folder = folder
        self._check_room = check_room
        self._cache = Cache(CACHE_BYTES)
        self._writing = Lock()  # held by the thread that writes, so that nothing is closed below it
        self._refused = False
        if anew:
            shutil.rmtree(folder, ignore_errors=True)
        self._db = self._open()

    def get(self, key: bytes) -> bytes | None:
        """The value. Raises OSError."""
        try:
            value: bytes | None = self._db.get(key)
        except Exception as error:  # rocksdict has no narrower one
            raise _os_error(error) from error
        return value

    def page(
        self, start: bytes, end: bytes, limit: int, bytes_max: int | None
    ) -> tuple[list[tuple[bytes, bytes]], bool]:
        """Rows from `start` on and below `end`. Raises OSError."""
        rows: list[tuple[bytes, bytes]] = []
        left = float("inf") if bytes_max is None else bytes_max
        try:
            options = ReadOptions()
            options.set_iterate_upper_bound(end)
            found = self._db.iter(options)
            found.seek(start)
            while found.valid():
                if len(rows) == limit or left < 0:
                    return rows, True
                value: bytes = found.value()
                rows.append((found.key(), value))
                left -= len(value)
                found.next()
            found.status()
        except Exception as error:
            raise _os_error(error) from error
        return rows, False

    def write(self, rows: Iterable[tuple[bytes, bytes | None]], done: Callable[[OSError | None], None]) -> None:
        """Write a batch and flush it, in a thread."""

        def ended(future: asyncio.Future[OSError | None]) -> None:
            if not future.cancelled():  # as when the loop shuts down
                error = future.result()
                self._refused = error is not None
                done(error)

        try:
            self._check_room()
            if self._refused:
                self._reopen()
        except OSError as error:
            self._loop.call_soon(done, error)
            return
        self._loop.run_in_executor(None, self._write, rows).add_done_callback(ended)

    def close(self) -> None:
        """Release the files, once the write under way has ended."""
        with self._writing:
            self._db.close()

    def _write(self, rows: Iterable[tuple[bytes, bytes | None]]) -> OSError | None:
        with self._writing:
            try:
                batch = WriteBatch(raw_mode=True)
                for count, (key, value) in enumerate(rows):
                    if value is None:
                        batch.delete(key)
                    else:
                        batch.put(key, value)
                    if count % CHUNK == 0:
                        time.sleep(0)
                self._db.write(batch, _unlogged())
                self._db.flush()
            except Exception as error:
                return _os_error(error)
        return None

    def _open(self, access: AccessType | None = None) -> Rdict:
        try:
            return Rdict(self._folder, _options(self._cache), access_type=access or AccessType.read_write())
        except Exception as error:
            raise _os_error(error) from error

    def _reopen(self) -> None:
        """After a refused write RocksDB takes none any more, until it is opened again; it goes on reading meanwhile.
        Raises OSError while there is no room for that."""
        room = os.statvfs(self._folder)
        if room.f_bavail * room.f_frsize < ROOM_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._folder)
        with self._writing:
            self._db.close()
            try:
                self._db = self._open()
            except OSError:
                self._db = self._open(AccessType.read_only())
                raise


def _options(cache: Cache) -> Options:
    blocks = BlockBasedOptions()
    blocks.set_block_size(BLOCK_BYTES)
    blocks.set_block_cache(cache)
    blocks.set_cache_index_and_filter_blocks(True)
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(True)
    blocks.set_bloom_filter(BLOOM_BITS, False)
    threads = Env()  # shared by all in the process: two threads, whatever the machine has
    threads.set_low_priority_background_threads(1)
    threads.set_high_priority_background_threads(1)
    options = Options(raw_mode=True)
    options.set_env(threads)
    options.set_max_background_jobs(2)
    options.create_if_missing(True)
    options.set_block_based_table_factory(blocks)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_write_buffer_size(64 * 1024 * 1024)  # more than a write: it is flushed by us
    options.set_level_zero_file_num_compaction_trigger(RUNS_MERGED)
    options.set_level_zero_slowdown_writes_trigger(4 * RUNS_MERGED)
    options.set_level_zero_stop_writes_trigger(6 * RUNS_MERGED)
    options.set_max_open_files(FILES_MAX)
    options.set_bytes_per_sync(1024 * 1024)
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(1024 * 1024)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    return options


def _unlogged() -> WriteOptions:
    options = WriteOptions()
    options.disable_wal = True  # type: ignore[method-assign, assignment]  # a property, whatever its stub says
    return options


def _os_error(error: Exception) -> OSError:
    text = str(error)
    if text.startswith("Corruption"):
        return OSError(errno.EBADMSG, text)
    if "No space left" in text:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return OSError(errno.EIO, text)
