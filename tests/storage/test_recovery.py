"""Recovery: what is cut, what is quarantined, for how long, and that no value is ever wrong."""

import re
from collections.abc import Callable
from itertools import accumulate
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import Damaged, StorageFull
from cluster.layout.partition import PARTITIONS
from cluster.storage import TABLE_HINTS
from cluster.storage.record import (
    BEGIN,
    HEADER_BYTES,
    MARK,
    VERSION,
    decode_mark,
    encode_row,
    encode_segment_header,
    seed_of,
)
from cluster.storage.segments import segment_path
from tests.storage.memory_disk import MemoryDisk, World

FIRST, SECOND, THIRD = segment_path(1), segment_path(2), segment_path(3)
EVERYWHERE = list(range(PARTITIONS))
RECORD_BYTES = HEADER_BYTES + len(encode_row(("k0", b"value")))


def end_of(record: int) -> int:
    """The offset in the first segment after so many records of `settled`."""
    return HEADER_BYTES + record * RECORD_BYTES


def settle(world: World) -> None:
    world.clock.run()
    while world.disk.pending:
        world.disk.finish_sync()
        world.clock.run()


def settled(records: int, *, segment_bytes: int = 1 << 20) -> World:
    """A world with `records` puts, number n of key kn in partition n, each synced alone."""
    world = World(segment_bytes=segment_bytes)
    for number in range(records):
        world.put(f"k{number}", partition=number)
        settle(world)
    return world


def marked(world: World) -> tuple[int, int]:
    mark = decode_mark(world.disk.read(MARK))
    assert mark is not None
    return mark.end


def keys(world: World) -> list[str]:
    return [key for partition in range(PARTITIONS) for key in world.scan(partition)]


def flip(disk: MemoryDisk, path: str, at: int, mask: int = 0x40) -> None:
    disk.files[path][at] ^= mask


def test_the_first_boot() -> None:
    world = World()
    recovery = world.recovery
    assert (recovery.records, recovery.bytes, recovery.segments, recovery.cut) == (0, 0, 0, False)
    assert world.recovery.recovering == {} and not world.recovery.may_have_forgotten
    again = world.reboot().recovery
    assert (again.segments, again.bytes) == (1, HEADER_BYTES) and again.lost == "", "nothing was put, nothing is lost"


def test_each_boot_goes_on_in_a_segment_of_its_own() -> None:
    world = settled(3).reboot()
    assert keys(world) == ["k0", "k1", "k2"] and not world.recovery.cut and world.recovery.recovering == {}
    world.put("k3", partition=3)
    settle(world)
    assert world.disk.segments == [FIRST, SECOND] and keys(world.reboot()) == ["k0", "k1", "k2", "k3"]


@pytest.mark.parametrize("lost", [1, 5, RECORD_BYTES - 1])
def test_a_torn_record_is_cut_and_the_log_goes_on_in_a_new_segment(lost: int) -> None:
    world = settled(3)
    del world.disk.files[FIRST][-lost:]
    world = world.reboot()
    assert world.recovery.cut and world.recovery.torn_bytes == RECORD_BYTES - lost
    assert world.recovery.recovering == {} and keys(world) == ["k0", "k1"]
    assert len(world.disk.files[FIRST]) == end_of(2)
    world.put("after", partition=9)
    settle(world)
    assert world.disk.segments == [FIRST, SECOND]
    world = world.reboot()
    assert keys(world) == ["k0", "k1", "after"] and not world.recovery.cut and world.recovery.recovering == {}


def test_cut_bytes_that_come_back_in_another_segment_are_no_records() -> None:
    world = settled(3)
    stale = bytes(world.disk.files[FIRST])
    del world.disk.files[FIRST][-1:]
    world = world.reboot()
    world.put("after", partition=9)
    settle(world)
    size = len(world.disk.files[SECOND])
    world.disk.files[SECOND] += stale[size:]
    world = world.reboot()
    assert keys(world) == ["k0", "k1", "after"] and list(world.store.recovering) == EVERYWHERE


