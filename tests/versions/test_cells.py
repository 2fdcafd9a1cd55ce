"""Cells against a model that knows every event, and the laws of their merge.

Replicas write and merge in any order. Of each state the model has the plain set of the events in it; what a reader is
shown has to follow from that set alone, and so do the bytes.
"""

from dataclasses import dataclass
from itertools import permutations, product

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster import errors
from cluster.limits import CLOCK_ACTORS_MAX, ITEMS_MAX
from cluster.versions import (
    BASE,
    KIND_COUNTER,
    KIND_NONE,
    KIND_SET,
    KIND_VALUE,
    NEVER,
    NO_CELL,
    Cell,
    CellContext,
    CellEvent,
    Count,
    Generation,
    add_count,
    add_items,
    check_cell,
    clear,
    decode_cell_context,
    encode_cell_context,
    expires_ms,
    is_cell_context,
    kind_of,
    merge_cells,
    newest_stamp,
    number_of,
    present,
    remove_items,
    set_end,
    set_value,
    sorted_cell,
    text_of,
    total_of,
    unsettled_cell,
)

ACTORS = ("n1-aa.1.0", "n2-bb.1.0", "n3-cc.1.0")
A, B, C = ACTORS
NOW = 1_000

replica = st.integers(0, 2)
MERGING = (
    st.tuples(st.just("add"), replica, st.integers(-3, 3))
    | st.tuples(st.just("items"), replica, st.sets(st.sampled_from([b"x", b"y", b"z"]), min_size=1, max_size=2))
    | st.tuples(st.just("remove"), replica, st.sampled_from([b"x", b"y", b"z"]))
    | st.tuples(st.just("clear"), replica, st.none())
    | st.tuples(st.just("merge"), replica, replica)
)
REGISTERS = st.tuples(st.just("set"), replica, st.sampled_from([b"7", b"-2", None])) | st.tuples(
    st.just("end"), replica, st.sampled_from([0, NOW - 1, NOW + 1])
)


@dataclass(frozen=True, eq=False)
class Happened:
    """One event, with what its replica had seen before it."""

    event: CellEvent
    what: str
    argument: object
    seen: frozenset["Happened"]
    generation: Generation


History = frozenset[Happened]


class World:
    """Three replicas, the events that each has seen, and every state that there ever was."""

    def __init__(self) -> None:
        self.cells = [NO_CELL] * 3
        self.seen: list[History] = [frozenset()] * 3
        self.states: list[tuple[Cell, History]] = [(NO_CELL, frozenset())]
        self.number = 0

    def step(self, what: str, at: int, argument: object) -> None:
        if what == "merge":
            assert isinstance(argument, int)
            self.cells[at] = merge_cells(self.cells[at], self.cells[argument])
            self.seen[at] |= self.seen[argument]
        else:
            self.number += 1
            # Clocks differ: a replica stamps above what it holds, and knows nothing of the others.
            event = CellEvent(newest_stamp(self.cells[at]) + 1 + at, ACTORS[at], self.number)
            cell = present(self.cells[at], BASE, NOW)
            if what in ("set", "end") and not event > cell.generation:
                return
            self.seen[at] |= {Happened(event, what, argument, self.seen[at], cell.generation)}
            self.cells[at] = written(cell, event, what, argument)
        self.states.append((self.cells[at], self.seen[at]))


def written(cell: Cell, event: CellEvent, what: str, argument: object) -> Cell:
    match what, argument:
        case "add", int():
            return add_count(cell, event, argument)
        case "items", set():
            return add_items(cell, event, argument)
        case "remove", bytes():
            return remove_items(cell, event, [argument], None)
        case "clear", _:
            return clear(cell, event, None)
        case "set", bytes() | None:
            return set_value(cell, event, argument)
        case "end", int():
            return set_end(cell, event, argument)
    raise AssertionError(what)


