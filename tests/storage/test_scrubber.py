"""The scrubber finds each byte that flips in the log of a store that runs, and the store writes again what it took."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.storage import scrubber
from cluster.storage.record import HEADER_BYTES
from cluster.storage.scrubber import READ_BYTES, ROUND_S
from tests.storage.memory_disk import MemoryDisk, World

KEYS = 12


def filled(value_bytes: int = 30) -> World:
    """Some segments, the last of which is not full."""
    world = World(segment_bytes=300)
    world.store.lose([7], "why")
    for key in range(KEYS):
        world.put(f"k{key}", bytes(value_bytes), partition=key % 3)
        go_on(world, 0.01)
    go_on(world, 2.0)
    assert len(world.disk.segments) > 1
    world.store.scrubber.start()
    return world


def go_on(world: World, seconds: float) -> None:
    for _ in range(max(1, int(seconds * 20))):
        world.clock.advance(0.05)
        while world.disk.pending:
            world.disk.finish_sync()


def whole(world: World) -> bool:
    """Whether the next boot finds all, and misses nothing that was not missing."""
    after = world.reboot()
    found = {key for partition in range(3) for key in after.scan(partition)}
    return found == {f"k{key}" for key in range(KEYS)} and after.store.recovering == {7: "why"}


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_a_flipped_byte_anywhere_is_found_and_made_good(where: float, at: float, bits: int) -> None:
    world = filled()
    path = world.disk.segments[int(where * len(world.disk.segments))]
    world.disk.files[path][int(at * len(world.disk.files[path]))] ^= bits
    go_on(world, ROUND_S + 10.0)
    assert "storage.damaged" in world.recorded and path not in world.disk.files
    assert whole(world)


def test_what_is_well_is_left_alone() -> None:
    world = filled()
    before = dict(world.disk.files)
    go_on(world, 3 * ROUND_S)
    assert world.store.scrubber.rounds == 2 and world.recorded == [] and world.disk.files == before


def test_records_longer_than_a_read_and_segments_longer_than_one() -> None:
    world = World(segment_bytes=10 * READ_BYTES)
    for key in range(KEYS):
        world.put(f"k{key}", bytes(READ_BYTES // 2 if key % 2 else 2 * READ_BYTES), partition=key % 3)
        go_on(world, 0.01)
    world.store.lose([7], "why")
    world.store.scrubber.start()
    go_on(world, ROUND_S + 10.0)
    assert world.store.scrubber.rounds == 1 and world.recorded == []
    world.disk.files[world.disk.segments[0]][5 * READ_BYTES] ^= 1
    go_on(world, ROUND_S + 10.0)
    assert world.recorded[0] == "storage.damaged" and whole(world)


def test_a_segment_that_cannot_be_read_is_written_again() -> None:
    world = filled()
    first = world.disk.segments[0]

    def read(path: str) -> bytes:
        if path == first:
            raise OSError(5, "Input/output error")
        return MemoryDisk.read(world.disk, path)

    world.disk.read = read  # type: ignore[method-assign]
    go_on(world, ROUND_S + 10.0)
    assert "storage.damaged" in world.recorded and first not in world.disk.files
    assert whole(world)


def test_a_segment_that_is_cut_while_it_is_read_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrubber, "READ_BYTES", 2 * HEADER_BYTES)
    world = filled()
    late: list[Callable[[], None]] = []

    def read_part(path: str, start: int, size: int, done: Callable[[bytes | OSError], None]) -> None:
        late.append(lambda: MemoryDisk.read_part(world.disk, path, start, size, done))

    world.disk.read_part = read_part  # type: ignore[method-assign]
    go_on(world, ROUND_S + 1.0)
    while late:
        world.store.checkpoints.drop(world.store._log.end[0])
        go_on(world, 1.0)
        late.pop(0)()
        go_on(world, 0.1)
        if world.store.scrubber.rounds:
            break
    assert "storage.cut" in world.recorded and "storage.damaged" not in world.recorded
    assert world.store.scrubber.rounds == 1, "it goes on behind what is gone"
