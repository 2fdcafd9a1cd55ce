"""What a node lost: written down before anybody is told, remembered through any number of boots, until it is made good;
and what shows at a boot that something was lost."""

import errno
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.config import Durability
from cluster.errors import StorageFull
from cluster.storage.record import HEADER_BYTES, MARK, Mark, decode_mark, encode_mark
from cluster.storage.recovery import HINTS
from cluster.storage.segments import segment_path
from tests.storage.memory_disk import World

FIRST = segment_path(1)
FULL = OSError(errno.ENOSPC, "No space left on device")
ALL = list(range(256))


def synced(world: World) -> World:
    """All that was put is on the medium, and marked."""
    world.clock.run()
    while world.disk.pending or world.clock.calls:
        world.clock.advance(1.0)
        while world.disk.pending:
            world.disk.finish_sync()
    return world


def filled(count: int = 3, durability: Durability = Durability.INTERVAL, segment_bytes: int = 1 << 20) -> World:
    """Keys k0, k1… in the partitions of their numbers."""
    world = World(durability=durability, segment_bytes=segment_bytes)
    for number in range(count):
        world.put(f"k{number}", partition=number)
        synced(world)
    return world


def kept(world: World) -> list[str]:
    return [key for partition in range(8) for key in world.scan(partition)]


def test_a_loss_is_on_the_medium_when_lose_returns_and_outlasts_boots() -> None:
    world = World()
    world.store.lose([3, 5], "n2 lost its hints")
    assert world.store.recovering == {3: "n2 lost its hints", 5: "n2 lost its hints"}
    assert world.disk.synced[FIRST] == len(world.disk.files[FIRST])
    for _ in range(3):
        world = world.reboot()
        assert world.store.recovering == {3: "n2 lost its hints", 5: "n2 lost its hints"}
        assert world.recovery.lost == "", "a loss that is known is no new one"


def test_what_is_staged_is_neither_lost_nor_acknowledged_by_a_loss() -> None:
    world = World()
    done = world.put("a")
    world.store.lose([0], "why")
    assert done == []
    world.clock.run()
    assert done == [None] and kept(world.reboot()) == ["a"]


def test_acknowledgements_that_wait_for_a_sync_are_made_after_a_loss_too() -> None:
    world = World(durability=Durability.ALWAYS)
    first = world.put("a")
    world.clock.run()
    second = world.put("b")
    world.clock.run()
    world.store.lose([0], "why")
    synced(world)
    assert first == second == [None]


def test_a_loss_that_cannot_be_written_is_refused_and_still_suspends_the_vote() -> None:
    world = World()
    world.disk.refusal = FULL
    with pytest.raises(StorageFull):
        world.store.lose([1], "why")
    assert world.store.recovering == {1: "why"}
    world.disk.refusal = None
    world.store.lose([1], "why")
    assert world.reboot().store.recovering == {1: "why"}


def test_a_sync_that_fails_under_a_loss_is_fatal() -> None:
    world = World()
    world.put("a")
    world.clock.run()
    broken = OSError(errno.EIO, "Input/output error")

    def fails() -> None:
        raise broken

    world.store._log._file.flush = fails  # type: ignore[method-assign, union-attr]
    with pytest.raises(StorageFull):
        world.store.lose([1], "why")
    assert world.fatal == [broken]


@pytest.mark.parametrize("durability", Durability)
def test_a_partition_is_complete_once_its_release_is_as_durable_as_a_put(durability: Durability) -> None:
    world = World(durability=durability)
    world.store.lose([1, 2], "why")
    row = world.put("a", partition=1)
    outcome: list[object] = []
    world.store.complete(1, outcome.append)
    assert 1 in world.store.recovering
    world.clock.run()
    if durability is Durability.ALWAYS:
        assert row == outcome == [] and 1 in world.store.recovering
        synced(world)
    assert row == outcome == [None] and world.store.recovering == {2: "why"}
    world = world.reboot()
    assert world.store.recovering == {2: "why"} and kept(world) == ["a"]


def test_what_is_lost_while_a_partition_is_being_completed_stays_lost() -> None:
    world = World()
    world.store.lose([1], "first")
    world.store.complete(1)
    world.store.lose([1], "second")
    world.clock.run()
    assert world.store.recovering == {1: "second"} == world.reboot().store.recovering


def test_a_flipped_byte_in_the_release_of_a_loss_is_the_cause_that_is_named() -> None:
    world = World()
    world.store.lose([1], "its directory was empty")
    start = len(world.disk.files[FIRST])
    world.store.complete(1)
    synced(world)
    world.disk.files[FIRST][start + HEADER_BYTES] ^= 1
    cause = world.reboot().store.recovering[1]
    assert "checksum" in cause and cause.endswith("(and 1 more)"), cause


