"""The store in one life: visibility, batches, acknowledgements, refusals, syncs and rotation."""

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.config import Durability
from cluster.errors import ClusterError, StorageFull
from cluster.ports import Page, Position
from cluster.storage.record import HEADER_BYTES, MARK, Mark, decode_mark
from cluster.storage.segments import segment_path
from tests.storage.memory_disk import World

FULL = OSError(errno.ENOSPC, "No space left on device")
SYNCING = [Durability.INTERVAL, Durability.ALWAYS]
BROKEN = OSError(errno.EIO, "Input/output error")
FIRST, SECOND = segment_path(1), segment_path(2)


def test_a_put_is_visible_at_once_and_acknowledged_after_the_write() -> None:
    world = World()
    done = world.put("a", b"1", partition=7)
    assert world.store.get(0, 7, "a") == b"1"
    assert done == [] and world.disk.appends == []
    world.clock.run()
    assert done == [None] and len(world.disk.appends) == 1


def test_one_pass_is_one_append_in_the_order_of_the_puts() -> None:
    world = World()
    order: list[str] = []
    for name in ("a", "b", "c"):
        world.store.put(0, 0, name, b"", lambda error, name=name: order.append(name))  # type: ignore[misc]
    world.store.put(0, 0, "silent", b"", None)
    world.clock.run()
    assert order == ["a", "b", "c"] and len(world.disk.appends) == 1


def test_a_put_from_a_done_goes_with_the_next_batch() -> None:
    world = World()
    world.store.put(0, 0, "a", b"", lambda error: world.store.put(0, 0, "b", b"", None))
    world.clock.run()
    assert len(world.disk.appends) == 2
    assert list(world.reboot().scan(0)) == ["a", "b"]


def test_rows_come_in_the_order_of_their_keys() -> None:
    world = World()
    assert world.scan(9) == {} and world.store.count(0, 9) == 0
    world.put("b", partition=9), world.put("a", partition=9), world.put("x", partition=2), world.put("y", table=2)
    world.clock.run()
    world.put("x", None, partition=2)
    world.clock.run()
    assert list(world.scan(9)) == ["a", "b"] and world.store.count(0, 9) == 2
    assert world.scan(2) == {} and world.scan(0, table=2) == {"y": b"value"}
    assert world.store.get(0, 2, "x") is None and world.store.get(3, 3, "x") is None


def test_readers_are_shown_what_the_log_has_and_writers_what_is_staged() -> None:
    world = World()
    world.put("changed", b"old"), world.put("deleted", b"old"), world.put("kept", b"old")
    world.clock.run()
    world.put("changed", b"new"), world.put("deleted", None), world.put("fresh", b"new")
    world.put("changed", b"newer"), world.put("other", partition=1)
    before = {"changed": b"old", "deleted": b"old", "kept": b"old"}
    assert world.scan(0) == before and list(world.scan(0)) == sorted(before)
    assert {key: world.store.logged(0, 0, key) for key in (*before, "fresh")} == {**before, "fresh": None}
    assert world.store.get(0, 0, "changed") == b"newer" and world.store.get(0, 0, "deleted") is None
    world.put("changed", b"newest")
    assert world.store.logged(0, 0, "changed") == b"old"
    world.clock.run()
    assert world.scan(0) == {"changed": b"newest", "fresh": b"new", "kept": b"old"}
    assert world.store.logged(0, 0, "fresh") == b"new" and world.store.logged(0, 0, "deleted") is None


@given(
    st.lists(
        st.tuples(st.sampled_from(["put", "put", "delete", "written", "refused"]), st.sampled_from("abcd")), max_size=30
    ),
    st.integers(1, 4),
)
def test_whatever_is_staged_readers_see_the_log_and_writers_the_latest(
    steps: list[tuple[str, str]], limit: int
) -> None:
    world = World()
    logged, latest = dict[str, bytes](), dict[str, bytes]()
    for number, (what, key) in enumerate(steps):
        if what == "put":
            latest[key] = b"%d" % number
            world.put(key, latest[key])
        elif what == "delete":
            latest.pop(key, None)
            world.put(key, None)
        else:
            world.disk.refusal = FULL if what == "refused" else None
            world.clock.run()
            world.disk.refusal = None
            logged, latest = (logged, dict(logged)) if what == "refused" else (dict(latest), latest)
        found: list[tuple[str, bytes]] = []
        more = True
        while more:
            page, more = world.store.scan(0, 0, found[-1][0] if found else "", limit)
            assert page or not more, "nobody reads the same page for ever"
            found += page
        assert found == sorted(logged.items())
        assert all(world.store.logged(0, 0, key) == logged.get(key) for key in "abcd")
        assert all(world.store.get(0, 0, key) == latest.get(key) for key in "abcd")


