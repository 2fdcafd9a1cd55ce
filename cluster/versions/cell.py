"""Cells: the value of a key that merges by itself. A counter, a set, or a register of which the last write wins.

A cell is a join of parts that merge on their own (Shapiro et al., "Conflict-free Replicated Data Types", SSS 2011):

- *counts*, by actor how much it has counted: only an actor adds to its entry, so the higher number knows more, and the
  counter is the sum (section 3.1.1 there). A deletion notes of each entry how far it has seen it, so that it takes away
  what it saw and nothing that was counted meanwhile (an observed reset, Weidner and Almeida, "An oblivious
  observed-reset embeddable replicated counter", PaPoC 2022).
- *members*, an observed-remove set without tombstones (Bieniusa et al., "An optimized conflict-free replicated set",
  2012): each item with the events that added it. An event that the clock covers and no item carries was removed.
- *generation* and *value*, a register: the greatest event wins, and with it what was counted and added on top of it.
  Counts and members belong to one generation, so that a number that is set and then incremented means one thing. `BASE`
  is the generation of a key that was never set.
- *expires*, a second register, so that a value and its end may be written apart. From then on the generation is over,
  and the next one is just above the event that set the end: two nodes that begin it begin the same one.

*clock* is a version vector of all events that went into the cell, with the same claim as the clock of an object (see
`cluster.versions.versions`): of the events of this actor on this cell, all up to its number are seen.

Time has no part in a merge: whether a cell is over is asked when it is read. Pure; what a write does to a cell is in
`cellwrite`.
"""

from collections.abc import Mapping
from typing import Annotated, Final, TypeAlias

import msgspec

from cluster.limits import VALUE_BYTES_MAX
from cluster.versions.join import descends, join_clocks
from cluster.versions.stable import StableClock, is_settled
from cluster.versions.versions import Actor, Clock

Generation: TypeAlias = tuple[int, Actor, int]
"""The event that began it, (stamp, actor, number): compared in this order."""
Expiry: TypeAlias = tuple[int, Actor, int, int]
"""The event that set it, and the end in milliseconds since 1970, 0 for none."""
Members: TypeAlias = dict[bytes, dict[Actor, int]]

BASE: Final[Generation] = (0, "", 0)
NEVER: Final[Expiry] = (0, "", 0, 0)
EXPIRED_SPARE_MS: Final = 120_000
"""An expired cell is collected so much later: by then the clock of every node that takes writes has passed its end."""

KIND_NONE, KIND_COUNTER, KIND_SET, KIND_VALUE = "", "counter", "set", "value"

_Number: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]