def shown(cell: Cell) -> tuple[Generation, bytes | None, int, frozenset[bytes]]:
    cell = present(cell, BASE, NOW)
    return cell.generation, cell.value, total_of(cell), frozenset(cell.members)


def expected(history: History) -> tuple[Generation, bytes | None, int, frozenset[bytes]]:
    """What follows from the events alone."""
    values: dict[Generation, object] = {(*one.event,): one.argument for one in history if one.what == "set"}
    # That something was written on top of a generation says that it has begun.
    generation: Generation = max([BASE, *values, *(one.generation for one in history)])
    ends = max((one for one in history if one.what == "end"), key=lambda one: one.event, default=None)
    if ends is not None and tuple(ends.event) >= generation and 0 < ends.argument <= NOW:  # type: ignore[operator]
        stamp, actor, number = ends.event
        generation = stamp, actor, number + 1
    value = values.get(generation)
    assert value is None or isinstance(value, bytes)
    of_now = [one for one in history if one.generation == generation]
    clears = [one for one in of_now if one.what == "clear"]
    total = sum(
        one.argument  # type: ignore[misc]
        for one in of_now
        if one.what == "add" and not any(one in clear.seen for clear in clears)
    )
    items = frozenset(
        item
        for one in of_now
        if one.what == "items"
        for item in one.argument  # type: ignore[attr-defined]
        if not any(
            one in other.seen
            for other in of_now
            if other.what == "clear" or (other.what == "remove" and other.argument == item)
        )
    )
    return generation, value, total, items


@given(st.lists(MERGING, max_size=25))
def test_nothing_that_was_counted_or_added_is_lost_and_nothing_removed_comes_back(
    steps: list[tuple[str, int, object]],
) -> None:
    world = World()
    for step in steps:
        world.step(*step)
        for cell, history in zip(world.cells, world.seen, strict=True):
            assert shown(cell) == expected(history)


@given(st.lists(MERGING | REGISTERS, max_size=25))
def test_registers_win_as_a_whole_and_count_on_from_there(steps: list[tuple[str, int, object]]) -> None:
    world = World()
    for step in steps:
        world.step(*step)
        for cell, history in zip(world.cells, world.seen, strict=True):
            assert shown(cell) == expected(history)


@settings(max_examples=60)
@given(st.lists(MERGING | REGISTERS, max_size=14), st.data())
def test_merging_is_commutative_associative_and_idempotent(
    steps: list[tuple[str, int, object]], data: st.DataObject
) -> None:
    world = World()
    for step in steps:
        world.step(*step)
    states = data.draw(st.lists(st.sampled_from(world.states), min_size=3, max_size=4), "states")
    for (a, _), (b, _) in product(states, repeat=2):
        assert merge_cells(a, b) == merge_cells(b, a)
        assert merge_cells(a, merge_cells(a, b)) == merge_cells(a, b)
    assert all(merge_cells(a, a) is a for a, _ in states)
    results = []
    for order in permutations(states):
        cell = order[0][0]
        for other, _ in order[1:]:
            cell = merge_cells(cell, other)
        results.append(msgspec.msgpack.encode(sorted_cell(cell)))
    assert len(set(results)) == 1, "equal cells have equal bytes"
    everything = frozenset().union(*(history for _, history in states))
    assert shown(msgspec.msgpack.decode(results[0], type=Cell)) == expected(everything)


@given(st.lists(MERGING | REGISTERS, max_size=20))
def test_a_merge_that_adds_nothing_gives_the_very_object(steps: list[tuple[str, int, object]]) -> None:
    world = World()
    for step in steps:
        world.step(*step)
    for (a, mine), (b, theirs) in product(world.states, repeat=2):
        if theirs <= mine:
            assert merge_cells(a, b) is a


