"""Rows of the key-value store: an object, a cell, or both, each merged on its own."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import Damaged
from cluster.kv.objects import FRONT_CELL, KvRows, joined, split, with_object
from cluster.versions import (
    BASE,
    EMPTY,
    NO_CELL,
    Cell,
    CellEvent,
    Context,
    Versions,
    add_count,
    add_items,
    clear,
    decode,
    encode,
    merge_blobs,
    put,
    set_value,
    visible,
)

A, B = "n1-aa.1.0", "n2-bb.1.0"
ROWS = KvRows(lambda: 1000.0, lambda key: BASE)

OBJECT = put(EMPTY, A, 1, None, "op1", 1, b"x")
DELETED = put(OBJECT, A, 9, Context(OBJECT.clock), "op2", 2, b"", True)
COUNTER = add_count(NO_CELL, CellEvent(1, B, 2), 3)
ENDED = clear(COUNTER, CellEvent(2, B, 4), None)

objects = st.sampled_from([EMPTY, OBJECT, DELETED, put(OBJECT, B, 5, None, "op3", 3, b"y")])
cells = st.sampled_from([None, COUNTER, ENDED, add_items(COUNTER, CellEvent(2, A, 7), [b"i"])])
rows = st.builds(joined, objects, cells)


def test_an_object_alone_has_the_bytes_of_an_object() -> None:
    assert joined(OBJECT, None) == encode(OBJECT)
    assert ROWS.merge(encode(OBJECT), encode(DELETED)) == merge_blobs(encode(OBJECT), encode(DELETED))


@given(rows, rows, rows)
def test_rows_merge_in_any_order_to_the_same_bytes(a: bytes, b: bytes, c: bytes) -> None:
    assert ROWS.merge(a, b) == ROWS.merge(b, a)
    assert ROWS.merge(a, ROWS.merge(b, c)) == ROWS.merge(ROWS.merge(a, b), c)
    assert ROWS.merge(a, a) is a
    ab = ROWS.merge(a, b)
    assert ROWS.merge(ab, b) is ab
    mine, theirs = ROWS.newest(a, "k"), ROWS.newest(b, "k")
    assert ROWS.newest(ab, "k") == {id: max(mine.get(id, 0), theirs.get(id, 0)) for id in {**mine, **theirs}}


def test_an_object_and_a_cell_that_race_lose_neither() -> None:
    row = ROWS.merge(encode(OBJECT), joined(EMPTY, COUNTER))
    assert row[0] == FRONT_CELL and split(row) == (OBJECT, COUNTER)
    assert visible(decode(row)) == [b"x"], "who reads an object finds it"
    assert with_object(row, encode(DELETED)) == joined(DELETED, COUNTER)
    assert with_object(None, encode(DELETED)) == with_object(encode(OBJECT), encode(DELETED)) == encode(DELETED)


@pytest.mark.parametrize(
    ("versions", "cell", "shows"),
    [
        (OBJECT, None, True),
        (DELETED, None, False),
        (EMPTY, COUNTER, True),
        (EMPTY, ENDED, False),
        (DELETED, COUNTER, True),
        (OBJECT, ENDED, True),
        (DELETED, ENDED, False),
        (EMPTY, set_value(NO_CELL, CellEvent(1, A, 1), b"x", ends_ms=1_000_001), True),
        (EMPTY, set_value(NO_CELL, CellEvent(1, A, 1), b"x", ends_ms=100_000), False),
    ],
)
def test_a_row_is_a_tombstone_when_both_are(versions: Versions, cell: Cell | None, shows: bool) -> None:
    row = joined(versions, cell)
    ROWS.check(row)
    assert ROWS.shows(row, "k") is shows
    assert ROWS.is_deleted(row, "k") is not shows


def test_what_has_expired_is_collected_when_every_clock_has_passed_it() -> None:
    row = joined(EMPTY, set_value(NO_CELL, CellEvent(1, A, 1), b"x", ends_ms=990_000))
    assert not ROWS.shows(row, "k") and not ROWS.is_deleted(row, "k") and ROWS.ends_s(row, "k") == 990 + 120
    assert KvRows(lambda: 1110.0, lambda key: BASE).is_deleted(row, "k")
    assert not KvRows(lambda: 1109.9, lambda key: BASE).is_deleted(row, "k")
    assert ROWS.ends_s(joined(OBJECT, split(row)[1]), "k") == inf == ROWS.ends_s(encode(OBJECT), "k")


def test_of_an_emptied_bucket_all_that_is_older_is_a_tombstone_at_once() -> None:
    emptied = KvRows(lambda: 0.0, lambda key: (5, "", 0) if key == "b/k" else BASE)
    older, newer = (joined(EMPTY, set_value(NO_CELL, CellEvent(stamp, A, 1), b"x")) for stamp in (4, 6))
    assert emptied.is_deleted(older, "b/k") and not emptied.shows(older, "b/k") and emptied.shows(older, "k")
    assert emptied.shows(newer, "b/k") and not emptied.is_deleted(newer, "b/k")
    assert emptied.shows(joined(OBJECT, split(older)[1]), "b/k"), "an object has no stamp by which it would end"


def test_a_register_that_was_written_over_another_needs_no_new_bytes() -> None:
    first = set_value(NO_CELL, CellEvent(1, A, 1), b"x")
    old, new = joined(EMPTY, first), joined(EMPTY, set_value(first, CellEvent(2, B, 1), b"y"))
    assert ROWS.merge(old, new) is new and ROWS.merge(new, old) is new


def test_of_an_old_copy_only_what_is_news_is_kept() -> None:
    both = joined(OBJECT, COUNTER)
    assert ROWS.unsettled(both, "k", None, {}) == both
    assert ROWS.unsettled(both, "k", None, {"n1-aa": 1}) == joined(EMPTY, COUNTER)
    assert ROWS.unsettled(both, "k", None, {"n2-bb": 2}) == encode(OBJECT)
    assert ROWS.unsettled(both, "k", None, {"n1-aa": 1, "n2-bb": 2}) is None
    assert ROWS.unsettled(both, "k", both, {"n1-aa": 1, "n2-bb": 2}) == both
    assert ROWS.unsettled(encode(OBJECT), "k", both, {"n1-aa": 1}) == encode(OBJECT)


@pytest.mark.parametrize("blob", [b"\x94", b"\x94\x80\x90\x90\x90", b"\x94\x80\x90\x90\xc0", b"\x91\x80"])
def test_bytes_that_are_no_row_are_refused(blob: bytes) -> None:
    with pytest.raises(Damaged):
        ROWS.check(blob)
