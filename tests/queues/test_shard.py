"""What an owner makes of the rows of a shard, in whichever order they come."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.queues import rows
from cluster.queues.done import DoneBits, chunks_of
from cluster.queues.rows import CHUNK_BITS, FULL, Dedup, Item, LeaseNote
from cluster.queues.shard import DEDUP_S, DEDUP_SPARE_S, LiveBlock, Shard

A, B = "n1-aa.1.0", "n2-bb.1.0"
NOTE = LeaseNote(1, 1, 0, "n1", 1000)


class Copy:
    """One owner's rows and index: merges, and removes what is covered, as a node does."""

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}
        self.shard = Shard(1, 0)
        self.shard.watcher = self
        self.visible: dict[tuple[str, int], int] = {}

    def take(self, key: str, blob: bytes, now: float = 0.0) -> None:
        held, parsed = self.rows.get(key), rows.parse_key(key)
        if held is None and not self.shard.wants(parsed, blob, now):
            return
        merged = self.rows[key] = blob if held is None else rows.merge_rows(held, blob)
        self.shard.put(parsed, merged, now)

    def tidy(self) -> None:
        shard = self.shard
        while shard.folded or shard.covered:
            for actor in list(shard.folded):
                floor = shard.done[actor].folded()
                for chunk in range(shard.done[actor].floor, floor):
                    shard.covered[rows.bits_key(1, 0, actor, chunk)] = None
                self.take(rows.floor_key(1, 0, actor), rows.encode_floor(floor))
            shard.folded.clear()
            for key in list(shard.covered):
                if self.rows.pop(key, None) is not None:
                    shard.drop(rows.parse_key(key))
            shard.covered.clear()

    def added(self, block: LiveBlock) -> None:
        self.visible[block.actor, block.first] = block.undone

    def done(self, block: LiveBlock, places: int) -> None:
        assert self.visible[block.actor, block.first] & places == places
        self.visible[block.actor, block.first] &= ~places

    def noted(self, block: LiveBlock) -> None:
        assert block.notes

    def gone(self, block: LiveBlock) -> None:
        del self.visible[block.actor, block.first]


def block(first: int, count: int, actor: str = A) -> tuple[str, bytes]:
    return rows.block_key(1, 0, actor, first), rows.encode_block(0, 10**9, [Item(b"x")] * count)


def bits(numbers: Iterable[int], actor: str = A) -> list[tuple[str, bytes]]:
    return [(rows.bits_key(1, 0, actor, chunk), rows.encode_bits(set)) for chunk, set in chunks_of(numbers).items()]


