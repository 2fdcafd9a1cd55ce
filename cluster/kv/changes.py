"""What each operation of an `Update` makes of a cell, and what it answers. Pure.

Counters and sets are there in every bucket. Registers are of buckets where the last write wins: elsewhere a value is a
versioned object, which a put writes. What is written to what is another kind is refused, and so is a number over 64
bits. An operation that changes nothing gives the very cell, which need not be written.
"""

from typing import Final, NamedTuple

from cluster.errors import TooLarge, Usage, WrongType
from cluster.limits import COUNTER_MAX, ITEM_BYTES_MAX, UPDATE_ITEMS_MAX, VALUE_BYTES_MAX
from cluster.versions import (
    KIND_NONE,
    KIND_SET,
    Cell,
    CellContext,
    CellEvent,
    add_count,
    add_items,
    clear,
    expires_ms,
    kind_of,
    number_of,
    remove_items,
    set_end,
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

CONDITIONS: Final = ("", "nx", "xx", "gt", "lt")
REGISTERS: Final = (SetValue, Expire, Append, SetRange)
"""What needs a bucket where the last write wins."""


class Changed(NamedTuple):
    """The cell afterwards, and the answer."""

    cell: Cell
    changed: int = 0
    value: bytes | None = None


def check_change(change: KvOperation, lww: bool) -> None:
    """Raise Usage or TooLarge for an operation that no cell takes in such a bucket."""
    match change:
        case AddItems(items) | RemoveItems(items):
            if not 0 < len(items) <= UPDATE_ITEMS_MAX:
                raise TooLarge(f"{len(items)} items, and 1 to {UPDATE_ITEMS_MAX} are allowed at a time")
            if (longest := max(map(len, items))) > ITEM_BYTES_MAX:
                raise TooLarge(f"an item has at most {ITEM_BYTES_MAX} bytes, this one {longest}")
        case Increment(by):
            if abs(by) > COUNTER_MAX:
                raise TooLarge(f"a counter has 64 bits, too few for {by}")
        case SetValue(value) | Append(value):
            check_length(len(value))
        case SetRange(offset, value):
            if offset < 0:
                raise Usage(f"an offset is 0 or more, not {offset}")
            check_length(offset + len(value))
        case Expire(ends_ms, condition):
            if ends_ms < 0 or condition not in CONDITIONS:
                raise Usage(f"invalid end {ends_ms}, or invalid condition {condition!r}: expected nx, xx, gt or lt")
    if not lww and isinstance(change, REGISTERS):
        raise Usage("such a write needs a bucket where the last write wins: `dsectl bucket create NAME --resolver lww`")


def check_length(length: int) -> None:
    """Raise TooLarge for a value of so many bytes."""
    if length > VALUE_BYTES_MAX:
        raise TooLarge(f"a value has at most {VALUE_BYTES_MAX} bytes, this one {length}")


def wrong_type(key: str, kind: str, wanted: str) -> WrongType:
    """`wanted` is written to, or read, and there is something else."""
    there = f"a {kind}" if kind else "a value"
    way = "`dsectl smembers` reads it" if kind == KIND_SET else "`dsectl get` reads it"
    return WrongType(f"{key!r} is {there}, not {wanted}: {way}")


def carry_out(
    update: Update, cell: Cell, event: CellEvent, context: CellContext | None, *, lww: bool, ends_ms: int = 0
) -> Changed:
    """Apply the operation to a cell that is present. `ends_ms`: when a value of this bucket ends that names no end.
    Raises WrongType, Usage or TooLarge."""
    change, kind = update.change, kind_of(cell)
    match change:
        case Increment(by):
            number = number_of(cell)
            if kind == KIND_SET or number is None:
                raise wrong_type(update.key, kind, "a number")
            if abs(number + by) > COUNTER_MAX:
                raise Usage(f"{number} and {by} are over the 64 bits of a counter")
            counted = add_count(cell, event, by)
            if abs(counted.counts[event.actor].total) > COUNTER_MAX:
                raise Usage(f"{event.actor} has counted as far as 64 bits go: delete the counter")
            return Changed(counted, value=b"%d" % (number + by))
        case AddItems(items):
            if kind not in (KIND_NONE, KIND_SET):
                raise wrong_type(update.key, kind, "a set")
            return Changed(
                add_items(cell, event, items), sum(item not in cell.members for item in dict.fromkeys(items))
            )
        case RemoveItems(items):
            if kind not in (KIND_NONE, KIND_SET):
                raise wrong_type(update.key, kind, "a set")
            left = remove_items(cell, event, items, context)
            return (
                Changed(left, len(cell.members) - len(left.members)) if left.members != cell.members else Changed(cell)
            )
        case Remove(get):
            before = text_of(cell) if get else None
            if kind == KIND_NONE:
                return Changed(cell)
            return Changed(set_value(cell, event, None) if lww else clear(cell, event, context), 1, before)
        case SetValue(value, ends, keep_end, get):
            if get and kind == KIND_SET:
                raise wrong_type(update.key, kind, "a value")
            ends = ends or (expires_ms(cell) if keep_end else 0) or ends_ms
            return Changed(set_value(cell, event, value, ends), 1, text_of(cell) if get else None)
        case Expire(ends, condition):
            before_ms = expires_ms(cell)
            if kind == KIND_NONE or not _ends_so(ends, before_ms, condition):
                return Changed(cell)
            return Changed(set_end(cell, event, ends), 1)
        case Append(value):
            return _rewritten(cell, event, (_text(update.key, cell) or b"") + value)
        case SetRange(offset, value):
            text = _text(update.key, cell) or b""
            if not value:
                return Changed(cell, len(text))
            start = text[:offset].ljust(offset, b"\0")
            return _rewritten(cell, event, start + value + text[offset + len(value) :])


def _ends_so(ends_ms: int, before_ms: int, condition: str) -> bool:
    """Whether an end may be set; never is later than any."""
    if not ends_ms:
        return bool(before_ms)
    match condition:
        case "nx":
            return not before_ms
        case "xx":
            return bool(before_ms)
        case "gt":
            return bool(before_ms) and ends_ms > before_ms
        case "lt":
            return not before_ms or ends_ms < before_ms
    return True


def _text(key: str, cell: Cell) -> bytes | None:
    if kind_of(cell) == KIND_SET:
        raise wrong_type(key, KIND_SET, "a value")
    return text_of(cell)


def _rewritten(cell: Cell, event: CellEvent, value: bytes) -> Changed:
    check_length(len(value))
    return Changed(set_value(cell, event, value, expires_ms(cell)), len(value))