@pytest.mark.parametrize("size", [0, 1, HEADER_BYTES - 1])
def test_a_torn_segment_header_is_written_anew(size: int) -> None:
    world = settled(1, segment_bytes=10)
    world.put("k1", partition=1)
    world.clock.run()
    del world.disk.files[SECOND][size:]
    world = world.reboot()
    assert keys(world) == ["k0"] and world.recovery.torn_bytes == size and world.recovery.recovering == {}
    world.put("again", partition=1)
    settle(world)
    world = world.reboot()
    assert keys(world) == ["k0", "again"]
    assert world.recovery.recovering == {} and not world.recovery.cut


def test_a_tail_of_zeros_is_torn() -> None:
    world = settled(2)
    world.disk.files[FIRST] += bytes(4096)
    world = world.reboot()
    assert world.recovery.torn_bytes == 4096 and world.recovery.recovering == {} and keys(world) == ["k0", "k1"]


@pytest.mark.parametrize("record", [0, 1, 2])
def test_a_bad_payload_costs_its_partition_even_at_the_end(record: int) -> None:
    world = settled(3)
    flip(world.disk, FIRST, end_of(record + 1) - 1)
    world = world.reboot()
    assert list(world.store.recovering) == [record] and not world.recovery.cut
    assert f"{FIRST}, bytes {end_of(record)} to {end_of(record + 1)}" in world.store.recovering[record]
    assert keys(world) == [f"k{number}" for number in range(3) if number != record]


@pytest.mark.parametrize("record", [0, 1, 2])
def test_a_bad_header_costs_every_partition(record: int) -> None:
    world = settled(3)
    flip(world.disk, FIRST, end_of(record) + 10)
    world = world.reboot()
    assert list(world.store.recovering) == EVERYWHERE and not world.recovery.cut
    assert keys(world) == [f"k{number}" for number in range(3) if number != record], "found again after the hole"


def cut_first(disk: MemoryDisk) -> None:
    del disk.files[FIRST][-3:]


def cut_first_at_a_record(disk: MemoryDisk) -> None:
    del disk.files[FIRST][end_of(1) :]


def zero_first(disk: MemoryDisk) -> None:
    disk.files[FIRST][end_of(1) :] = bytes(RECORD_BYTES)


def lose_first(disk: MemoryDisk) -> None:
    disk.remove(FIRST)


def lose_second(disk: MemoryDisk) -> None:
    disk.remove(SECOND)


def empty_second(disk: MemoryDisk) -> None:
    disk.truncate(SECOND, 0)


@pytest.mark.parametrize(
    ("harm", "left"),
    [
        (cut_first, [0, 2, 3, 4]),
        (cut_first_at_a_record, [0, 2, 3, 4]),
        (zero_first, [0, 2, 3, 4]),
        (lose_first, [2, 3, 4]),
        (lose_second, [0, 1, 4]),
        (empty_second, [0, 1, 4]),
    ],
)
def test_what_is_missing_before_the_last_segment_is_damage(harm: Callable[[MemoryDisk], None], left: list[int]) -> None:
    world = settled(5, segment_bytes=end_of(2))  # two records a segment
    assert world.disk.segments == [FIRST, SECOND, THIRD]
    harm(world.disk)
    world = world.reboot()
    assert keys(world) == [f"k{number}" for number in left]
    assert list(world.store.recovering) == EVERYWHERE and not world.recovery.cut


def test_a_segment_begun_anew_does_not_excuse_the_missing_one_before_it() -> None:
    world = settled(3, segment_bytes=10)
    world.disk.remove(SECOND)
    del world.disk.files[THIRD][5:]
    world = world.reboot()
    assert world.recovery.cut and list(world.store.recovering) == EVERYWHERE
    world.put("k3", partition=3)
    settle(world)
    world = world.reboot()
    assert keys(world) == ["k0", "k3"] and list(world.store.recovering) == EVERYWHERE


