"""Listing keys: pages in order out of many partitions, slices that are short, and an end in every case."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.env import Slices
from cluster.errors import ClusterError, DeadlinePassed
from cluster.kv.listing import AHEAD_MIN, SLICE_STEPS, Listing
from cluster.kv.objects import KvRows
from cluster.layout import partition_of
from cluster.ports import Page
from cluster.replication.mergeable import TABLE_KV
from cluster.storage import memory, order
from cluster.storage.order import KeyOrder
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

    def put(self, key: str, row: bytes) -> None:
        self.world.store.put(TABLE_KV, partition_of(key), key, row, None)
        self.world.clock.run()

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
    monkeypatch.setattr(order, "CHUNK", 4)
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


class Counting:
    """A table whose rows are counted as they are looked at."""

    def __init__(self, pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows = 0
        scan = pages.world.store.scan

        def counted(*arguments: Any, **options: Any) -> Page:
            page, more = scan(*arguments, **options)
            self.rows += len(page)
            return page, more

        monkeypatch.setattr(pages.world.store, "scan", counted)

    def looked_at(self) -> int:
        """Since it was asked last."""
        rows, self.rows = self.rows, 0
        return rows


def filled(keys: int) -> Pages:
    """So many keys, `key-0000000` and on, put straight into the table."""
    pages = Pages(["key"])
    table = pages.world.store._tables[TABLE_KV]
    for partition in range(256):
        table.load(partition, {f"key-{number:07}": VALUE for number in range(partition, keys, 256)})
    return pages


def test_of_a_million_keys_a_page_looks_at_no_more_than_of_a_thousand(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = filled(1_000), filled(1_000_000)
    counts = [Counting(pages, monkeypatch) for pages in (few, many)]
    for limit in (1, 100, 900):
        for pages in (few, many):
            assert pages.page(limit=limit)[0] == ["key", *(f"key-{number:07}" for number in range(limit - 1))]
        of_few, of_many = (count.looked_at() for count in counts)
        assert of_many <= 256 * (AHEAD_MIN + 1) + 2 * limit and of_few <= of_many
    assert many.page("key-0789012", "key-07", 3)[0] == ["key-0789013", "key-0789014", "key-0789015"]
    assert counts[1].looked_at() <= 256 * (AHEAD_MIN + 1)


def test_deleted_keys_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = Pages(["a", "gone-02000", "z"])
    for number in range(5000):
        pages.put(f"gone-{number:05}", TOMBSTONE)
    count = Counting(pages, monkeypatch)
    assert pages.page()[0] == ["a", "z"]
    assert count.looked_at() >= 5000
    assert pages.page()[0] == ["a", "z"]
    assert count.looked_at() <= 2
    pages.put("gone-02000", VALUE)
    assert pages.page()[0] == ["a", "gone-02000", "z"], "it is there again"
    assert count.looked_at() <= 3
    rows, more = pages.world.store.scan(TABLE_KV, partition_of("gone-00001"), "", 1000)
    assert "gone-00001" in dict(rows) and not more, "replication sees all of them"


def test_keys_that_are_gone_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = filled(20_000)
    assert len(pages.page(limit=1)[0]) == 1
    table = pages.world.store._tables[TABLE_KV]
    for number in range(0, 10_000):
        table.put(number % 256, f"key-{number:07}", None)
    asked: list[str] = []
    after = KeyOrder.after

    def counted(order: KeyOrder, key: str, prefix: str = "") -> Iterator[str]:
        for one in after(order, key, prefix):
            asked.append(one)
            yield one

    monkeypatch.setattr(KeyOrder, "after", counted)
    for most in (20_000, 256 * (AHEAD_MIN + 2)):
        assert pages.page("key", limit=1)[0] == ["key-0010000"]
        assert len(asked) <= most
        asked.clear()


def test_a_key_that_is_put_in_this_pass_is_not_passed_over() -> None:
    pages = Pages(["a"], ("gone",))
    listing = pages.listing("", "", 10)
    listing.step()
    pages.world.store.put(TABLE_KV, partition_of("gone"), "gone", VALUE, None)  # not in the log yet: not shown
    while listing.step():
        pass
    assert pages.outcomes.pop()[0] == ["a"]
    pages.world.clock.run()
    assert pages.page()[0] == ["a", "gone"]


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
