"""Checkpoints: what they copy, what they carry, and when the log is cut behind them."""

import errno
from zlib import crc32

import pytest

from cluster.config import Durability
from cluster.storage import checkpoints
from cluster.storage.record import (
    BEGIN,
    CHECKPOINT,
    HEADER_BYTES,
    PAGE,
    ROW,
    decode_begin,
    decode_page,
    encode_records,
    encode_row,
    encode_segment_header,
    scan,
    seed_of,
)
from cluster.storage.recovery import HINTS
from cluster.storage.segments import segment_path
from tests.storage.memory_disk import World

FULL = OSError(errno.ENOSPC, "No space left on device")
SEGMENT_BYTES = 300


def rest(world: World, seconds: float = 5.0) -> None:
    """Time goes by, and syncs end."""
    for _ in range(int(seconds * 100)):
        world.clock.advance(0.01)
        while world.disk.pending:
            world.disk.finish_sync()


def fill(world: World, rounds: int = 20, keys: int = 10) -> World:
    """Write the same keys over and over, and let the log come to rest."""
    for number in range(rounds):
        for key in range(keys):
            world.put(f"k{key}", b"%d" % number, partition=key % 3)
        world.clock.advance(0.02)
        while world.disk.pending:
            world.disk.finish_sync()
    rest(world)
    return world


def cut(durability: Durability = Durability.INTERVAL) -> World:
    """A store whose log was cut."""
    world = fill(World(durability=durability, segment_bytes=SEGMENT_BYTES))
    assert begins(world) > 1 and world.recorded.count("storage.cut") > 1
    return world


def begins(world: World) -> int:
    """With which segment the log begins."""
    if BEGIN not in world.disk.files:
        return 1
    begin = decode_begin(world.disk.read(BEGIN))
    assert begin is not None
    return begin.segment


def rows(world: World) -> dict[str, bytes]:
    return {key: value for partition in range(3) for key, value in world.scan(partition).items()}


def kinds(world: World) -> list[int]:
    """Of all records, in order."""
    return [
        item[2]
        for path in world.disk.segments
        for item in scan(world.disk.read(path), int(path[4:12]))
        if isinstance(item, tuple)
    ]


@pytest.mark.parametrize("durability", Durability)
def test_a_log_that_is_written_over_stays_short(durability: Durability) -> None:
    world = cut(durability)
    assert sum(len(world.disk.files[path]) for path in world.disk.segments) < 6 * SEGMENT_BYTES
    assert [path for path in world.disk.segments if path < segment_path(begins(world))] == []
    again = world.reboot()
    assert rows(again) == {f"k{key}": b"19" for key in range(10)} and again.recovery.recovering == {}
    assert again.recovery.lost == ""


def test_a_log_at_rest_is_not_copied_again_and_again() -> None:
    world = cut()
    appends = len(world.disk.appends)
    rest(world, 60.0)
    assert len(world.disk.appends) == appends and world.clock.calls == []


def test_a_log_whose_rows_were_all_overwritten_comes_to_rest_at_twice_its_first_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also when the rows have grown meanwhile, as they do with the clock entries of more coordinators. While 10 MB a
    second are written, a first round of checkpoints ends before the log is four times as long, and then it shrinks,
    though a slice takes twice what it does on a quiet machine."""
    rows, row_bytes = 10_000, 200
    world = World(segment_bytes=rows * row_bytes // 14)
    append, log = world.store._log.append, world.store._log

    def slow_slices(records: list[tuple[int, int, int, bytes]]) -> None:
        if records[0][2] == PAGE:
            world.clock.time += 0.0005
        append(records)

    def write_all(row: bytes) -> int:
        """Returns how long the log was at most."""
        longest = 0
        for number in range(rows):
            world.store.put(0, number % 16, f"key-{number:08d}", row, None)
            if number % 20 == 19:
                world.clock.advance(0.0005)
                while world.disk.pending:
                    world.disk.finish_sync()
                longest = max(longest, log.bytes)
        return longest

    monkeypatch.setattr(log, "append", slow_slices)
    write_all(bytes(row_bytes))
    rest(world, 2.0)
    first = log.bytes
    longest = [write_all(bytes(row_bytes * 5 // 4)) for _ in range(5)]
    rest(world, 10.0)
    assert max(longest) <= 3.8 * first and longest[-1] <= 2.6 * first
    assert log.bytes <= 2 * first


def test_many_short_segments_become_few() -> None:
    world = World()
    world.put("k0", b"0")
    rest(world)
    for _ in range(checkpoints.SEGMENTS_MAX + 10):
        world = world.reboot()
    assert len(world.disk.segments) > checkpoints.SEGMENTS_MAX
    rest(world)
    assert len(world.disk.segments) <= 2 and rows(world.reboot()) == {"k0": b"0"}


def test_no_page_holds_what_was_only_staged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice that falls into a pass waits for its batch, be it taken or refused."""
    monkeypatch.setattr(checkpoints, "PAGE_ROWS", 1)
    world = cut()
    append = world.store._log.append

    def room_for_pages(records: list[tuple[int, int, int, bytes]]) -> None:
        if records[0][2] == ROW:
            raise FULL
        append(records)

    monkeypatch.setattr(world.store._log, "append", room_for_pages)
    for _ in range(100):
        world.store.checkpoints.drop(world.store._log.first)
        world.clock.time += 0.01  # the slice is due, and comes when this pass has staged something
        refused = world.put("k0", b"never"), world.put("new", b"never"), world.put("k3", None)
        world.clock.run()
        assert all(isinstance(error, Exception) for (error,) in refused)
    rest(world)
    monkeypatch.setattr(world.store._log, "append", append)
    assert rows(world.reboot()) == {f"k{key}": b"19" for key in range(10)}


