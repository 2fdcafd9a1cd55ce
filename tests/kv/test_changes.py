"""What each operation makes of a cell, and what it refuses."""

import pytest

from cluster.errors import ClusterError, TooLarge, Usage, WrongType
from cluster.kv.changes import Changed, carry_out, check_change
from cluster.limits import COUNTER_MAX, ITEM_BYTES_MAX, UPDATE_ITEMS_MAX, VALUE_BYTES_MAX
from cluster.versions import (
    NO_CELL,
    Cell,
    CellContext,
    CellEvent,
    add_count,
    add_items,
    expires_ms,
    set_value,
    text_of,
)
from cluster.wire.kv import (
    AddItems,
    Append,
    Expire,
    Increment,
    KvOperation,
    Remove,
    RemoveItems,
    SetRange,
    SetValue,
    Update,
)

A = "n1-aa.1.0"
COUNTER = add_count(NO_CELL, CellEvent(1, A, 1), 5)
SET = add_items(NO_CELL, CellEvent(1, A, 1), [b"x", b"y"])
TEXT = set_value(NO_CELL, CellEvent(1, A, 1), b"text", ends_ms=700)
NUMBER = set_value(NO_CELL, CellEvent(1, A, 1), b"-3")


def apply(cell: Cell, change: KvOperation, *, lww: bool = True, context: CellContext | None = None) -> Changed:
    check_change(change, lww)
    return carry_out(Update("k", "op", change), cell, CellEvent(2, A, 2), context, lww=lww, ends_ms=900)


@pytest.mark.parametrize(
    ("cell", "change", "changed", "value", "after"),
    [
        (NO_CELL, Increment(4), 0, b"4", b"4"),
        (COUNTER, Increment(-7), 0, b"-2", b"-2"),
        (NUMBER, Increment(1), 0, b"-2", b"-2"),
        (COUNTER, Remove(get=True), 1, b"5", None),
        (NO_CELL, Remove(get=True), 0, None, None),
        (SET, Remove(get=True), 1, None, None),
        (TEXT, SetValue(b"new", get=True), 1, b"text", b"new"),
        (SET, SetValue(b"new"), 1, None, b"new"),
        (TEXT, Append(b"!"), 5, None, b"text!"),
        (COUNTER, Append(b"0"), 2, None, b"50"),
        (NO_CELL, Append(b"a"), 1, None, b"a"),
        (TEXT, SetRange(2, b"am"), 4, None, b"team"),
        (NO_CELL, SetRange(2, b"a"), 3, None, b"\0\0a"),
        (TEXT, SetRange(9, b""), 4, None, b"text"),
    ],
)
def test_what_it_makes_and_answers(
    cell: Cell, change: KvOperation, changed: int, value: bytes | None, after: bytes | None
) -> None:
    if isinstance(change, SetRange) and change == SetRange(2, b"am"):
        cell = set_value(NO_CELL, CellEvent(1, A, 1), b"te--")
    made = apply(cell, change)
    assert (made.changed, made.value, text_of(made.cell)) == (changed, value, after)


def test_items_are_counted_once() -> None:
    made = apply(SET, AddItems([b"y", b"z", b"z"]))
    assert made.changed == 1 and sorted(made.cell.members) == [b"x", b"y", b"z"]
    gone = apply(SET, RemoveItems([b"x", b"nothing", b"x"]))
    assert gone.changed == 1 and sorted(gone.cell.members) == [b"y"]
    assert apply(SET, RemoveItems([b"x"]), context=CellContext(0, {})) == Changed(SET), "its asker has not seen it"


@pytest.mark.parametrize("change", [Remove(), RemoveItems([b"x"]), Expire(5), SetRange(0, b"")])
def test_what_changes_nothing_leaves_the_very_cell(change: KvOperation) -> None:
    assert apply(NO_CELL, change).cell is NO_CELL


@pytest.mark.parametrize(
    ("cell", "change"),
    [
        (SET, Increment(1)),
        (TEXT, Increment(1)),
        (COUNTER, AddItems([b"x"])),
        (TEXT, AddItems([b"x"])),
        (NUMBER, RemoveItems([b"x"])),
        (SET, Append(b"x")),
        (SET, SetRange(0, b"x")),
        (SET, SetValue(b"x", get=True)),
    ],
)
def test_another_kind_is_refused(cell: Cell, change: KvOperation) -> None:
    with pytest.raises(WrongType):
        apply(cell, change)


@pytest.mark.parametrize(
    ("before", "condition", "ends", "after"),
    [
        (0, "", 800, 800), (700, "", 0, 0), (0, "nx", 800, 800), (700, "nx", 800, 700), (0, "xx", 800, 0),
        (700, "xx", 800, 800), (700, "gt", 800, 800), (700, "gt", 600, 700), (0, "gt", 800, 0), (700, "lt", 600, 600),
        (700, "lt", 800, 700), (0, "lt", 800, 800),
    ],
)  # fmt: skip
def test_an_end_is_set_where_its_condition_holds(before: int, condition: str, ends: int, after: int) -> None:
    cell = set_value(NO_CELL, CellEvent(1, A, 1), b"x", before)
    made = apply(cell, Expire(ends, condition))
    assert (expires_ms(made.cell), made.changed) == (after, int(after != before))


def test_a_value_ends_as_it_says_or_as_its_bucket_does() -> None:
    assert expires_ms(apply(TEXT, SetValue(b"x")).cell) == 900
    assert expires_ms(apply(TEXT, SetValue(b"x", ends_ms=800)).cell) == 800
    assert expires_ms(apply(TEXT, SetValue(b"x", keep_end=True)).cell) == 700
    assert expires_ms(apply(TEXT, Append(b"x")).cell) == 700


@pytest.mark.parametrize(
    ("cell", "change", "error"),
    [
        (COUNTER, Increment(COUNTER_MAX), Usage),
        (NO_CELL, Increment(COUNTER_MAX + 1), TooLarge),
        (NO_CELL, AddItems([]), TooLarge),
        (NO_CELL, AddItems([b"x"] * (UPDATE_ITEMS_MAX + 1)), TooLarge),
        (NO_CELL, RemoveItems([bytes(ITEM_BYTES_MAX + 1)]), TooLarge),
        (NO_CELL, SetValue(bytes(VALUE_BYTES_MAX + 1)), TooLarge),
        (TEXT, Append(bytes(VALUE_BYTES_MAX)), TooLarge),
        (TEXT, SetRange(VALUE_BYTES_MAX, b"x"), TooLarge),
        (TEXT, SetRange(-1, b"x"), Usage),
        (TEXT, Expire(-1), Usage),
        (TEXT, Expire(1, "never"), Usage),
    ],
)
def test_what_is_over_a_limit_is_refused(cell: Cell, change: KvOperation, error: type[ClusterError]) -> None:
    with pytest.raises(error):
        apply(cell, change)


@pytest.mark.parametrize("change", [SetValue(b"x"), Expire(5), Append(b"x"), SetRange(0, b"x")])
def test_registers_need_a_bucket_where_the_last_write_wins(change: KvOperation) -> None:
    with pytest.raises(Usage):
        apply(NO_CELL, change, lww=False)


def test_a_deletion_keeps_the_generation_where_siblings_are_kept() -> None:
    assert apply(COUNTER, Remove(), lww=False).cell.generation == NO_CELL.generation
    assert apply(COUNTER, Remove()).cell.generation == (2, A, 2)
