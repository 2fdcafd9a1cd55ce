"""Sorted rows on the real disk: a RocksDB without a log of its own, in one column family.

Imported only by a node that keeps its rows here, since RocksDB takes 15 ms and some megabytes to load. A write is one
batch, which RocksDB takes as a whole, and a flush behind it: so nothing lives in RocksDB's memory that the caller has
not kept, and a crash leaves a prefix of the writes. A thread makes both. `Rdict.write` holds the interpreter's lock
(0.5 us a row, which bounds what a caller should write at once), and would hold it while RocksDB makes writers wait for
its compaction; the flush before it has waited for that instead, with the lock released. See docs/decisions/0028.

A damaged block stays in its file until a compaction reads it, which then fails, and with it each write from there on.
So what can be read is copied into a database of its own, which takes the place of the damaged one.
"""

import asyncio
import errno
import os
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import TypeVar

from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    Env,
    Options,
    Rdict,
    RdictIter,
    ReadOptions,
    WriteBatch,
    WriteOptions,
)

from cluster.env.real_disk import sync_folder
from cluster.env.seam import Salvaged

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
VERIFY_BYTES = 64 * 1024
"""Of rows that are verified at a time, or one row. The interpreter's lock is held meanwhile: 0.2 ms and a read."""
VERIFY_CACHE_BYTES = 1024 * 1024
"""What is verified is read once."""
COPY_ROWS, COPY_BYTES, COPY_REST_S = 128, 256 * 1024, 0.001
"""So much is copied at a time, in half a millisecond, and then the loop may have the interpreter."""
COPY, REPLACED = ".copy", ".replaced"
"""Behind the name of the folder: a copy that is being made, and what a whole one has replaced."""

Result = TypeVar("Result")
Verified = Callable[[bytes | OSError], None]
Copied = Callable[[list[Salvaged] | OSError], None]


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
        self._medium = _Medium(folder)
        self._copy: Rdict | None = None
        self._copying = False
        self._closed = False
        self._postponed: Callable[[], None] | None = None  # the write that waits until the copy is made
        if anew:
            shutil.rmtree(folder, ignore_errors=True)
        elif os.path.isdir(folder + COPY) and not os.path.isdir(folder):
            os.rename(folder + COPY, folder)  # the process ended between the two renames of a switch
        for left in (COPY, REPLACED):
            shutil.rmtree(folder + left, ignore_errors=True)
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

        def begin() -> None:
            try:
                self._check_room()
                if self._refused:
                    self._reopen()
            except OSError as error:
                self._loop.call_soon(done, error)
                return
            self._loop.run_in_executor(None, self._write, rows).add_done_callback(ended)

        if self._copying:
            self._postponed = begin
        else:
            begin()

    def verify(self, cursor: bytes, done: Verified) -> None:
        """Read a slice from the medium, in a thread, through a second opening of the files."""
        self._in_thread(lambda: self._medium.verify(cursor), done)

    def salvage(self, ranges: Sequence[tuple[bytes, bytes]], done: Copied) -> None:
        """Copy what can be read, in a thread, once the write under way has ended."""
        assert not self._copying
        self._copying = True
        self._in_thread(lambda: self._salvage(ranges), done)

    def switch(self, rows: Iterable[tuple[bytes, bytes | None]]) -> None:
        """The copy takes the place of the folder, with these rows in it. Raises OSError."""
        assert self._copy is not None
        folder = self._folder
        try:
            batch = WriteBatch(raw_mode=True)
            for key, value in rows:
                if value is None:
                    batch.delete(key)
                else:
                    batch.put(key, value)
            self._copy.write(batch, _unlogged())
            self._copy.flush()
        except Exception as error:
            raise _os_error(error) from error
        close(self._copy)
        self._copy = None
        self._medium.close()
        close(self._db)
        try:
            os.rename(folder, folder + REPLACED)
            os.rename(folder + COPY, folder)
            sync_folder(os.path.dirname(folder))
        finally:
            if not os.path.isdir(folder):
                os.rename(folder + REPLACED, folder)
            self._db = self._open()
            self._refused = False
        self.abandon()

    def abandon(self) -> None:
        """Delete the copy, or what it has replaced; the write that waited begins."""
        if self._copy is not None:
            close(self._copy)
            self._copy = None
        self._copying = False
        for left in (COPY, REPLACED):
            self._loop.run_in_executor(None, shutil.rmtree, self._folder + left, True)
        begin, self._postponed = self._postponed, None
        if begin is not None:
            begin()

    def close(self) -> None:
        """Release the files, once the write under way has ended."""
        self._closed = True
        with self._writing:
            if self._copy is not None:
                close(self._copy)
            self._medium.close()
            close(self._db)

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

    def _in_thread(self, work: Callable[[], Result], done: Callable[[Result | OSError], None]) -> None:
        def ended(future: asyncio.Future[Result]) -> None:
            if future.cancelled():
                return
            error = future.exception()
            if self._closed:
                return
            if error is not None and not isinstance(error, OSError):
                raise error
            done(future.result() if error is None else error)

        self._loop.run_in_executor(None, work).add_done_callback(ended)

    def _salvage(self, ranges: Sequence[tuple[bytes, bytes]]) -> list[Salvaged]:
        with self._writing:
            self._check_room()
            size = sum(file["size"] for file in self._db.live_files())
            if _room(os.path.dirname(self._folder)) < size + ROOM_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._folder + COPY)
            shutil.rmtree(self._folder + COPY, ignore_errors=True)
            try:
                self._copy = Rdict(self._folder + COPY, _options(Cache(VERIFY_CACHE_BYTES)))
                found = [self._copy_range(self._copy, start, end) for start, end in ranges]
                self._copy.flush()  # here, and not in the switch
                return found
            except OSError:
                raise
            except Exception as error:
                raise _os_error(error) from error

    def _copy_range(self, copy: Rdict, start: bytes, end: bytes) -> Salvaged:
        """From its first row up to what cannot be read, and then from its last one down to that."""
        options = ReadOptions()
        options.set_iterate_lower_bound(start)
        options.set_iterate_upper_bound(end)
        found = self._db.iter(options)
        found.seek(start)
        forward, last = self._copy_rows(copy, found, found.next, lambda key: True)
        if _is_whole(found):
            return Salvaged(forward, True)
        found = self._db.iter(options)
        found.seek_to_last()
        backward, _ = self._copy_rows(copy, found, found.prev, lambda key: key > last)
        return Salvaged(forward + backward, False)

    def _copy_rows(
        self, copy: Rdict, found: RdictIter, step: Callable[[], None], wanted: Callable[[bytes], bool]
    ) -> tuple[int, bytes]:
        """How many there were, and the last key."""
        count, last = 0, b""
        while found.valid():
            batch, size, rows = WriteBatch(raw_mode=True), 0, 0
            while found.valid() and rows < COPY_ROWS and size < COPY_BYTES:
                last, value = found.key(), found.value()
                if not wanted(last):
                    return count, last
                batch.put(last, value)
                rows, size = rows + 1, size + len(value)
                step()
            if self._closed:
                raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))
            copy.write(batch, _unlogged())
            count += rows
            time.sleep(COPY_REST_S)
        return count, last

    def _open(self, access: AccessType | None = None) -> Rdict:
        try:
            return Rdict(self._folder, _options(self._cache), access_type=access or AccessType.read_write())
        except Exception as error:
            raise _os_error(error) from error

    def _reopen(self) -> None:
        """After a refused write RocksDB takes none any more, until it is opened again; it goes on reading meanwhile.
        Raises OSError while there is no room for that."""
        if _room(self._folder) < ROOM_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._folder)
        with self._writing:
            close(self._db)
            try:
                self._db = self._open()
            except OSError:
                self._db = self._open(AccessType.read_only())
                raise


