"""Files of a real RocksDB in which a byte flips, and a disk that is full while it writes."""

import asyncio
import errno
import gc
import os
import resource
import signal
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from cluster.env import Salvaged
from cluster.env.real_sorted import COPY, REPLACED, RUNS_MERGED, VERIFY_BYTES, RocksRows

PARTITIONS, KEYS, VALUE_BYTES = 5, 40, 2000
RANGES = [(bytes((1, 0, one)), bytes((1, 0, one + 1))) for one in range(PARTITIONS)]
Result = TypeVar("Result")


class Rotten:
    """Rows in some runs that were not merged yet."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.folder = folder / "table"
        self.refusal: OSError | None = None
        self.rows = self.open()
        self.values: dict[bytes, bytes] = {}

    def open(self) -> RocksRows:
        return RocksRows(self.loop, str(self.folder), self.check_room, anew=False)

    def check_room(self) -> None:
        if self.refusal is not None:
            raise self.refusal

    def wait(self, future: asyncio.Future[Result]) -> Result:
        return self.loop.run_until_complete(asyncio.wait_for(future, 60.0))

    def write(self, rows: Iterable[tuple[bytes, bytes | None]]) -> OSError | None:
        future: asyncio.Future[OSError | None] = self.loop.create_future()
        self.rows.write(rows, future.set_result)
        return self.wait(future)

    def fill(self, runs: int = 3) -> "Rotten":
        for run in range(runs):
            batch = {
                bytes((1, 0, partition)) + b"%04d" % number: os.urandom(VALUE_BYTES)
                for partition in range(PARTITIONS)
                for number in range(run, KEYS, runs)
            }
            self.values |= batch
            assert self.write(sorted(batch.items())) is None
        return self

    @property
    def files(self) -> list[Path]:
        return sorted(self.folder.glob("*.sst"))

    def flip(self, where: float, at: float) -> None:
        """A byte of a block of rows. (What is not read, as a filter that is damaged, costs no row.)"""
        path = self.files[int(where * len(self.files))]
        data = bytearray(path.read_bytes())
        data[int(at * 0.9 * len(data))] ^= 1
        path.write_bytes(data)

    def verify(self) -> tuple[OSError | None, int]:
        """What is wrong with them, and how many slices were read."""
        cursor, slices = b"", 0
        while True:
            found = self.slice(cursor)
            slices += 1
            if isinstance(found, OSError):
                if found.errno != errno.EAGAIN:
                    return found, slices
            elif not found:
                return None, slices
            else:
                cursor = found

    def slice(self, cursor: bytes) -> bytes | OSError:
        future: asyncio.Future[bytes | OSError] = self.loop.create_future()
        self.rows.verify(cursor, future.set_result)
        return self.wait(future)

    def salvage(self, ranges: Sequence[tuple[bytes, bytes]] = RANGES) -> list[Salvaged] | OSError:
        future: asyncio.Future[list[Salvaged] | OSError] = self.loop.create_future()
        self.rows.salvage(ranges, future.set_result)
        return self.wait(future)

    def check(self, found: Sequence[Salvaged]) -> None:
        """What is there is right, and all is there but of the ranges that lost something."""
        for (start, end), one in zip(RANGES, found, strict=True):
            page, more = self.rows.page(start, end, 1000, None)
            assert not more and len(page) == one.rows
            assert one.whole == (one.rows == KEYS)
            assert all(self.values[key] == value for key, value in page)

    def close(self) -> None:
        self.rows.close()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


@pytest.fixture
def rotten(tmp_path: Path) -> Iterator[Rotten]:
    held = Rotten(tmp_path)
    yield held
    held.close()


@pytest.mark.parametrize(("where", "at"), [(0.0, 0.0), (0.3, 0.5), (0.6, 0.2), (0.99, 0.99)])
def test_a_flipped_byte_in_any_row_is_found_and_costs_one_partition_or_two(
    rotten: Rotten, where: float, at: float
) -> None:
    rotten.fill()
    assert rotten.verify()[0] is None
    rotten.flip(where, at)
    error, _ = rotten.verify()
    assert error is not None and "checksum" in str(error)
    found = rotten.salvage()
    assert isinstance(found, list) and 1 <= sum(not one.whole for one in found) <= 2
    assert sum(one.rows for one in found) >= len(rotten.values) - 20, "a block, and what lay over it"
    rotten.rows.switch([(b"\0", b"extent")])
    rotten.check(found)
    assert rotten.verify()[0] is None and rotten.rows.get(b"\0") == b"extent"


def test_what_is_still_in_memory_costs_nothing(rotten: Rotten) -> None:
    """What flips on the medium is found there, and a copy takes the block from where it is whole."""
    rotten.fill()
    for key in rotten.values:
        rotten.rows.get(key)
    rotten.flip(0.3, 0.5)
    assert rotten.verify()[0] is not None
    found = rotten.salvage()
    assert found == [Salvaged(KEYS, True)] * PARTITIONS
    rotten.rows.switch([])
    rotten.check(found)
    assert rotten.verify()[0] is None


def test_a_merge_that_meets_damage_fails_each_write_until_it_is_replaced(rotten: Rotten) -> None:
    rotten.fill()
    rotten.flip(0.0, 0.5)
    error, number = None, 0
    while error is None:
        number += 1
        assert number < 10 * RUNS_MERGED, "nothing was tested"
        error = rotten.write([(b"\1\0\0new%d" % number, os.urandom(9000))])
    assert "checksum" in str(error) and rotten.write([(b"\1\0\0again", b"")]) is not None
    assert isinstance(rotten.salvage(), list)
    rotten.rows.switch([])
    for number in range(3 * RUNS_MERGED):
        assert rotten.write([(b"\1\0\0newer%d" % number, os.urandom(9000))]) is None


def test_many_rows_take_many_slices_and_files_may_be_merged_meanwhile(rotten: Rotten) -> None:
    rotten.fill()
    _, slices = rotten.verify()
    assert slices >= PARTITIONS * KEYS * VALUE_BYTES // VERIFY_BYTES - 1
    cursor = rotten.slice(b"")
    assert isinstance(cursor, bytes) and cursor
    before = rotten.files
    for _ in range(RUNS_MERGED + 1):
        rotten.fill(1)
    assert rotten.files != before
    while cursor:
        found = rotten.slice(cursor)
        assert isinstance(found, bytes) or found.errno == errno.EAGAIN, found
        cursor = found if isinstance(found, bytes) else cursor


def test_a_write_that_is_called_while_a_copy_is_made_is_in_what_takes_its_place(rotten: Rotten) -> None:
    rotten.fill()
    ended: list[object] = []
    found: list[object] = []
    rotten.rows.salvage(RANGES, found.append)
    rotten.rows.write([(b"\1\0\0late", b"row")], ended.append)
    while not found:
        rotten.loop.run_until_complete(asyncio.sleep(0.001))
    assert ended == []
    rotten.rows.switch([])
    while not ended:
        rotten.loop.run_until_complete(asyncio.sleep(0.001))
    assert ended == [None] and rotten.rows.get(b"\1\0\0late") == b"row"


@pytest.mark.parametrize("switched", [False, True])
def test_a_process_that_ends_between_the_steps_of_a_switch_has_the_one_or_the_other(
    rotten: Rotten, switched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotten.fill()
    assert isinstance(rotten.salvage(RANGES[1:]), list)
    if switched:
        rename = os.rename

        def renamed(old: str, new: str) -> None:
            if old.endswith(COPY):
                raise KeyboardInterrupt
            rename(old, new)

        with monkeypatch.context() as patch:
            patch.setattr(os, "rename", renamed)
            patch.setattr(RocksRows, "_open", lambda self: None)
            patch.setattr(os.path, "isdir", lambda path: True)
            with pytest.raises(KeyboardInterrupt):
                rotten.rows.switch([])
        assert not rotten.folder.exists()
    else:
        rotten.rows.close()
    rotten.rows = rotten.open()
    page, _ = rotten.rows.page(*RANGES[0], 1000, None)
    assert len(page) == (0 if switched else KEYS)
    assert len(rotten.rows.page(*RANGES[1], 1000, None)[0]) == KEYS
    assert [path.name for path in rotten.folder.parent.iterdir()] == ["table"]


def test_without_room_for_a_copy_all_stays_as_it_is(rotten: Rotten) -> None:
    rotten.fill()
    rotten.refusal = OSError(errno.ENOSPC, "No space left on device")
    assert isinstance(rotten.salvage(), OSError)
    rotten.rows.abandon()
    rotten.refusal = None
    assert rotten.write([(b"\1\0\x09k", b"v")]) is None
    rotten.check([Salvaged(KEYS, True)] * PARTITIONS)


def test_a_copy_is_given_up_when_the_process_ends(rotten: Rotten) -> None:
    rotten.fill()
    rotten.rows.salvage(RANGES * 100, lambda found: None)
    rotten.loop.run_until_complete(asyncio.sleep(0.01))
    began = rotten.loop.time()
    rotten.rows.close()
    assert rotten.loop.time() - began < 5.0, "it went through all"
    rotten.loop.run_until_complete(asyncio.sleep(0.01))
    gc.collect()  # an iterator holds its database open
    rotten.rows = rotten.open()
    assert not Path(f"{rotten.folder}{COPY}").exists() and not Path(f"{rotten.folder}{REPLACED}").exists()


@pytest.fixture
def short_files() -> Iterator[None]:
    """No file of this process may be longer than some kilobytes: what is written behind that is refused, as on a full
    disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, handler)