def test_damage_outside_the_range_of_the_layout_is_charged_too() -> None:
    world = World()
    world.put("local", partition=0xFFFF), world.put("other", partition=0xFFFD)
    world.clock.run()
    flip(world.disk, FIRST, len(world.disk.files[FIRST]) - 1)
    assert list(world.reboot().store.recovering) == [0xFFFD]
    flip(world.disk, FIRST, 0)
    assert list(world.reboot().store.recovering) == [*EVERYWHERE, 0xFFFD, 0xFFFF]


def test_a_quarantine_lasts_until_the_release_and_the_release_lasts() -> None:
    world = settled(3)
    flip(world.disk, FIRST, end_of(1))
    world = world.reboot().reboot()
    assert list(world.store.recovering) == EVERYWHERE
    for partition in EVERYWHERE[:-1]:
        world.store.complete(partition)
    world.store.complete(0)  # twice is harmless
    settle(world)
    assert list(world.store.recovering) == [PARTITIONS - 1]
    world = world.reboot()
    assert list(world.store.recovering) == [PARTITIONS - 1]


def test_a_release_does_not_excuse_damage_that_is_found_later() -> None:
    world = settled(4)
    world.put("more", partition=1)
    settle(world)
    flip(world.disk, FIRST, len(world.disk.files[FIRST]) - 1)  # of partition 1
    world = world.reboot()
    assert list(world.store.recovering) == [1]
    world.store.complete(1)
    settle(world)
    assert world.reboot().store.recovering == {}
    flip(world.disk, FIRST, end_of(2) - 1)  # of partition 1, and older than the release
    world = world.reboot()
    assert list(world.store.recovering) == [1]
    assert "more)" not in world.store.recovering[1]


def test_a_lost_tail_keeps_its_span_and_what_is_torn_after_it_is_torn() -> None:
    world = settled(2)
    flip(world.disk, FIRST, end_of(1))
    world = world.reboot()
    world.put("k1", partition=1)
    for partition in EVERYWHERE:
        world.store.complete(partition)
    settle(world)
    size = sum(map(len, world.disk.files.values()))
    world.put("torn", partition=5)
    settle(world)
    del world.disk.files[world.disk.segments[-1]][-1]
    world = world.reboot()
    assert world.recovery.cut and world.recovery.recovering == {} and keys(world) == ["k0", "k1"]
    assert world.recovery.bytes + 24 == size, "of the log, and a mark"
    assert world.store.hints_lost, "they are settled apart from the partitions"


def test_a_refused_release_leaves_the_quarantine() -> None:
    world = settled(2)
    flip(world.disk, FIRST, end_of(1) - 1)
    world = world.reboot()
    settle(world)
    reason = dict(world.store.recovering)
    world.disk.refusal = OSError(28, "No space left on device")
    outcome: list[object] = []
    world.store.complete(0, outcome.append)
    world.clock.run()
    assert isinstance(outcome[0], StorageFull)
    assert world.store.recovering == reason and world.undone_calls == 1


def test_a_version_of_the_future_is_refused() -> None:
    world = settled(1)
    header = encode_segment_header(1, (0, 0))
    fields = header[:3] + bytes([VERSION + 1]) + header[4:12]
    world.disk.files[FIRST][:HEADER_BYTES] = fields + crc32(fields, seed_of(1)).to_bytes(4, "little")
    with pytest.raises(Damaged, match=rf"log/00000001\.log has version {VERSION + 1}"):
        world.reboot()


def test_an_unreadable_file_is_named() -> None:
    world = settled(1)

    def read(path: str) -> bytes:
        if path != unreadable:
            return MemoryDisk.read(world.disk, path)
        raise OSError(5, "Input/output error")

    world.disk.read = read  # type: ignore[method-assign]
    for unreadable in (FIRST, MARK, BEGIN):
        with pytest.raises(Damaged, match=re.escape(unreadable)) as caught:
            world.reboot()
        assert caught.value.detail == {"file": unreadable}