def test_pages_end_at_their_limits_and_say_whether_there_is_more() -> None:
    world = World()
    for number in range(10):
        world.put(f"k{number}", b"x" * 100)
    world.clock.run()
    scan = world.store.scan

    def keys(page: Page) -> tuple[list[str], bool]:
        return [key for key, _ in page[0]], page[1]

    assert keys(scan(0, 0, "", 3)) == (["k0", "k1", "k2"], True)
    assert keys(scan(0, 0, "k2", 3)) == (["k3", "k4", "k5"], True)
    assert keys(scan(0, 0, "k6", 3)) == (["k7", "k8", "k9"], False)
    assert keys(scan(0, 0, "", 5, bytes_max=150)) == (["k0", "k1"], True), "the last may take it over the limit"
    assert keys(scan(0, 0, "", 99, prefix="k4")) == (["k4"], False)
    assert keys(scan(0, 0, "k4", 99, prefix="k4")) == ([], False)
    assert keys(scan(0, 0, "", 99, prefix="l")) == ([], False)
    assert keys(scan(0, 7, "", 99)) == ([], False)


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
    assert list(world.reboot().scan(0)) == ["a"]


def test_a_refused_batch_is_undone_newest_first_and_the_next_is_tried_again() -> None:
    world = World()
    world.put("kept", b"old"), world.put("gone", b"old")
    world.clock.run()
    size = len(world.disk.files[FIRST])
    world.disk.refusal = FULL
    seen: list[bytes | None] = []
    outcomes = [world.put("kept", b"new"), world.put("kept", None), world.put("gone", None), world.put("fresh", b"new")]
    world.store.put(0, 0, "kept", b"newest", lambda error: seen.append(world.store.get(0, 0, "kept")))
    assert world.store.get(0, 0, "kept") == b"newest"
    world.clock.run()
    assert world.scan(0) == {"kept": b"old", "gone": b"old"}
    assert all(isinstance(error, StorageFull) and error.definite for (error,) in outcomes)
    assert seen == [b"old"], "all is undone before anyone hears of it"
    assert world.store.undone == 5 and world.undone_calls == 1
    assert len(world.disk.files[FIRST]) == size
    world.disk.refusal = None
    done = world.put("kept", b"again")
    world.clock.run()
    assert done == [None]
    assert world.reboot().scan(0) == {"kept": b"again", "gone": b"old"}


@pytest.mark.parametrize("refusal", [None, FULL])
def test_an_answer_that_rests_on_what_is_there_waits_for_the_log(refusal: OSError | None) -> None:
    world = World()
    told: list[ClusterError | None] = []
    world.store.settled(told.append)
    assert told == [None], "nothing was put"
    put = world.put("a")
    world.disk.refusal = refusal
    world.store.settled(told.append)
    assert told == [None]
    world.clock.run()
    assert told == [None, *put] and isinstance(told[-1], StorageFull) == (refusal is not None)


def test_a_refused_first_batch_leaves_a_segment_that_can_still_be_begun() -> None:
    world = World()
    world.disk.refusal = FULL
    world.put("a")
    world.clock.run()
    world.disk.refusal = None
    world.put("b")
    world.clock.run()
    after = world.reboot()
    assert list(after.scan(0)) == ["b"] and after.recovery.recovering == {}


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


def test_none_syncs_for_nobody_but_who_asks() -> None:
    world = World(durability=Durability.NONE)
    done = world.put("a")
    world.clock.run()
    world.clock.advance(10.0)
    assert done == [None] and world.disk.pending == [] and list(world.reboot().scan(0)) == ["a"]


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
def test_whoever_asks_hears_when_all_that_was_put_is_synced(durability: Durability) -> None:
    world = World(durability=durability)
    heard: list[str] = []
    world.store.synced(lambda error: heard.append("nothing to sync"))
    assert heard == ["nothing to sync"] and world.disk.pending == []
    world.put("a")
    world.store.synced(lambda error: heard.append("staged"))
    world.clock.run()
    world.store.synced(lambda error: heard.append("while a sync runs"))
    assert len(world.disk.pending) == 1 and heard == ["nothing to sync"], "no interval is waited for"
    world.disk.finish_sync()
    assert heard[1:] == ["staged"] and len(world.disk.pending) == 1, "that one may have begun before the last append"
    world.disk.finish_sync()
    assert heard[2:] == ["while a sync runs"]
    world.put("b")
    world.clock.run()
    world.store.synced(lambda error: heard.append("written"))
    world.disk.finish_sync()
    while world.disk.pending:
        world.disk.finish_sync()
    assert heard[3:] == ["written"] and world.disk.synced[FIRST] == len(world.disk.files[FIRST])


@pytest.mark.parametrize("durability", Durability)
def test_nothing_is_synced_of_a_log_that_is_closed(durability: Durability) -> None:
    world = World(durability=durability)
    heard: list[str] = []
    world.put("a")
    world.clock.run()
    under_way = len(world.disk.pending)
    world.store.close()
    world.store.synced(lambda error: heard.append("closed"))
    assert heard == [] and len(world.disk.pending) == under_way


@pytest.mark.parametrize("durability", SYNCING)
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