def test_a_database_whose_files_were_refused_reads_on_and_is_opened_again(
    rotten: Rotten, request: pytest.FixtureRequest
) -> None:
    """The system itself refuses the bytes here, in the middle of a run and of a merge, and RocksDB takes no write any
    more until it is opened again."""
    rotten.fill()
    extra = {b"\1\0\x09%04d" % number: os.urandom(VALUE_BYTES) for number in range(200)}
    request.getfixturevalue("short_files")
    for _ in range(3):
        error = rotten.write(sorted(extra.items()))
        assert error is not None, "nothing was refused"
        rotten.check([Salvaged(KEYS, True)] * PARTITIONS)
        assert rotten.verify()[0] is None, "what was refused is no damage"
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert rotten.write(sorted(extra.items())) is None
    for _ in range(RUNS_MERGED):
        rotten.fill(1)
    rotten.rows.close()
    rotten.rows = rotten.open()
    rotten.check([Salvaged(KEYS, True)] * PARTITIONS)
    assert all(rotten.rows.get(key) == value for key, value in extra.items())


def test_a_copy_that_finds_no_room_is_given_up_and_made_later(rotten: Rotten, request: pytest.FixtureRequest) -> None:
    rotten.fill()
    request.getfixturevalue("short_files")
    found = rotten.salvage()
    if not isinstance(found, OSError):
        with pytest.raises(OSError):
            rotten.rows.switch([])
    rotten.rows.abandon()
    rotten.check([Salvaged(KEYS, True)] * PARTITIONS)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    found = rotten.salvage()
    assert found == [Salvaged(KEYS, True)] * PARTITIONS
    rotten.rows.switch([])
    rotten.check(found)