def test_a_deletion_takes_no_increment_that_it_did_not_see() -> None:
    left = add_count(NO_CELL, CellEvent(1, A, 1), 5)
    right = clear(merge_cells(NO_CELL, left), CellEvent(2, B, 1), None)
    assert kind_of(right) == KIND_NONE
    left = add_count(left, CellEvent(2, A, 2), 2)
    both = merge_cells(left, right)
    assert (kind_of(both), total_of(both), text_of(both)) == (KIND_COUNTER, 2, b"2")
    again = clear(both, CellEvent(3, B, 2), None)
    assert kind_of(again) == KIND_NONE
    anew = add_count(again, CellEvent(4, A, 3), 1)
    assert total_of(anew) == 1 and anew.counts[A] == Count(3, 1, 3, 2, 7)


def test_what_an_old_copy_knows_of_a_deletion_takes_nothing_from_a_counter_that_began_anew() -> None:
    """The tombstone was collected, and a node that lost data still has it."""
    deleted = clear(add_count(NO_CELL, CellEvent(1, A, 1), 5), CellEvent(2, A, 2), None)
    anew = add_count(NO_CELL, CellEvent(9, A, 90), 1)
    assert total_of(merge_cells(deleted, anew)) == total_of(merge_cells(anew, deleted)) == 1


def test_a_removal_takes_what_its_context_has_seen() -> None:
    cell = add_items(NO_CELL, CellEvent(1, A, 1), [b"x", b"y"])
    context = decode_cell_context(encode_cell_context(cell))
    assert context == CellContext(0, {A: 1})
    cell = add_items(cell, CellEvent(2, A, 2), [b"x"])
    assert sorted(remove_items(cell, CellEvent(3, A, 3), [b"x", b"y"], context).members) == [b"x"]
    assert remove_items(cell, CellEvent(3, A, 3), [b"x", b"y"], None).members == {}
    assert sorted(clear(cell, CellEvent(3, A, 3), context).members) == [b"x"]


def test_a_number_that_is_set_is_counted_on_from() -> None:
    cell = set_value(NO_CELL, CellEvent(5, A, 1), b"40")
    cell = merge_cells(add_count(cell, CellEvent(6, A, 2), 1), add_count(cell, CellEvent(6, B, 1), 1))
    assert (kind_of(cell), text_of(cell), number_of(cell)) == (KIND_VALUE, b"42", 42)
    assert text_of(set_value(cell, CellEvent(7, C, 1), b"x")) == b"x"


@pytest.mark.parametrize("text", [b"", b"-", b"01", b"-0", b"+1", b" 1", b"1.0", b"9" * 20, b"\xb2"])
def test_what_is_no_canonical_number_is_none(text: bytes) -> None:
    assert number_of(set_value(NO_CELL, CellEvent(1, A, 1), text)) is None


def test_an_expired_cell_goes_on_in_one_generation_wherever_that_begins() -> None:
    cell = set_value(NO_CELL, CellEvent(5, A, 1), b"x", ends_ms=100)
    assert expires_ms(cell) == 100 and present(cell, BASE, 99) is cell
    over = present(cell, BASE, 100)
    assert kind_of(over) == KIND_NONE and over.generation == (5, A, 2)
    left, right = add_count(over, CellEvent(9, B, 1), 1), add_count(over, CellEvent(3, C, 1), 1)
    both = merge_cells(left, right)
    assert total_of(present(both, BASE, 10_000)) == 2 and expires_ms(both) == 0
    assert merge_cells(both, cell) == both


def test_what_is_written_after_an_end_was_set_has_none() -> None:
    cell = set_end(add_count(NO_CELL, CellEvent(1, A, 1), 3), CellEvent(2, A, 2), 100)
    assert expires_ms(cell) == 100
    assert expires_ms(set_end(cell, CellEvent(3, A, 3), 0)) == 0
    assert expires_ms(set_value(cell, CellEvent(3, A, 3), b"x")) == 0