def test_a_page_that_was_refused_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was replaced or deleted while the disk was full does not come back with it."""
    monkeypatch.setattr(checkpoints, "PAGE_ROWS", 1)
    world = cut()
    append = world.store._log.append

    def without_room(records: list[tuple[int, int, int, bytes]]) -> None:
        if records[0][2] == PAGE:
            raise FULL
        append(records)

    for key in range(10):
        monkeypatch.setattr(world.store._log, "append", without_room)
        world.store.checkpoints.drop(world.store._log.first)
        rest(world, 0.1)
        monkeypatch.setattr(world.store._log, "append", append)
        world.put(f"k{key}", None, partition=key % 3)
        world.clock.run()
        rest(world)
    assert rows(world.reboot()) == {}


def test_deleted_rows_are_not_the_end_of_a_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "PAGE_ROWS", 1)
    world = World(segment_bytes=SEGMENT_BYTES)
    for key in range(4):
        world.put(f"k{key}", b"value")
    rest(world)
    world.store.checkpoints.drop(1)
    world.clock.advance(0.001)  # one row is copied
    for key in (1, 2):
        world.put(f"k{key}", None)
    rest(world)
    assert begins(world) > 1 and set(world.reboot().scan(0)) == {"k0", "k3"}


def test_a_loss_outlives_the_segments_that_noted_it() -> None:
    world = World(segment_bytes=SEGMENT_BYTES)
    world.store.lose([1, 200], "why")
    fill(world)
    assert begins(world) > 1
    world = world.reboot()
    assert world.store.recovering == {1: "why", 200: "why"}
    world.store.complete(1)
    fill(world)
    assert set(world.reboot().store.recovering) == {200}


def test_lost_hints_outlive_the_segments_that_noted_it() -> None:
    world = World(segment_bytes=SEGMENT_BYTES)
    world.store.lose([HINTS], "hints are gone")
    fill(world)
    assert begins(world) > 1 and world.reboot().store.hints_lost == "hints are gone"


def test_a_loss_is_not_carried_past_its_release() -> None:
    """Under `always` the release is in the log for a while before anybody may rely on it."""
    world = fill(World(durability=Durability.ALWAYS, segment_bytes=SEGMENT_BYTES))
    world.store.lose([1], "why")
    world.store.complete(1)
    world.clock.run()
    world.store.checkpoints.drop(world.store._log.first)
    world.clock.advance(1.0)
    for _ in range(50):
        world.clock.advance(0.1)
    assert world.reboot().store.recovering == {}


def test_files_that_a_power_loss_brings_back_are_not_read() -> None:
    world = World(segment_bytes=SEGMENT_BYTES)
    for key in range(10):
        world.put(f"k{key}", b"old", partition=key % 3)
    world.clock.run()
    old = {path: bytes(world.disk.files[path]) for path in world.disk.segments}
    for key in range(10):
        world.put(f"k{key}", None, partition=key % 3)
    rest(world)
    fill(world, keys=3)
    assert not old.keys() & world.disk.files.keys()
    for path, data in old.items():
        world.disk.files[path] = bytearray(data)
    world = world.reboot()
    assert set(rows(world)) == {"k0", "k1", "k2"} and world.recovery.recovering == {}
    assert not old.keys() & world.disk.files.keys()


@pytest.mark.parametrize("at", range(20))
def test_a_begin_that_is_damaged_or_gone_shows(at: int) -> None:
    world = cut()
    if at:
        world.disk.files[BEGIN][at] ^= 0x10
    else:
        del world.disk.files[BEGIN]
    world = world.reboot()
    assert set(world.store.recovering) == set(range(3, 256)), "segments may be missing, and all of these is here"
    assert world.store.hints_lost and rows(world) == {f"k{key}": b"19" for key in range(10)}
    fill(world)
    world = world.reboot()
    assert set(world.store.recovering) == set(range(3, 256)) and world.store.hints_lost, "that is carried on"


def test_an_old_begin_that_was_put_back_shows() -> None:
    world = cut()
    old = world.disk.read(BEGIN)
    fill(world)
    world.disk.files[BEGIN] = bytearray(old)
    assert world.reboot().store.recovering


def test_damage_behind_which_everything_was_written_again_took_nothing() -> None:
    world = World(segment_bytes=SEGMENT_BYTES)
    for key in range(20):
        world.put(f"k{key}", b"value", partition=key % 3)
        world.clock.run()
        while world.disk.pending:
            world.disk.finish_sync()
    world.store.checkpoints.drop(1)
    for _ in range(100):
        world.clock.advance(0.01)  # all is copied, and no sync ends
    first = segment_path(1)
    assert first in world.disk.files and kinds(world).count(CHECKPOINT) == 3
    world.disk.files[first][HEADER_BYTES + 20] ^= 1
    again = world.reboot()
    assert again.store.recovering == {} and set(rows(again)) == {f"k{key}" for key in range(20)}


@pytest.mark.parametrize("kind", [PAGE, CHECKPOINT])
def test_damage_in_a_checkpoint_is_damage(kind: int) -> None:
    world = cut()
    [*_, (path, start, partition)] = places(world, kind)
    world.disk.files[path][start + HEADER_BYTES] ^= 1
    assert set(world.reboot().store.recovering) == {partition}


def places(world: World, kind: int) -> list[tuple[str, int, int]]:
    """File, offset and partition of the records of a kind."""
    found = []
    for path in world.disk.segments:
        at = HEADER_BYTES
        for item in scan(world.disk.read(path), int(path[4:12])):
            assert isinstance(item, tuple)
            if item[2] == kind:
                found.append((path, at, item[0]))
            at += HEADER_BYTES + len(item[3])
    return found


def test_a_boot_with_damage_writes_everything_again_and_stays_in_quarantine() -> None:
    world = cut()
    path, start, partition = places(world, PAGE)[0]
    world.disk.files[path][start + HEADER_BYTES] ^= 1
    world = world.reboot()
    assert set(world.store.recovering) == {partition}
    rest(world)
    assert path not in world.disk.files, "the damage is gone"
    assert set(world.reboot().store.recovering) == {partition}, "what it took is not back"


def test_a_checkpoint_that_finds_no_room_waits_and_loses_nothing() -> None:
    world = World(segment_bytes=SEGMENT_BYTES)
    for number in range(60):
        world.put(f"k{number % 10}", b"%d" % number, partition=number % 10 % 3)
        world.clock.run()
    world.disk.refusal = FULL
    rest(world)
    assert begins(world) == 1
    world.disk.refusal = None
    fill(world)
    assert begins(world) > 1 and rows(world.reboot()) == {f"k{key}": b"19" for key in range(10)}


def test_a_log_of_the_version_before_is_read_and_goes_on() -> None:
    world = World(recover=False, segment_bytes=SEGMENT_BYTES)
    fields = bytearray(encode_segment_header(1, (0, 0)))
    fields[3] = 2
    fields[12:] = crc32(fields[:12], seed_of(1)).to_bytes(4, "little")
    records = [(key % 3, 0, ROW, encode_row((f"old{key}", b"value"))) for key in range(30)]
    world.disk.files[segment_path(1)] = fields + encode_records(records, seed_of(1), HEADER_BYTES)
    world.recovery = world.recover()
    assert world.recovery.recovering == {} and len(rows(world)) == 30
    fill(world, rounds=40)
    assert begins(world) > 1 and len(rows(world.reboot())) == 40


def test_pages_hold_what_is_there_now() -> None:
    world = cut()
    last = {
        key: value
        for path in world.disk.segments
        for item in scan(world.disk.read(path), int(path[4:12]))
        if isinstance(item, tuple) and item[2] == PAGE
        for key, value in decode_page(item[3]).items()
    }
    assert last and set(last) <= {f"k{key}" for key in range(10)}


def test_the_status_tells_how_long_the_log_is() -> None:
    world = cut()
    status = world.store.status()
    assert status["log_bytes"] == sum(len(world.disk.files[path]) for path in world.disk.segments)
    assert status["log_segments"] == len(world.disk.segments)
    assert isinstance(status["checkpoints"], int) and status["checkpoints"] >= 3
    assert (status["durability"], status["store"]) == ("interval", "memory")


@pytest.mark.parametrize("header", [False, True])
def test_a_row_whose_damaged_removal_was_before_a_checkpoint_stays_removed(header: bool) -> None:
    """The checkpoint has every row that was alive, so the damage takes nothing; what it does not have is no more."""
    world = World(segment_bytes=1 << 20)
    world.put("gone", b"old")
    world.put("kept", b"value")
    rest(world, 0.1)
    [path] = world.disk.segments
    begin = len(world.disk.files[path])
    world.put("gone", None)
    rest(world, 0.1)
    assert len(world.disk.files[path]) > begin
    world.store.checkpoints.drop(1)
    while CHECKPOINT not in kinds(world):
        world.clock.advance(0.01)
    world.disk.files[path][begin + (4 if header else HEADER_BYTES)] ^= 1
    again = world.reboot()
    assert again.scan(0) == {"kept": b"value"}
    assert 0 not in again.recovery.recovering