class Count(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one actor has counted, in a run: all that it counted since its entry was last found empty."""

    number: _Number
    """Of its newest event here."""
    total: int
    """Of the run, up to that event."""
    since: _Number
    """The event that began the run."""
    cleared: _Number = 0
    """Up to which event of the actor a deletion has seen it,"""
    cleared_total: int = 0
    """and the total of the run then."""

    @property
    def is_live(self) -> bool:
        """Whether anything was counted that no deletion has seen."""
        return self.number > self.cleared

    @property
    def amount(self) -> int:
        """What the entry adds to the counter. What was cleared of an earlier run takes nothing from this one."""
        return self.total - self.cleared_total if self.cleared >= self.since else self.total


class Cell(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """See the module."""

    generation: Generation
    value: Annotated[bytes, msgspec.Meta(max_length=VALUE_BYTES_MAX)] | None
    """What the write that began the generation set; None: deleted, or never set."""
    expires: Expiry
    counts: dict[Actor, Count]
    members: Members
    clock: dict[Actor, _Number]


NO_CELL: Final = Cell(BASE, None, NEVER, {}, {}, {})
"""Of a key without one; it is never stored."""


# -- what a reader is shown


def present(cell: Cell | None, base: Generation, now_ms: int) -> Cell:
    """The cell as reads and writes find it at a time: one that has expired, or that is of a generation below `base`
    (its bucket was emptied then), is as deleted, in the generation in which it goes on."""
    if cell is None:
        return NO_CELL if base == BASE else Cell(base, None, NEVER, {}, {}, {})
    generation = max(cell.generation, base)
    if generation == cell.generation and 0 < expires_ms(cell) <= now_ms:
        stamp, actor, number, _ = cell.expires
        generation = stamp, actor, number + 1
    return cell if generation == cell.generation else Cell(generation, None, cell.expires, {}, {}, cell.clock)


def expires_ms(cell: Cell) -> int:
    """When it ends, 0 for never: what was written after its end was set has none."""
    return cell.expires[3] if cell.generation <= cell.expires[:3] else 0


def kind_of(cell: Cell) -> str:
    """What a cell that is present shows. Additions and increments that raced show the set; the counts stay."""
    if cell.members:
        return KIND_SET
    if cell.value is not None:
        return KIND_VALUE
    return KIND_COUNTER if any(count.is_live for count in cell.counts.values()) else KIND_NONE


def total_of(cell: Cell) -> int:
    """What was counted."""
    return sum(count.amount for count in cell.counts.values() if count.is_live)


def text_of(cell: Cell) -> bytes | None:
    """The value of a register or counter, a number as decimal digits; None for nothing, or a set."""
    kind = kind_of(cell)
    if kind == KIND_COUNTER:
        return b"%d" % total_of(cell)
    if kind != KIND_VALUE:
        return None
    if not any(count.is_live for count in cell.counts.values()):
        return cell.value
    number = number_of(cell)
    return cell.value if number is None else b"%d" % number


def number_of(cell: Cell) -> int | None:
    """The number that it shows, 0 for nothing; None when it is none."""
    if cell.members:
        return None
    if cell.value is None:
        return total_of(cell)
    text = cell.value
    digits = text[1:] if text[:1] == b"-" else text
    canonical = digits.isdigit() and len(digits) <= 19 and (digits == b"0" or digits[:1] != b"0") and text != b"-0"
    return int(text) + total_of(cell) if canonical else None


# -- merging


def merge_cells(a: Cell, b: Cell) -> Cell:
    """The join; the very object `a` or `b` where it equals it.

    Each change of a cell, a removal too, is an event in its clock. So a cell whose clock covers all of the other's has
    all that the other has, or has seen it go: the usual case, in which a large set need not be gone through.
    """
    covered, covers = descends(a.clock, b.clock), descends(b.clock, a.clock)
    if covered != covers:
        return a if covered else b
    if a.generation > b.generation:
        newer = a
        counts, members = a.counts, a.members
    elif a.generation < b.generation:
        newer = b
        counts, members = b.counts, b.members
    else:
        newer = a
        counts, members = _join_counts(a.counts, b.counts), _join_members(a, b)
    joined = Cell(
        newer.generation, newer.value, max(a.expires, b.expires), counts, members, join_clocks(a.clock, b.clock)
    )
    return a if joined == a else b if joined == b else joined


def _join_counts(a: dict[Actor, Count], b: dict[Actor, Count]) -> dict[Actor, Count]:
    joined = dict(a)
    for actor, theirs in b.items():
        mine = a.get(actor)
        if mine is None or mine == theirs:
            joined[actor] = theirs
            continue
        newer = mine if mine.number >= theirs.number else theirs
        cleared = mine if mine.cleared >= theirs.cleared else theirs
        joined[actor] = Count(newer.number, newer.total, newer.since, cleared.cleared, cleared.cleared_total)
    return joined


def _join_members(a: Cell, b: Cell) -> Members:
    """An addition survives if both hold it, or if one holds it and the other has not seen it."""
    joined: Members = {}
    for item, mine in a.members.items():
        theirs = b.members.get(item)
        if mine == theirs:
            joined[item] = mine
        elif kept := _surviving(mine, theirs or {}, b.clock) | _surviving(theirs or {}, mine, a.clock):
            joined[item] = kept
    for item, theirs in b.members.items():
        if item not in a.members and (kept := _surviving(theirs, {}, a.clock)):
            joined[item] = kept
    return joined


def _surviving(events: Mapping[Actor, int], other: Mapping[Actor, int], seen: Mapping[Actor, int]) -> dict[Actor, int]:
    return {
        actor: number
        for actor, number in events.items()
        if number > seen.get(actor, 0) or other.get(actor, 0) == number
    }


# -- what is settled


def unsettled_cell(cell: Cell, held: Cell | None, stable: StableClock) -> Cell | None:
    """What a copy has to say to an owner that lacks nothing and holds `held`: all but what is settled and not held, for
    that was removed or replaced, and the tombstone may be collected. None for nothing."""
    mine = NO_CELL if held is None else held
    generation, value = cell.generation, cell.value
    _, actor, number = generation
    if generation > mine.generation and number and is_settled(stable, actor, number):
        generation, value = mine.generation, None
    expires = cell.expires
    if expires > mine.expires and expires[2] and is_settled(stable, expires[1], expires[2]):
        expires = mine.expires
    counts = {
        actor: count
        for actor, count in cell.counts.items()
        if actor in mine.counts or not is_settled(stable, actor, max(count.number, count.cleared))
    }
    members: Members = {}
    for item, events in cell.members.items():
        there = mine.members.get(item, {})
        kept = {
            actor: number
            for actor, number in events.items()
            if there.get(actor) == number or not is_settled(stable, actor, number)
        }
        if kept:
            members[item] = kept
    clock = cell.clock
    if generation != cell.generation:
        # The clock may cover what was counted in the generation that is here, and was dropped under the one that is
        # over: it is to claim no more than what is left.
        clock = {actor: max(count.number, count.cleared) for actor, count in counts.items()}
        for actor, number in (event for events in members.values() for event in events.items()):
            clock[actor] = max(number, clock.get(actor, 0))
    left = Cell(generation, value, expires, counts, members, clock)
    is_news = value is not None or counts or members
    if is_news or any(not is_settled(stable, actor, number) for actor, number in clock.items()):
        return cell if left == cell else left
    return None


# -- bytes


def sorted_cell(cell: Cell) -> Cell:
    """The same in the order in which it is encoded, so that equal cells have equal bytes."""
    if not cell.members and not cell.counts and len(cell.clock) < 2:
        return cell  # a register that one node writes
    members = {item: _sorted(cell.members[item]) for item in sorted(cell.members)}
    counts = {actor: cell.counts[actor] for actor in sorted(cell.counts)}
    return Cell(cell.generation, cell.value, cell.expires, counts, members, _sorted(cell.clock))


def _sorted(clock: Clock) -> Clock:
    return clock if len(clock) < 2 else dict(sorted(clock.items()))