def test_the_rows_that_completed_a_partition_outlast_its_release() -> None:
    """Cut anywhere behind the loss: whoever finds the release finds them."""
    world = World()
    world.store.lose([1], "why")
    start = len(world.disk.files[FIRST])
    world.put("a", partition=1), world.put("b", partition=1)
    world.store.complete(1)
    world.clock.run()
    whole = bytes(world.disk.files[FIRST])
    for size in range(start, len(whole) + 1):
        world.disk.files[FIRST][:] = whole[:size]
        for path in world.disk.segments[1:]:
            world.disk.remove(path)
        after = world.reboot()
        assert after.store.recovering or kept(after) == ["a", "b"]


def test_a_new_id_that_loses_again_is_not_excused_by_what_an_older_one_made_good() -> None:
    """Its boots, and so its losses, are counted from 1 again."""
    world = World()
    world.store.lose([1], "before")
    world.store.complete(1)
    synced(world)
    world.store.close()
    again = World(world.disk)
    again.store.lose([1], "after")
    assert again.store.recovering == {1: "after"}
    assert again.reboot().store.recovering == {1: "after"}


def test_hints_are_lost_and_settled_apart_from_rows() -> None:
    world = World()
    world.store.lose([HINTS], "a hint could not be read")
    assert world.store.recovering == {} and world.store.hints_lost == "a hint could not be read"
    world = world.reboot()
    assert world.store.hints_lost == "a hint could not be read"
    world.store.settle_hints()
    world.clock.run()
    assert world.store.hints_lost == "" == world.reboot().store.hints_lost


def test_a_damaged_hint_costs_no_partition_its_vote() -> None:
    world = World()
    world.put("n2\0" + "0\0k", partition=4, table=1)
    world.clock.run()
    world.disk.files[FIRST][-1] ^= 1
    world = world.reboot()
    assert world.store.recovering == {} and "checksum" in world.store.hints_lost


# -- what shows at a boot that something was lost


@pytest.mark.parametrize("size", [0, 8, HEADER_BYTES, HEADER_BYTES + 5, -1])
def test_a_log_that_ends_before_its_mark_has_lost_something(size: int) -> None:
    world = filled()
    del world.disk.files[FIRST][size:]
    world = world.reboot()
    assert list(world.store.recovering) == ALL and world.store.hints_lost
    assert "its log was gone" in world.recovery.lost or "before its mark" in world.recovery.lost
    assert list(world.reboot().store.recovering) == ALL, "the next boot has a new mark, and must not forget"


def test_a_last_segment_that_is_gone_is_missed() -> None:
    world = filled(6, segment_bytes=60)
    last = world.disk.segments[-1]
    assert len(world.disk.segments) > 2
    world.disk.remove(last)
    assert last in world.reboot().recovery.lost


@pytest.mark.parametrize("harm", ["gone", "flipped", "empty"])
def test_a_log_without_a_good_mark_may_have_lost_anything(harm: Literal["gone", "flipped", "empty"]) -> None:
    world = filled()
    if harm == "gone":
        world.disk.remove(MARK)
    elif harm == "flipped":
        world.disk.files[MARK][9] ^= 1
    else:
        world.disk.files[MARK].clear()
    world = world.reboot()
    assert MARK in world.recovery.lost and list(world.store.recovering) == ALL and kept(world) == ["k0", "k1", "k2"]
    assert world.reboot().recovery.lost == ""


def test_a_log_that_is_gone_with_its_mark_is_lost_and_a_first_boot_is_not() -> None:
    world = filled()
    for path in [*world.disk.segments, MARK]:
        world.disk.remove(path)
    assert world.reboot().recovery.lost == "its log was gone"
    assert World().recovery.lost == ""


def test_the_mark_moves_with_each_sync_and_never_back() -> None:
    world = World()
    ends = [marked(world)]
    for name in "abc":
        world.put(name)
        synced(world)
        ends.append(marked(world))
    assert ends == sorted(set(ends)) and ends[-1] == (1, len(world.disk.files[FIRST]))
    world = world.reboot()
    assert marked(world) > ends[-1], "behind the header of this boot's own segment"
    ends.append(marked(world))
    world.put("d")
    synced(world)
    assert marked(world) > ends[-1]


def marked(world: World) -> tuple[int, int]:
    mark = decode_mark(world.disk.read(MARK))
    assert mark is not None
    return mark.end


@pytest.mark.parametrize("durability", Durability)
@pytest.mark.parametrize("clean", [False, True])
@pytest.mark.parametrize("machine", [False, True])
def test_what_a_boot_behind_a_reboot_holds_for_lost(durability: Durability, clean: bool, machine: bool) -> None:
    world = filled(durability=durability)
    if clean:
        world.store.close()
    lost = machine and not clean and durability is not Durability.ALWAYS
    world = world.reboot(machine=machine)
    assert (list(world.store.recovering) == ALL) is lost is bool(world.recovery.lost) and bool(
        world.store.hints_lost
    ) is lost
    assert kept(world) == ["k0", "k1", "k2"], "what is there is kept"