def test_a_bucket_that_was_emptied_shows_nothing_older() -> None:
    cell = set_value(NO_CELL, CellEvent(5, A, 1), b"x")
    emptied: Generation = (6, "", 0)
    assert kind_of(present(cell, emptied, NOW)) == KIND_NONE
    assert present(None, emptied, NOW) == Cell(emptied, None, NEVER, {}, {}, {})
    counted = add_count(present(cell, emptied, NOW), CellEvent(7, A, 2), 1)
    assert text_of(merge_cells(counted, cell)) == b"1"


def test_what_is_settled_and_not_held_was_removed() -> None:
    cell = add_items(add_count(NO_CELL, CellEvent(1, A, 3), 5), CellEvent(2, B, 8), [b"x"])
    assert unsettled_cell(cell, None, {}) is cell
    assert unsettled_cell(cell, None, {"n1-aa": 2, "n2-bb": 7}) is cell
    left = unsettled_cell(cell, None, {"n1-aa": 3})
    assert left is not None and not left.counts and left.members and left.clock == cell.clock
    assert unsettled_cell(cell, None, {"n1-aa": 3, "n2-bb": 8}) is None
    assert unsettled_cell(cell, cell, {"n1-aa": 3, "n2-bb": 8}) is cell
    deleted = clear(cell, CellEvent(3, C, 1), None)
    assert unsettled_cell(deleted, None, {"n1-aa": 3, "n2-bb": 8}) is not None, "it is news that it is deleted"
    assert unsettled_cell(deleted, None, {"n1-aa": 3, "n2-bb": 8, "n3-cc": 1}) is None


def test_a_settled_register_that_is_not_held_does_not_hide_what_came_after_it() -> None:
    """It was deleted and collected, and the key counts anew."""
    deleted = set_value(NO_CELL, CellEvent(50, A, 3), None)
    stale = add_count(deleted, CellEvent(60, B, 8), 2)  # by a node that lost data
    anew = add_count(NO_CELL, CellEvent(70, C, 9), 1)
    left = unsettled_cell(stale, anew, {"n1-aa": 3})
    assert left is not None and total_of(merge_cells(anew, left)) == 3
    seen = add_count(merge_cells(deleted, anew), CellEvent(80, B, 10), 4)  # it has read the new count, and dropped it
    left = unsettled_cell(seen, anew, {"n1-aa": 3})
    assert left is not None and total_of(merge_cells(anew, left)) == 5


def test_a_context_of_an_object_has_seen_nothing_of_a_cell() -> None:
    token = encode_cell_context(add_count(set_value(NO_CELL, CellEvent(5, A, 1), b"1"), CellEvent(6, A, 2), 1))
    assert is_cell_context(token) and decode_cell_context(token) == CellContext(5, {A: 2})
    assert not is_cell_context(b"\x80") and decode_cell_context(b"\x80") is None
    with pytest.raises(errors.BadContext):
        decode_cell_context(token[:-1])


def test_what_takes_a_cell_over_a_limit_is_refused_unless_it_makes_it_smaller() -> None:
    full = add_items(NO_CELL, CellEvent(1, A, 1), [b"%d" % number for number in range(ITEMS_MAX)])
    check_cell(full, NO_CELL, 1, 0)
    over = add_items(full, CellEvent(2, A, 2), [b"one more"])
    with pytest.raises(errors.TooLarge):
        check_cell(over, full, 1, 1)
    check_cell(remove_items(over, CellEvent(3, A, 3), [b"1"], None), over, 1, 1)
    crowded = NO_CELL
    for number in range(CLOCK_ACTORS_MAX + 1):
        crowded = add_count(crowded, CellEvent(1, f"n1-aa.{number}.0", 1), 1)
    with pytest.raises(errors.ClockFull):
        check_cell(crowded, NO_CELL, 1, 0)
    check_cell(clear(crowded, CellEvent(1, B, 1), None), NO_CELL, 1, 0)
    assert kind_of(full) == KIND_SET
