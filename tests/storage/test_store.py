"""The store in one life: visibility, batches, acknowledgements, refusals, syncs and rotation."""

import errno

import pytest

from cluster.config import Durability
from cluster.errors import StorageFull
from cluster.storage.segments import segment_path
from tests.storage.memory_disk import World

FULL = OSError(errno.ENOSPC, "No space left on device")
BROKEN = OSError(errno.EIO, "Input/output error")
FIRST, SECOND = segment_path(1), segment_path(2)


def test_a_put_is_visible_at_once_and_acknowledged_after_the_write() -> None:
    world = World()
    done = world.put("a", b"1", partition=7)
    assert world.store.get(1, 7, "a") == b"1"
    assert done == [] and world.disk.appends == []
    world.clock.run()
    assert done == [None] and len(world.disk.appends) == 1


def test_one_pass_is_one_append_in_the_order_of_the_puts() -> None:
    world = World()
    order: list[str] = []
    for name in ("a", "b", "c"):
        world.store.put(1, 0, name, b"", lambda error, name=name: order.append(name))  # type: ignore[misc]
    world.store.put(1, 0, "silent", b"", None)
    world.clock.run()
    assert order == ["a", "b", "c"] and len(world.disk.appends) == 1


def test_a_put_from_a_done_goes_with_the_next_batch() -> None:
    world = World()
    world.store.put(1, 0, "a", b"", lambda error: world.store.put(1, 0, "b", b"", None))
    world.clock.run()
    assert len(world.disk.appends) == 2
    assert list(world.reboot().store.rows(1, 0)) == ["a", "b"]


def test_rows_and_partitions() -> None:
    world = World()
    rows = world.store.rows(1, 9)
    assert dict(rows) == {} and world.store.partitions(1) == []
    world.put("b", partition=9), world.put("a", partition=9), world.put("x", partition=2), world.put("y", table=2)
    world.put("x", None, partition=2)
    assert list(rows) == ["b", "a"]
    assert world.store.partitions(1) == [9] and world.store.partitions(2) == [0]
    assert world.store.get(1, 2, "x") is None and world.store.get(3, 3, "x") is None


@pytest.mark.parametrize(("table", "partition"), [(256, 0), (-1, 0), (0, 65536), (0, -1)])
def test_numbers_that_the_header_has_no_room_for(table: int, partition: int) -> None:
    with pytest.raises(AssertionError):
        World().store.put(table, partition, "a", b"", None)


def test_a_key_that_cannot_be_encoded_stages_nothing() -> None:
    world = World()
    with pytest.raises(UnicodeEncodeError):
        world.put("\ud800")
    world.put("a")
    world.clock.run()
    assert list(world.reboot().store.rows(1, 0)) == ["a"]


def test_a_refused_batch_is_undone_newest_first_and_the_next_is_tried_again() -> None:
    world = World()
    world.put("kept", b"old"), world.put("gone", b"old")
    world.clock.run()
    size = len(world.disk.files[FIRST])
    world.disk.refusal = FULL
    seen: list[bytes | None] = []
    outcomes = [world.put("kept", b"new"), world.put("kept", None), world.put("gone", None), world.put("fresh", b"new")]
    world.store.put(1, 0, "kept", b"newest", lambda error: seen.append(world.store.get(1, 0, "kept")))
    assert world.store.get(1, 0, "kept") == b"newest"
    world.clock.run()
    assert dict(world.store.rows(1, 0)) == {"kept": b"old", "gone": b"old"}
    assert all(isinstance(error, StorageFull) and error.definite for (error,) in outcomes)
    assert seen == [b"old"], "all is undone before anyone hears of it"
    assert world.store.undone == 5 and world.undone_calls == 1
    assert len(world.disk.files[FIRST]) == size
    world.disk.refusal = None
    done = world.put("kept", b"again")
    world.clock.run()
    assert done == [None]
    assert dict(world.reboot().store.rows(1, 0)) == {"kept": b"again", "gone": b"old"}


def test_a_refused_first_batch_leaves_a_segment_that_can_still_be_begun() -> None:
    world = World()
    world.disk.refusal = FULL
    world.put("a")
    world.clock.run()
    world.disk.refusal = None
    world.put("b")
    world.clock.run()
    after = world.reboot()
    assert list(after.store.rows(1, 0)) == ["b"] and after.recovery.quarantined == {}


def test_interval_syncs_a_second_after_the_first_unsynced_append_and_rests_when_idle() -> None:
    world = World()
    world.put("a")
    world.clock.run()
    world.clock.advance(0.5)
    world.put("b")
    world.clock.run()
    assert world.disk.pending == []
    world.clock.advance(0.5)
    assert len(world.disk.pending) == 1
    world.disk.finish_sync()
    world.clock.advance(10.0)
    assert world.disk.pending == [] and world.clock.calls == []