def test_a_clean_mark_holds_for_the_boot_behind_it_only() -> None:
    world = filled()
    world.store.close()
    world = world.reboot()
    world.put("k3", partition=3)
    world.clock.run()
    assert world.reboot(machine=True).recovery.lost


def test_a_clean_mark_of_an_earlier_boot_that_the_disk_brings_back_is_none() -> None:
    world = filled()
    world.store.close()
    clean = world.disk.read(MARK)
    world = world.reboot()
    world.put("k3", partition=3)
    world.clock.run()
    world.disk.remove(segment_path(2))
    world.disk.write(MARK, clean)  # overwritten in place, and not synced before the power was cut
    assert world.reboot(machine=True).recovery.lost


# -- blocks that reach the disk out of order


def torn_behind_the_mark(durability: Durability) -> World:
    """Three synced rows, then three that are not, of which the first is missing: a block of zeros."""
    world = filled(durability=durability)
    start = len(world.disk.files[FIRST])
    for number in range(3, 6):
        world.put(f"k{number}", partition=number)
        world.clock.run()
    length = (len(world.disk.files[FIRST]) - start) // 3
    world.disk.files[FIRST][start : start + length] = bytes(length)
    return world


def test_under_always_a_hole_behind_the_mark_is_what_a_reboot_explains() -> None:
    world = torn_behind_the_mark(Durability.ALWAYS).reboot(machine=True)
    assert world.recovery.cut and world.store.recovering == {} and not world.store.hints_lost
    assert kept(world) == ["k0", "k1", "k2"], "what stood behind the hole was not synced either"
    after = world.reboot(machine=True)
    assert after.store.recovering == {} and kept(after) == ["k0", "k1", "k2"]


@pytest.mark.parametrize(("durability", "machine"), [(Durability.ALWAYS, False), (Durability.INTERVAL, True)])
def test_a_hole_that_no_reboot_explains_is_damage_and_rows_behind_it_are_kept(
    durability: Durability, machine: bool
) -> None:
    world = torn_behind_the_mark(durability).reboot(machine=machine)
    assert list(world.store.recovering) == ALL and kept(world) == ["k0", "k1", "k2", "k4", "k5"]


def test_a_hole_before_the_mark_is_damage_also_behind_a_reboot() -> None:
    world = filled(durability=Durability.ALWAYS)
    world.disk.files[FIRST][HEADER_BYTES + 4] ^= 1
    world = world.reboot(machine=True)
    assert list(world.store.recovering) == ALL and kept(world) == ["k1", "k2"]


def test_under_always_a_segment_behind_one_that_lost_its_unsynced_end_goes_with_it() -> None:
    world = World(durability=Durability.ALWAYS, segment_bytes=60)
    for number in range(2):
        world.put(f"k{number}", partition=number)
        world.clock.run()
        world.clock.run()
    world.put("k2", partition=2)
    world.clock.run()
    assert len(world.disk.segments) == 2 and marked(world) == (1, HEADER_BYTES)
    del world.disk.files[FIRST][-3:]
    world = world.reboot(machine=True)
    assert kept(world) == ["k0"] and world.recovery.cut and world.store.recovering == {}
    world.put("k3", partition=3)
    synced(world)
    world = world.reboot()
    assert kept(world) == ["k0", "k3"] and world.store.recovering == {}


# -- any history

Step = tuple[Literal["lose", "complete", "put", "boot", "sync"], int]


@given(
    st.lists(st.tuples(st.sampled_from(["lose", "complete", "put", "boot", "sync"]), st.integers(0, 3)), max_size=30),
    st.sampled_from(Durability),
    st.sampled_from([60, 1 << 20]),
)
def test_what_is_recovering_is_what_was_lost_and_not_completed_since(
    steps: list[Step], durability: Durability, segment_bytes: int
) -> None:
    world = World(durability=durability, segment_bytes=segment_bytes, owned=range(4))
    lost: dict[int, None] = {}
    for count, (what, partition) in enumerate(steps):
        if what == "lose":
            world.store.lose([partition], f"loss {count}")
            lost[partition] = None
        elif what == "complete":
            world.store.complete(partition)
            synced(world)
            lost.pop(partition, None)
        elif what == "put":
            world.put(f"k{count}", partition=partition)
            world.clock.run()
        elif what == "sync":
            synced(world)
        else:
            world = world.reboot()
        assert world.store.recovering.keys() == lost.keys()
    assert world.reboot().store.recovering.keys() == lost.keys()


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 31), st.integers(0, 1 << 31), st.booleans(), st.integers(0, 23))
def test_a_mark_is_read_back_or_not_at_all(epoch: int, segment: int, offset: int, clean: bool, at: int) -> None:
    data = encode_mark(Mark(epoch, (segment, offset), clean))
    assert len(data) == 24 and decode_mark(data) == Mark(epoch, (segment, offset), clean)
    assert decode_mark(data[:at]) is None
    assert decode_mark(data[:at] + bytes([data[at] ^ 0x20]) + data[at + 1 :]) is None
