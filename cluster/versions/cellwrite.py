"""What a write does to a cell: the coordinator applies it, as one event, to the cell that is `present`.

A write of a register begins a new generation; increments and additions go into the one that there is. What is removed
is what the coordinator holds, and of a set with a context no more than the context covers. An event may be given only
by the node that owns its actor, on a cell that has all that this actor gave on the key.

The functions are total: that a counter is not added to as a set is refused by whoever calls them, by `kind_of`.
"""

from collections.abc import Collection, Mapping
from typing import Annotated, NamedTuple

import msgspec

from cluster import errors
from cluster.limits import CLOCK_ACTORS_MAX, CLOCK_ACTORS_SPARE, ITEMS_MAX, OBJECT_BYTES_MAX
from cluster.versions.cell import KIND_NONE, Cell, Count, kind_of
from cluster.versions.context import CELL_FRONT
from cluster.versions.encoding import UNREADABLE
from cluster.versions.versions import NUMBER_MAX, Actor, Clock


class CellEvent(NamedTuple):
    """One write, in the order in which registers compare them."""

    stamp: int
    actor: Actor
    number: int


class CellContext(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What somebody has seen of a cell: the newest stamp in it, and its clock."""

    stamp: Annotated[int, msgspec.Meta(ge=0, le=NUMBER_MAX)]
    clock: dict[Actor, Annotated[int, msgspec.Meta(ge=0, le=NUMBER_MAX)]]


_context_encoder = msgspec.msgpack.Encoder(order="deterministic")
_context_decoder = msgspec.msgpack.Decoder(CellContext)


def set_value(cell: Cell, event: CellEvent, value: bytes | None, ends_ms: int = 0) -> Cell:
    """A register with this value, or with None a deleted one, whatever there was; with an end unless it is 0."""
    stamp, actor, number = event
    assert event > cell.generation, "a write of a register needs a stamp above all that it replaces"
    expires = (stamp, actor, number, ends_ms) if ends_ms else cell.expires
    return Cell((stamp, actor, number), value, expires, {}, {}, _with(cell.clock, event))


def set_end(cell: Cell, event: CellEvent, ends_ms: int) -> Cell:
    """The same with another end; 0 for none."""
    stamp, actor, number = event
    assert event > cell.generation, "below its generation, it would be the end of an older value"
    return Cell(
        cell.generation,
        cell.value,
        (stamp, actor, number, ends_ms),
        cell.counts,
        cell.members,
        _with(cell.clock, event),
    )


def add_count(cell: Cell, event: CellEvent, by: int) -> Cell:
    """Counted `by` further."""
    _, actor, number = event
    entry = cell.counts.get(actor)
    if entry is None:
        counted = Count(number, by, number)
    elif entry.is_live:
        counted = Count(number, entry.total + by, entry.since, entry.cleared, entry.cleared_total)
    else:
        counted = Count(number, by, number, entry.cleared, entry.cleared_total)
    counts = {**cell.counts, actor: counted}
    return Cell(cell.generation, cell.value, cell.expires, counts, cell.members, _with(cell.clock, event))


def add_items(cell: Cell, event: CellEvent, items: Collection[bytes]) -> Cell:
    """With these items, added anew where they are there: a removal that did not see this keeps them."""
    _, actor, number = event
    members = {**cell.members, **{item: {actor: number} for item in items}}
    return Cell(cell.generation, cell.value, cell.expires, cell.counts, members, _with(cell.clock, event))


def remove_items(cell: Cell, event: CellEvent, items: Collection[bytes], context: CellContext | None) -> Cell:
    """Without what `context` covers of these items; without all that is here of them when there is none."""
    members = dict(cell.members)
    for item in items:
        if item in members:
            left = {} if context is None else _unseen(members[item], context.clock)
            if left:
                members[item] = left
            else:
                del members[item]
    return Cell(cell.generation, cell.value, cell.expires, cell.counts, members, _with(cell.clock, event))


def clear(cell: Cell, event: CellEvent, context: CellContext | None) -> Cell:
    """Without all counts that are here, and without the items that `context` covers. What is counted or added
    meanwhile elsewhere stays: nothing begins anew, as it does with `set_value`."""
    counts = {
        actor: Count(count.number, count.total, count.since, count.number, count.total) if count.is_live else count
        for actor, count in cell.counts.items()
    }
    bare = Cell(cell.generation, cell.value, cell.expires, counts, cell.members, cell.clock)
    return remove_items(bare, event, tuple(cell.members), context)


def _unseen(events: Mapping[Actor, int], clock: Mapping[Actor, int]) -> dict[Actor, int]:
    return {actor: number for actor, number in events.items() if number > clock.get(actor, 0)}


def _with(clock: Clock, event: CellEvent) -> Clock:
    _, actor, number = event
    assert number > clock.get(actor, 0), f"{actor} has forgotten events: mint a new actor"
    return {**clock, actor: number}


def newest_stamp(cell: Cell) -> int:
    """The greatest stamp in it: a write that is to win over all of it needs a greater one."""
    return max(cell.generation[0], cell.expires[0])


def check_cell(cell: Cell, held: Cell, written_bytes: int, held_bytes: int) -> None:
    """Raise `errors.TooLarge` or `errors.ClockFull` for a write that takes a cell over a limit, or leaves it over one
    without making it smaller: replicas that did not hear of each other may each have filled it."""
    if len(cell.members) > ITEMS_MAX and len(cell.members) > len(held.members):
        raise errors.TooLarge(f"the set would have {len(cell.members)} items, and {ITEMS_MAX} are allowed")
    if written_bytes > OBJECT_BYTES_MAX and written_bytes >= held_bytes:
        raise errors.TooLarge(f"the key would have {written_bytes} bytes, and {OBJECT_BYTES_MAX} are allowed")
    entries = len(cell.clock)
    allowed = CLOCK_ACTORS_MAX + (CLOCK_ACTORS_SPARE if kind_of(cell) == KIND_NONE else 0)
    if entries > allowed and entries > len(held.clock):
        raise errors.ClockFull(f"the clock of the key would have {entries} entries, and {allowed} are allowed")


def encode_cell_context(cell: Cell) -> bytes:
    """The canonical bytes of what a reader of all of the cell has seen."""
    return CELL_FRONT + _context_encoder.encode(CellContext(newest_stamp(cell), cell.clock))


def decode_cell_context(blob: bytes) -> CellContext | None:
    """The context that `blob` holds; None for that of an object, whose holder has seen nothing of a cell. Raises
    `errors.BadContext`."""
    if not is_cell_context(blob):
        return None
    try:
        return _context_decoder.decode(blob[1:])
    except UNREADABLE as error:
        raise errors.BadContext(f"the context cannot be read: {error}") from error


def is_cell_context(blob: bytes) -> bool:
    """Whether it is of a cell."""
    return blob.startswith(CELL_FRONT)
