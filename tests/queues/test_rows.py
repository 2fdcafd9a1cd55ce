"""Rows of queues: keys and bytes there and back, and merging as a join."""

from collections.abc import Callable
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import Damaged, Usage
from cluster.layout import partition_of
from cluster.queues import rows
from cluster.queues.rows import CHUNK_BITS, FULL, Dedup, Item, LeaseNote, RowKey

ACTOR = "n1-5f3a9c1e.4.0"

small_bits = st.sets(st.integers(0, 40), min_size=1).map(lambda places: sum(1 << place for place in places))
bits = small_bits | st.integers(1, FULL) | st.just(FULL) | st.integers(0, CHUNK_BITS - 1).map(lambda place: 1 << place)
note = st.builds(
    LeaseNote, st.integers(1, 3), st.integers(1, 2), st.integers(0, 2), st.sampled_from(["n1", "n2"]), st.integers(0, 2)
)
notes = st.dictionaries(st.integers(0, 3), note, min_size=1)
dedup = st.builds(
    Dedup,
    st.sampled_from([f"q7-0-{ACTOR}-{number}" for number in range(3)]),
    st.just(1000),
    st.booleans(),
    st.just(()),
    st.booleans(),
)

KINDS: dict[str, st.SearchStrategy[bytes]] = {
    "bits": bits.map(rows.encode_bits),
    "floor": st.integers(0, 9).map(rows.encode_floor),
    "notes": notes.map(rows.encode_notes),
    "dedup": dedup.map(rows.encode_dedup),
}


@pytest.mark.parametrize("make", [rows.block_key, rows.bits_key, rows.notes_key], ids=["block", "bits", "notes"])
def test_a_numbered_key_is_read_back_and_lies_where_its_shard_does(make: Callable[[int, int, str, int], str]) -> None:
    key = make(17, 3, ACTOR, 4097)
    found = rows.parse_key(key)
    assert (found.queue, found.shard, found.actor, found.number) == (17, 3, ACTOR, 4097)
    assert rows.place_of(key) == rows.partition_of_shard(17, 3) == partition_of("17.3")
    assert rows.mark_of(key) == rows.mark_of("17.3/") == "17.3/"
    assert rows.place_of("17.3/") == rows.place_of(key)


def test_floors_and_dedup_rows_have_no_number() -> None:
    assert rows.parse_key(rows.floor_key(1, 0, ACTOR)) == RowKey(1, 0, "f", ACTOR, 0)
    found = rows.parse_key(rows.dedup_key(1, 0, "order/17"))
    assert found == RowKey(1, 0, "u", rows.dedup_hash("order/17"), 0)


def test_blocks_of_an_actor_stand_in_the_order_of_their_numbers() -> None:
    keys = [rows.block_key(1, 0, ACTOR, first) for first in (0, 9, 10, 99, 100, 10**9)]
    assert keys == sorted(keys)


@pytest.mark.parametrize(
    "key", ["", "a", "1/b", "1.2", "1.2/", "1.2/x", "1.2/bactor", "1.2/iactor/x", "1.2/b/7", "1.2/fa/b"]
)
def test_a_key_of_no_row_is_refused(key: str) -> None:
    with pytest.raises(Damaged):
        rows.parse_key(key)


def test_an_item_id_names_one_item() -> None:
    text = rows.item_id(17, 3, ACTOR, 42)
    assert text == "q17-3-n1-5f3a9c1e.4.0-42"
    assert rows.parse_item_id(text) == (17, 3, ACTOR, 42)


@pytest.mark.parametrize("text", ["", "q1", "q1-2", "q1-2-3", "x1-2-n1-ab.1.0-3", "q1-2-n1-ab.1-3", "q1-2-n1-ab.1.0-x"])
def test_an_item_id_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Usage):
        rows.parse_item_id(text)


def test_a_block_is_read_back_whole_or_in_outline() -> None:
    items = [Item(b"one"), Item(b"three", {"a": "b"}, 1500, "x")]
    blob = rows.encode_block(1000, 2000, items)
    block, outline = rows.decode_block(blob), rows.outline_block(blob)
    assert (block.accepted_ms, block.expires_ms, block.items) == (1000, 2000, items)
    assert (outline.accepted_ms, outline.expires_ms, outline.count, outline.size) == (1000, 2000, 2, 8)
    assert rows.kind_of_row(blob) == rows.KIND_BLOCK


@given(bits)
def test_bits_are_read_back(value: int) -> None:
    assert rows.decode_bits(rows.encode_bits(value)) == value


def test_bits_take_the_room_between_the_first_and_the_last() -> None:
    assert len(rows.encode_bits(1 << 4000)) < 10
    assert len(rows.encode_bits(FULL)) < 10


@given(notes, st.integers(0, 9), dedup)
def test_other_rows_are_read_back(held: dict[int, LeaseNote], floor: int, sent: Dedup) -> None:
    assert rows.decode_notes(rows.encode_notes(held)) == held
    assert rows.decode_floor(rows.encode_floor(floor)) == floor
    assert rows.decode_dedup(rows.encode_dedup(sent)) == sent


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_merging_is_a_join(kind: str, data: st.DataObject) -> None:
    copies = data.draw(st.lists(KINDS[kind], min_size=1, max_size=3))
    ends = set()
    for order in permutations(copies):
        merged = order[0]
        for copy in order[1:]:
            merged = rows.merge_rows(merged, copy)
        for copy in order:
            assert rows.merge_rows(merged, copy) is merged
        ends.add(merged)
    assert len(ends) == 1
    rows.decode_row(ends.pop())


@given(bits, bits)
def test_bits_merge_by_or(mine: int, theirs: int) -> None:
    merged = rows.merge_rows(rows.encode_bits(mine), rows.encode_bits(theirs))
    assert rows.decode_bits(merged) == mine | theirs


def test_rows_of_two_kinds_do_not_merge() -> None:
    with pytest.raises(Damaged):
        rows.merge_rows(rows.encode_floor(1), rows.encode_bits(1))


@pytest.mark.parametrize(
    "blob", [b"", b"\x92", b"\xc0\xc1", b"\xc0", b"\x93\x02\xcd\xff\xff\xc4\x01\x01", b"\x96\x01\0\0\x02\0\x90"]
)
def test_bytes_that_are_no_row_are_refused(blob: bytes) -> None:
    with pytest.raises(Damaged):
        rows.decode_row(blob)


@given(st.binary(max_size=40))
def test_no_bytes_do_worse_than_being_refused(blob: bytes) -> None:
    try:
        rows.decode_row(blob)
    except Damaged:
        pass