def test_other_files_in_the_folder_are_left_alone() -> None:
    world = settled(1)
    for name in ("notes.txt", "1.log", "000000001.log", "00000002.log.tmp", "٠٠٠٠٠٠٠٢.log"):
        world.disk.files[f"log/{name}"] = bytearray(b"?")
    world = world.reboot()
    assert keys(world) == ["k0"] and world.recovery.segments == 1 and world.recovery.recovering == {}


Put = tuple[int, int, str, bytes | None]
PUTS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.integers(0, 3),
        st.sampled_from("abc"),
        st.none() | st.binary(max_size=30) | st.integers(0, 90).map(bytes) | st.just(encode_segment_header(1, (0, 0))),
    ),
    min_size=1,
    max_size=12,
)


def written(puts: list[Put], segment_bytes: int) -> World:
    world = World(segment_bytes=segment_bytes)
    for table, partition, key, value in puts:
        world.store.put(table, partition, key, value, None)
        settle(world)
    return world


def state(puts: list[Put]) -> dict[tuple[int, int, str], bytes]:
    rows: dict[tuple[int, int, str], bytes] = {}
    for table, partition, key, value in puts:
        rows.pop((table, partition, key), None)
        if value is not None:
            rows[table, partition, key] = value
    return rows


def state_of(world: World) -> dict[tuple[int, int, str], bytes]:
    return {
        (table, partition, key): value
        for table in (0, 1)
        for partition in range(4)
        for key, value in world.scan(partition, table=table).items()
    }


@given(PUTS, st.sampled_from([64, 200, 1 << 20]), st.data())
def test_any_cut_of_the_last_segment_leaves_the_records_that_were_whole(
    puts: list[Put], segment_bytes: int, data: st.DataObject
) -> None:
    world = written(puts, segment_bytes)
    last = world.disk.segments[-1]
    sizes = [HEADER_BYTES + len(encode_row((key, value))) for _, _, key, value in puts]
    size = data.draw(st.integers(0, len(world.disk.files[last])))
    segments = world.disk.segments
    remains = sum(len(world.disk.files[path]) for path in segments if path != last) + size
    headers = HEADER_BYTES * (len(segments) - (size < HEADER_BYTES))
    number, offset = marked(world)
    lost = number == len(segments) and size < offset
    whole = sum(end <= remains - headers for end in accumulate(sizes))
    del world.disk.files[last][size:]
    world = world.reboot()
    assert state_of(world) == state(puts[:whole])
    recovery = world.recovery
    assert recovery.records == whole and recovery.torn_bytes == remains - recovery.bytes
    assert bool(recovery.lost) == lost and list(recovery.recovering) == (EVERYWHERE if lost else [])
    more: list[Put] = [(0, 0, "a", b"after"), (1, 1, "b", None)]
    for put in more:
        world.store.put(*put, None)
    settle(world)
    world = world.reboot()
    assert state_of(world) == state(puts[:whole] + more)
    assert not world.recovery.cut and world.recovery.recovering == recovery.recovering


@given(PUTS, st.sampled_from([64, 200, 1 << 20]), st.integers(1, 255), st.data())
def test_any_flipped_byte_is_noticed_and_gives_no_wrong_value(
    puts: list[Put], segment_bytes: int, mask: int, data: st.DataObject
) -> None:
    world = written(puts, segment_bytes)
    path = data.draw(st.sampled_from(list(world.disk.files)))
    flip(world.disk, path, data.draw(st.integers(0, len(world.disk.files[path]) - 1)), mask)
    world = world.reboot()
    expected, found, store = state(puts), state_of(world), world.store
    assert (store.recovering or store.hints_lost) and not world.recovery.cut
    for table, partition, key in expected.keys() | found.keys():
        if found.get((table, partition, key)) != expected.get((table, partition, key)):
            assert store.hints_lost if table == TABLE_HINTS else partition in store.recovering
    history = {(table, partition, key, value) for table, partition, key, value in puts}
    assert all((*where, value) in history for where, value in found.items())
    again = world.reboot()
    assert state_of(again) == found
    assert again.store.recovering == store.recovering and again.store.hints_lost == store.hints_lost