def undone(shard: Shard) -> list[tuple[str, int]]:
    found = []
    for live in shard.blocks.values():
        found += [(live.actor, live.first + place) for place in range(live.count) if live.undone >> place & 1]
    return sorted(found)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[tuple[str, bytes]], set[tuple[str, int]]]:
    """Rows of blocks and of bits, in any order, some twice; and what they leave undone. Blocks lie across the ends of
    chunks."""
    copies: list[tuple[str, bytes]] = []
    left: set[tuple[str, int]] = set()
    for actor in (A, B):
        sizes = draw(st.lists(st.integers(1, 256), max_size=12))
        first = 0
        for size in [CHUNK_BITS // 16] * draw(st.sampled_from([0, 15, 31])) + sizes:
            copies.append(block(first, size, actor))
            first += size
        ends = draw(st.lists(st.integers(0, first), min_size=0, max_size=6))
        done: set[int] = set()
        for start, end in pairwise(ends):
            span = range(min(start, end), max(start, end))
            done |= set(span)
            copies += bits(span, actor)
        left |= {(actor, number) for number in range(first) if number not in done}
    order = draw(st.permutations(copies + draw(st.lists(st.sampled_from(copies), max_size=4)) if copies else []))
    return list(order), left


@settings(deadline=None)
@given(histories(), st.data())
def test_equal_copies_have_equal_rows_whichever_way_they_came(
    history: tuple[list[tuple[str, bytes]], set[tuple[str, int]]], data: st.DataObject
) -> None:
    copies, left = history
    one, other = Copy(), Copy()
    for key, blob in copies:
        one.take(key, blob)
        if data.draw(st.booleans()):
            one.tidy()
    one.tidy()
    assert undone(one.shard) == sorted(left)
    assert one.shard.depth == len(left) == sum(mask.bit_count() for mask in one.visible.values())
    for key, blob in reversed(copies):
        other.take(key, blob)
    other.tidy()
    assert one.rows == other.rows
    assert one.shard.digest() == other.shard.digest()
    for key, blob in copies:  # what is late adds nothing
        one.take(key, blob)
    one.tidy()
    assert one.rows == other.rows
    assert one.shard.digest() == other.shard.digest()


def test_a_block_that_is_done_takes_no_room_and_is_not_wanted_again() -> None:
    copy = Copy()
    copy.take(*block(0, 3))
    copy.take(rows.notes_key(1, 0, A, 0), rows.encode_notes({0: NOTE}))
    for key, blob in bits([0, 1, 2]):
        copy.take(key, blob)
    copy.tidy()
    assert list(copy.rows) == [rows.bits_key(1, 0, A, 0)]
    assert not copy.shard.blocks and not copy.shard.size and not copy.shard.lives(A)
    copy.take(*block(0, 3))
    copy.take(rows.notes_key(1, 0, A, 0), rows.encode_notes({1: NOTE}))
    assert list(copy.rows) == [rows.bits_key(1, 0, A, 0)]


def test_a_full_chunk_becomes_the_floor_only_when_nothing_is_open_below_it() -> None:
    copy = Copy()
    for chunk in (1, 2):
        copy.take(rows.bits_key(1, 0, A, chunk), rows.encode_bits(FULL))
    copy.tidy()
    assert len(copy.rows) == 2
    copy.take(rows.bits_key(1, 0, A, 0), rows.encode_bits(FULL))
    copy.tidy()
    assert copy.rows == {rows.floor_key(1, 0, A): rows.encode_floor(3)}
    assert copy.shard.is_done(A, 3 * CHUNK_BITS - 1) and not copy.shard.is_done(A, 3 * CHUNK_BITS)
    copy.take(rows.bits_key(1, 0, A, 1), rows.encode_bits(1))
    assert len(copy.rows) == 1


def test_a_floor_ends_the_blocks_below_it_and_cuts_the_one_across_it() -> None:
    copy = Copy()
    copy.take(*block(0, 10))
    copy.take(*block(CHUNK_BITS - 2, 5))
    copy.take(*block(CHUNK_BITS + 3, 1))
    copy.take(rows.floor_key(1, 0, A), rows.encode_floor(1))
    copy.tidy()
    assert undone(copy.shard) == [(A, CHUNK_BITS + place) for place in range(4)]
    assert rows.block_key(1, 0, A, 0) not in copy.rows


def test_an_item_is_found_in_its_block_alone() -> None:
    shard = Shard(1, 0)
    for first, count in ((0, 4), (CHUNK_BITS - 1, 2), (CHUNK_BITS + 9, 1)):
        key, blob = block(first, count)
        shard.put(rows.parse_key(key), blob, 0.0)
    found = {
        number: shard.find(A, number)
        for number in (0, 3, 4, CHUNK_BITS - 1, CHUNK_BITS, CHUNK_BITS + 1, CHUNK_BITS + 9, 9 * CHUNK_BITS)
    }
    firsts = {number: None if live is None else live.first for number, live in found.items()}
    assert firsts == {
        0: 0, 3: 0, 4: None, CHUNK_BITS - 1: CHUNK_BITS - 1, CHUNK_BITS: CHUNK_BITS - 1, CHUNK_BITS + 1: None,
        CHUNK_BITS + 9: CHUNK_BITS + 9, 9 * CHUNK_BITS: None,
    }  # fmt: skip
    assert shard.find(B, 0) is None
    assert shard.end(A) == CHUNK_BITS + 10


def test_what_is_done_has_no_notes_in_memory() -> None:
    copy = Copy()
    copy.take(*block(0, 3))
    live = copy.shard.blocks[A, 0]
    copy.take(rows.notes_key(1, 0, A, 0), rows.encode_notes({0: NOTE, 1: NOTE}))
    for key, blob in bits([0]):
        copy.take(key, blob)
    assert list(live.notes) == list(live.noted_at) == [1]
    copy.take(rows.notes_key(1, 0, A, 0), rows.encode_notes({0: NOTE, 2: NOTE}))
    assert list(live.notes) == list(live.noted_at) == [1, 2]
    for key, blob in bits([1, 2]):
        copy.take(key, blob)
    assert not live.notes and not live.noted_at
    copy.tidy()
    assert list(copy.rows) == [rows.bits_key(1, 0, A, 0)]


def test_notes_wait_for_their_block() -> None:
    copy = Copy()
    copy.take(rows.notes_key(1, 0, A, 0), rows.encode_notes({1: NOTE}), now=7.0)
    copy.take(*block(0, 2))
    live = copy.shard.blocks[A, 0]
    assert (live.notes, live.noted_at) == ({1: NOTE}, {1: 7.0})
    later = {1: NOTE, 0: NOTE}
    copy.take(rows.notes_key(1, 0, A, 0), rows.encode_notes(later), now=9.0)
    assert (live.notes, live.noted_at) == (later, {1: 7.0, 0: 9.0})


@pytest.mark.parametrize("by_floor", [False, True])
def test_notes_whose_block_is_done_before_it_comes_go(by_floor: bool) -> None:
    copy = Copy()
    key = rows.notes_key(1, 0, A, 5)
    copy.take(key, rows.encode_notes({1: NOTE}))
    copy.take(rows.notes_key(1, 0, B, 5), rows.encode_notes({1: NOTE}))
    assert key in copy.rows
    floor = (rows.floor_key(1, 0, A), rows.encode_floor(1))
    for done, blob in [floor] if by_floor else bits([5, 6]):
        copy.take(done, blob)
    copy.tidy()
    assert key not in copy.rows and rows.notes_key(1, 0, B, 5) in copy.rows


@pytest.mark.parametrize(("stays", "forgets"), [(False, True), (True, False)])
def test_a_dedup_row_is_remembered_for_its_time_or_while_its_item_lives(stays: bool, forgets: bool) -> None:
    copy = Copy()
    copy.take(*block(0, 1))
    key = rows.dedup_key(1, 0, "x")
    copy.take(key, rows.encode_dedup(Dedup(rows.item_id(1, 0, A, 0), 1000, stays)))
    copy.shard.age(1 + DEDUP_S, 100)
    copy.tidy()
    assert key in copy.rows
    copy.shard.age(2 + DEDUP_S + DEDUP_SPARE_S, 100)
    copy.tidy()
    assert (key not in copy.rows) == forgets
    for done, blob in bits([0]):
        copy.take(done, blob)
    copy.shard.age(3 + 3 * DEDUP_S, 100)
    copy.tidy()
    assert key not in copy.rows


def test_dedup_rows_are_forgotten_in_the_order_of_their_age_whichever_way_they_came() -> None:
    copy = Copy()
    for name, accepted_s in (("young", 120), ("old", 60), ("older", 1)):
        item = rows.item_id(1, 0, A, 0)
        copy.take(rows.dedup_key(1, 0, name), rows.encode_dedup(Dedup(item, accepted_s * 1000, False)))
    copy.shard.age(61 + DEDUP_S + DEDUP_SPARE_S, 100)
    copy.tidy()
    assert list(copy.rows) == [rows.dedup_key(1, 0, "young")]


def test_an_owner_that_is_none_any_more_keeps_nothing() -> None:
    copy = Copy()
    for key, blob in [block(0, 9), *bits([1, CHUNK_BITS + 1]), (rows.floor_key(1, 0, B), rows.encode_floor(2))]:
        copy.take(key, blob)
    for key in copy.rows:
        copy.shard.drop(rows.parse_key(key))
    shard = copy.shard
    assert not (shard.blocks or shard.done or shard.depth or shard.size or shard.lives(A) or copy.visible)


def test_the_end_is_the_number_after_the_last_that_is_done() -> None:
    done = DoneBits()
    assert done.end == 0
    done.raise_floor(2)
    assert done.end == 2 * CHUNK_BITS
    done.add(3, 0b101)
    assert done.end == 3 * CHUNK_BITS + 3