@pytest.mark.parametrize("durability", SYNCING)
def test_a_full_segment_makes_no_batch_wait_and_is_synced_before_the_next(durability: Durability) -> None:
    world = World(durability=durability, segment_bytes=100)
    first = world.put("a", b"x" * 100)
    world.clock.run()
    assert [path for path, _, _ in world.disk.pending] == [FIRST], "a full segment is synced at once"
    second = world.put("b")
    world.clock.run()
    assert len(world.disk.files[SECOND]) > 0 and world.store.logged(0, 0, "b") == b"value"
    world.disk.finish_sync()
    assert first == [None] and marked(world) == (1, len(world.disk.files[FIRST]))
    world.clock.advance(1.0)
    assert [path for path, _, _ in world.disk.pending] == [FIRST], "in the order of the log"
    world.put("c")
    world.clock.run()
    world.disk.finish_sync()
    assert world.disk.closed == [FIRST] and marked(world) == (1, len(world.disk.files[FIRST]))
    synced = len(world.disk.files[SECOND])
    assert [path for path, _, _ in world.disk.pending] == [SECOND]
    world.disk.finish_sync()
    assert second == [None] and marked(world) == (2, synced)


def test_a_segment_grows_over_its_limit_while_the_one_before_is_not_synced() -> None:
    world = World(segment_bytes=50)
    for name in "abcd":
        world.put(name, b"x" * 50)
        world.clock.run()
    assert world.disk.segments == [FIRST, SECOND], "never more than two that are not synced"
    while world.disk.pending:
        world.disk.finish_sync()
        world.clock.run()
    world.put("e")
    world.clock.run()
    assert world.disk.segments == [FIRST, SECOND, segment_path(3)]
    assert list(world.reboot().scan(0)) == ["a", "b", "c", "d", "e"]


def marked(world: World) -> Position:
    """Where the mark stands."""
    mark = decode_mark(world.disk.read(MARK))
    assert mark is not None
    return mark.end


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
    assert world.recovery.segments == 1 and world.recovery.recovering == {} and not world.recovery.cut
    world.put("c")
    world.clock.run()
    assert list(world.reboot().scan(0)) == ["a", "c"]


def test_a_full_disk_is_said_until_a_write_succeeds() -> None:
    world = World()
    world.disk.refusal = FULL
    world.clock.advance(5.0)
    world.put("a")
    world.clock.run()
    assert "No space left" in world.store.full and world.store.full_since == 5.0
    world.clock.advance(5.0)
    world.put("a")
    world.clock.run()
    assert world.store.full_since == 5.0
    world.clock.advance(3.0)
    assert world.said == ["No space left on device"], "once, and not for each write"
    world.disk.refusal = None
    world.put("a")
    world.clock.run()
    assert not world.store.full and world.said == ["No space left on device", ""]


def test_a_full_disk_is_found_to_have_room_without_a_write() -> None:
    world = World()
    world.put("a")
    world.clock.run()
    world.disk.refusal = FULL
    world.put("b")
    world.clock.run()
    world.clock.advance(30.0)
    assert world.store.full
    world.disk.refusal = None
    world.clock.advance(1.0)
    assert not world.store.full
    world = world.reboot()
    assert list(world.scan(0)) == ["a"] and world.recovery.recovering == {}, "the question leaves nothing behind"


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
    assert world.recovery.bytes + HEADER_BYTES == sum(len(world.disk.files[path]) for path in world.disk.segments)
    assert {p: world.scan(p) for p in range(10)} == {p: {f"k{p}": b"9%d" % p} for p in range(10)}


@pytest.mark.parametrize("durability", Durability)
def test_the_end_writes_and_syncs_what_is_staged_and_marks_it_and_acknowledges_nothing(durability: Durability) -> None:
    world = World(durability=durability)
    world.put("a")
    world.clock.run()
    staged = world.put("b")
    world.store.close()
    end = len(world.disk.files[FIRST])
    assert world.disk.synced[FIRST] == end and world.disk.closed == [FIRST]
    assert decode_mark(world.disk.read(MARK)) == Mark(1, (1, end), clean=True)
    while world.disk.pending:
        world.disk.finish_sync()
    world.clock.advance(5.0)
    assert staged == [] and marked(world) == (1, end)
    assert list(world.reboot(machine=True).scan(0)) == ["a", "b"]


def test_a_disk_that_refuses_at_the_end_leaves_no_clean_mark() -> None:
    world = World()
    world.put("a")
    world.clock.run()
    world.disk.refusal = BROKEN
    world.store.close()
    assert world.disk.closed == [FIRST]
    assert world.reboot(machine=True).recovery.lost


def test_what_an_earlier_life_left_unsynced_is_synced_before_anybody_asks() -> None:
    world = World()
    world.put("a")
    world.clock.run()
    assert world.disk.synced[FIRST] < len(world.disk.files[FIRST])
    world = world.reboot()
    assert world.disk.synced[FIRST] == len(world.disk.files[FIRST])