class _Medium:
    """A second opening of the same files, which reads past the caches of the first and of the system. It sees the files
    as they are when a round begins; one that is merged meanwhile is gone, and then it is opened again."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._lock = Lock()  # held by the thread that reads
        self._db: Rdict | None = None
        self._found: RdictIter | None = None

    def verify(self, cursor: bytes) -> bytes:
        """Where to go on. Raises OSError, for damage or, with EAGAIN, to be called again."""
        with self._lock:
            if self._db is not None and cursor:
                try:
                    return self._read()
                except Exception as error:
                    if _os_error(error).errno == errno.EBADMSG:
                        self._close()
                        raise _os_error(error) from error
            self._close()
            try:
                self._open(cursor)
            except Exception as error:  # a merge has just replaced what names the files
                raise OSError(errno.EAGAIN, str(error)) from error
            try:
                return self._read()
            except Exception as error:
                self._close()
                raise _os_error(error) from error

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            self._close()

    def _open(self, cursor: bytes) -> None:
        options = _options(Cache(VERIFY_CACHE_BYTES))
        options.set_use_direct_reads(_reads_directly(self._folder))
        self._db = Rdict(self._folder, options, access_type=AccessType.read_only())
        reading = ReadOptions()
        reading.set_readahead_size(VERIFY_BYTES)
        self._found = self._db.iter(reading)
        if cursor:
            self._found.seek(cursor)
        else:
            self._found.seek_to_first()

    def _read(self) -> bytes:
        assert self._found is not None
        found, size = self._found, 0
        while found.valid():
            if size >= VERIFY_BYTES:
                key: bytes = found.key()
                return key
            size += len(found.key()) + len(found.value())
            found.next()
        found.status()
        self._close()
        return b""

    def _close(self) -> None:
        self._found = None
        if self._db is not None:
            close(self._db)
            self._db = None


def close(db: Rdict) -> None:
    """Close it, also one that refuses writes: it says so again, as what it has in memory cannot be flushed. The caller
    has that."""
    try:
        db.close()
    except Exception:  # it is closed all the same
        pass


def _reads_directly(folder: str) -> bool:
    """Whether the file system reads past the memory of the system, as one in memory does not."""
    if not hasattr(os, "O_DIRECT"):
        return False
    try:
        os.close(os.open(os.path.join(folder, "CURRENT"), os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _is_whole(found: RdictIter) -> bool:
    """Whether it ended because there is no more."""
    try:
        found.status()
    except Exception:
        return False
    return True


def _room(folder: str) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


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
