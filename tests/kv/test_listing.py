"""Listing keys: pages in order out of many partitions, slices that are short, and an end in every case."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.env import Slices
from cluster.errors import ClusterError, DeadlinePassed
from cluster.kv.listing import SLICE_STEPS, Listing
from cluster.kv.objects import KvRows
from cluster.layout import partition_of
from cluster.replication.mergeable import TABLE_KV
from cluster.storage import memory
from cluster.versions import BASE, EMPTY, encode, put
from tests.storage.memory_disk import HandClock, World

OBJECTS = KvRows(lambda: 0.0, lambda key: BASE)
VALUE = encode(put(EMPTY, "n1-1.1.0", 1, None, "operation", 1, b"value"))
TOMBSTONE = encode(put(EMPTY, "n1-1.1.0", 1, None, "operation", 1, b"", deleted=True))


class Pages:
    """A store with keys, and the pages that were listed."""

    def __init__(self, keys: list[str], deleted: tuple[str, ...] = ()) -> None:
        self.world = World()
        for key in [*keys, *deleted]:
            self.world.store.put(TABLE_KV, partition_of(key), key, TOMBSTONE if key in deleted else VALUE, None)
        self.world.clock.run()
        self.outcomes: list[tuple[list[str], str, ClusterError | None]] = []

    def listing(self, after: str, prefix: str, limit: int, clock: HandClock | None = None) -> Listing:
        return Listing(
            self.world.store,
            OBJECTS,
            clock or self.world.clock,
            range(256),
            after,
            prefix,
            limit,
            1.0,
            lambda *outcome: self.outcomes.append(outcome),
        )

    def page(
        self, after: str = "", prefix: str = "", limit: int = 1000, clock: HandClock | None = None
    ) -> tuple[list[str], str]:
        listing = self.listing(after, prefix, limit, clock)
        while listing.step():
            pass
        keys, end, error = self.outcomes.pop()
        assert error is None and not self.outcomes
        return keys, end


KEYS = st.lists(st.text("ab/", min_size=1, max_size=4), unique=True, max_size=60)


@given(KEYS, KEYS, st.sampled_from(["", "a", "b/", "ab"]), st.integers(1, 20))
def test_pages_together_are_the_keys_in_order(keys: list[str], gone: list[str], prefix: str, limit: int) -> None:
    pages = Pages([key for key in keys if key not in gone], tuple(gone))
    expected = sorted(key for key in keys if key not in gone and key.startswith(prefix))
    found, after = pages.page(prefix=prefix, limit=limit)
    while after:
        page, end = pages.page(after, prefix, limit)
        assert len(page) <= limit and (end > after or not end)
        found, after = found + page, end
    assert found == expected


class Slow(HandClock):
    """Each look at the time takes a tenth of a millisecond."""

    def now(self) -> float:
        self.time += 0.000_1
        return self.time


def test_a_slice_looks_at_few_rows_and_ends_early_when_time_is_up() -> None:
    pages = Pages([f"key-{number:05}" for number in range(3000)])

    def slices(clock: HandClock | None) -> int:
        listing, count = pages.listing("", "", 1000, clock), 1
        while listing.step():
            count += 1
        assert len(pages.outcomes.pop()[0]) == 1000
        return count

    steps = 256 + 1000
    assert steps // SLICE_STEPS <= slices(None) <= steps // SLICE_STEPS + 2
    assert slices(Slow()) >= steps // 4


def test_the_first_listing_sorts_in_slices_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CHUNK", 4)
    pages = Pages([f"key-{number:05}" for number in range(5000)])
    sorted_in, prepare = 0, memory.Rows.prepare

    def counted(rows: memory.Rows) -> bool:
        nonlocal sorted_in
        sorted_in += 1
        return prepare(rows)

    monkeypatch.setattr(memory.Rows, "prepare", counted)
    listing, most, whole = pages.listing("", "", 10, Slow()), 0, 0
    more = True
    while more:
        more = listing.step()
        most, whole, sorted_in = max(most, sorted_in), whole + sorted_in, 0
    assert whole > 1000 and most < 10


def test_a_page_costs_its_length_and_not_the_number_of_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = Pages([f"key-{number:05}" for number in range(5000)])
    pages.page(limit=1)
    seen = 0
    shows = KvRows.shows

    def counted(self: KvRows, blob: bytes, key: str) -> bool:
        nonlocal seen
        seen += 1
        return shows(self, blob, key)

    monkeypatch.setattr(KvRows, "shows", counted)
    assert pages.page("key-02500", limit=10) == ([f"key-{number:05}" for number in range(2501, 2511)], "key-02510")
    assert seen == 11


def test_a_page_full_of_deleted_keys_ends_early_and_says_where_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tuple(f"gone-{number:05}" for number in range(3000))
    pages = Pages(["a", "z"], gone)
    monkeypatch.setattr("cluster.kv.listing.PAGE_ROWS_MAX", 1000)
    keys, after, count = *pages.page(), 1
    assert keys == ["a"] and gone[900] < after < gone[1100]
    while after:
        page, after = pages.page(after)
        keys, count = keys + page, count + 1
    assert keys == ["a", "z"] and 3 <= count <= 4


def test_a_page_that_takes_long_ends_early_too() -> None:
    pages = Pages(["a", "z"], tuple(f"gone-{number:05}" for number in range(5000)))
    keys, after = pages.page(clock=Slow())
    assert keys == ["a"] and "gone-00100" < after < "gone-04900"


def test_a_listing_ends_at_its_deadline_and_when_nobody_waits() -> None:
    pages = Pages(["a", "b"])
    late = pages.listing("", "", 10)
    pages.world.clock.time = 1.0
    assert not late.step()
    ((keys, after, error),) = pages.outcomes
    assert (keys, after) == ([], "") and isinstance(error, DeadlinePassed) and error.definite
    cancelled = pages.listing("", "", 10)
    cancelled.cancel()
    assert not cancelled.step() and len(pages.outcomes) == 1


def test_of_all_works_one_has_its_slice_in_a_pass() -> None:
    clock = HandClock()
    slices = Slices(clock)
    seen: list[str] = []

    def work(name: str, count: int) -> None:
        left = iter(range(count))

        def step() -> bool:
            seen.append(name)
            return next(left, None) is not None

        slices.begin(step)

    def turn() -> None:
        due, clock.calls = clock.calls, []
        assert len(due) <= 1
        for call in due:
            call.function()

    work("a", 2)
    work("b", 1)
    assert seen == [] and len(slices) == 2
    for number in range(1, 6):
        turn()
        assert len(seen) == number
    assert seen == ["a", "b", "a", "b", "a"] and len(slices) == 0
    turn()
    work("c", 0)
    turn()
    assert seen[-1] == "c"


def test_a_work_that_raises_is_over_and_ends_no_other() -> None:
    clock = HandClock()
    slices = Slices(clock)
    seen: list[int] = []

    def fails() -> bool:
        raise ValueError("broken")

    slices.begin(fails)

    def works() -> bool:
        seen.append(1)
        return False

    slices.begin(works)
    with pytest.raises(ValueError, match="broken"):
        clock.run()
    clock.advance(0.01)
    assert seen == [1] and len(slices) == 0