def test_interval_syncs_again_what_came_while_a_sync_ran() -> None:
    world = World()
    world.put("a")
    world.clock.run()
    world.clock.advance(1.0)
    world.put("b")
    world.clock.advance(5.0)
    assert len(world.disk.pending) == 1, "one sync at a time"
    world.disk.finish_sync()
    world.clock.advance(1.0)
    assert len(world.disk.pending) == 1


def test_always_acknowledges_after_the_sync_and_groups_what_came_meanwhile() -> None:
    world = World(durability=Durability.ALWAYS)
    first = world.put("a")
    world.clock.run()
    assert len(world.disk.pending) == 1 and first == []
    later = [world.put("b")]
    world.clock.run()
    later.append(world.put("c"))
    world.clock.run()
    assert len(world.disk.pending) == 1
    world.disk.finish_sync()
    assert first == [None] and later == [[], []]
    assert len(world.disk.pending) == 1, "the next group"
    world.disk.finish_sync()
    assert later == [[None], [None]] and world.disk.pending == []
    assert world.disk.synced[FIRST] == len(world.disk.files[FIRST])


@pytest.mark.parametrize("durability", Durability)
def test_a_failed_sync_is_fatal_and_nothing_is_acknowledged_after_it(durability: Durability) -> None:
    world = World(durability=durability)
    waiting = world.put("a")
    world.clock.run()
    world.clock.advance(1.0)
    world.disk.finish_sync(BROKEN)
    assert world.fatal == [BROKEN]
    late = world.put("b")
    world.clock.advance(10.0)
    assert late == [] and world.disk.pending == []
    assert waiting == ([] if durability is Durability.ALWAYS else [None])


@pytest.mark.parametrize("durability", Durability)
def test_a_full_segment_is_synced_before_the_next_is_begun(durability: Durability) -> None:
    world = World(durability=durability, segment_bytes=100)
    world.put("a", b"x" * 100)
    world.clock.run()
    assert len(world.disk.pending) == 1, "no second passes before a full segment is synced"
    held = world.put("b")
    world.clock.run()
    assert held == [] and SECOND not in world.disk.files
    assert world.store.get(1, 0, "b") == b"value"
    world.disk.finish_sync()
    assert held == []
    world.clock.run()
    assert world.disk.synced[FIRST] == len(world.disk.files[FIRST])
    assert len(world.disk.files[SECOND]) > 0 and world.disk.closed == [FIRST]
    world.clock.advance(1.0)
    world.disk.finish_sync()
    assert held == [None]


def test_a_refusal_at_the_rotation_keeps_nothing_and_is_tried_again() -> None:
    world = World(segment_bytes=10)
    world.put("a")
    world.clock.run()
    world.disk.finish_sync()
    world.disk.refusal = FULL
    refused = world.put("b")
    world.clock.run()
    assert isinstance(refused[0], StorageFull)
    world = world.reboot()
    assert world.recovery.segments == 2 and world.recovery.quarantined == {} and not world.recovery.cut
    world.put("c")
    world.clock.run()
    assert list(world.reboot().store.rows(1, 0)) == ["a", "c"]


def test_many_segments_are_replayed_in_order() -> None:
    world = World(segment_bytes=200)
    for number in range(100):
        world.put(f"k{number % 10}", str(number).encode(), partition=number % 10)
        world.clock.run()
        while world.disk.pending:
            world.disk.finish_sync()
            world.clock.run()
    world = world.reboot()
    assert world.recovery.segments > 10 and world.recovery.records == 100
    assert world.recovery.bytes == sum(map(len, world.disk.files.values()))
    assert {p: dict(world.store.rows(1, p)) for p in range(10)} == {p: {f"k{p}": b"9%d" % p} for p in range(10)}


def test_what_is_waiting_at_the_end_is_never_acknowledged() -> None:
    world = World(durability=Durability.ALWAYS)
    waiting, staged = world.put("a"), []
    world.clock.run()
    staged = world.put("b")
    world.store.close()
    world.disk.finish_sync()
    world.clock.advance(5.0)
    assert waiting == staged == [] and world.disk.closed == [FIRST]


def test_what_an_earlier_life_left_unsynced_is_synced() -> None:
    world = World()
    world.put("a")
    world.clock.run()
    world = world.reboot()
    world.clock.advance(1.0)
    world.disk.finish_sync()
    assert world.disk.synced[FIRST] == len(world.disk.files[FIRST])
