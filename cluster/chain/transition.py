"""When a transition may end. Pure.

Only the owners to come are left once each of them is complete, so that it has all that was acknowledged before they
took writes, and once so many owners in force route by the layout of the transition that neither a read nor a write of
the layout before can still find its quorum: N - min(R, W) + 1 of each partition. Then only neighbouring numbers ever
coexist. A member that leaves must have delivered its hints.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise, zip_longest
from typing import Any, NamedTuple

import msgspec

from cluster.chain.entry import ChainEntry
from cluster.layout.entry import LayoutEntry
from cluster.layout.partition import PARTITIONS
from cluster.layout.placement import placement


class Progress(NamedTuple):
    """What a member announces of itself, durable before: the slot and layout number that it holds, of how many
    partitions it still lacks data, how many hints it holds, and the id under which it votes."""

    slot: int
    number: int
    lacking: int
    hints: int
    acceptor: str


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[int, int, int, int, str])


def encode_progress(progress: Progress) -> bytes:
    """As announced."""
    return _encoder.encode(tuple(progress))


def decode_progress(blob: bytes) -> Progress | None:
    """What was announced; None for what cannot be read."""
    try:
        return Progress(*_decoder.decode(blob))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def not_adopted(entry: ChainEntry, progress: Mapping[str, Progress]) -> list[str]:
    """The owners in force that must take over the layout before another may follow; empty when enough have."""
    layout = entry.layout
    if layout.number == 1:
        return []  # what genesis wrote is everywhere
    placed = placement(layout)
    behind = {
        member.name: None
        for member in layout.members
        if member.name not in entry.gone  # who is dead for good makes no quorum
        and (member.name not in progress or progress[member.name].number < layout.number)
    }
    late: dict[str, None] = {}
    for partition in range(PARTITIONS):
        owners = placed.owners(partition)
        needed = len(owners) - min(layout.r, layout.w, len(owners)) + 1
        missing = [name for name in owners if name in behind]
        if len(owners) - len(missing) < needed:
            late.update(dict.fromkeys(missing))
    return list(late)


def obstacles(entry: ChainEntry, progress: Mapping[str, Progress], alive: Sequence[str]) -> list[str]:
    """Why the transition cannot end yet, for people; empty when it can."""
    coming = entry.layout.coming
    assert coming is not None
    found: list[str] = []
    late = not_adopted(entry, progress)
    if late:
        found.append(f"{', '.join(late)} must take over layout {entry.layout.number}")
    stay = {member.name for member in coming.members}
    for name in sorted(stay):
        told = progress.get(name)
        if name not in alive:
            found.append(f"{name} does not answer")
        elif told is None or told.number < entry.layout.number:
            found.append(f"{name} has not taken over layout {entry.layout.number}")
        elif told.lacking:
            found.append(f"{name} lacks data of {told.lacking} partition{'s' if told.lacking > 1 else ''}")
    for member in entry.layout.members:
        if member.name not in stay and member.name not in entry.gone:
            told = progress.get(member.name)
            if member.name not in alive:
                found.append(f"{member.name}, which is to leave, does not answer; `dsectl forget` goes on without it")
            elif told is None or told.number < entry.layout.number:  # it counts its hints only once it is to leave
                found.append(f"{member.name} has not taken over layout {entry.layout.number}")
            elif told.hints:
                found.append(f"{member.name} has {told.hints} hints to deliver before it leaves")
    return list(dict.fromkeys(found))


class Move(NamedTuple):
    """The owners of a partition that a transition takes it from, and those that it gives it to."""

    partition: int
    giving: tuple[str, ...]
    taking: tuple[str, ...]


@lru_cache(maxsize=4)  # whoever waits for a change asks every node for it ten times a second
def moves(layout: LayoutEntry) -> tuple[Move, ...]:
    """What the transition of a layout moves, by partition; nothing where none is under way."""
    if layout.coming is None:
        return ()
    before = layout.owners  # only in the first layout they are to be computed, by a ranking
    if not before:
        placed = placement(layout)
        before = tuple(placed.owners(partition) for partition in range(PARTITIONS))
    found = []
    for partition, (owners, coming) in enumerate(zip(before, layout.coming.owners, strict=True)):
        giving = tuple(name for name in owners if name not in coming)
        taking = tuple(name for name in coming if name not in owners)
        if giving or taking:
            found.append(Move(partition, giving, taking))
    return tuple(found)


def how_far(entry: ChainEntry, progress: Mapping[str, Progress]) -> dict[str, dict[str, int]]:
    """How many partitions each owner to come takes over (`joining`), and of how many of them it lacks data (`lacking`):
    of all while it has not announced that it holds the layout."""
    joining = Counter(name for move in moves(entry.layout) for name in move.taking)
    lacking = {}
    for name, number in joining.items():
        told = progress.get(name)
        lacking[name] = number
        if told is not None and told.number >= entry.layout.number:
            lacking[name] = min(told.lacking, number)
    return {"joining": dict(joining), "lacking": {name: number for name, number in lacking.items() if number}}


def changes(entries: Sequence[ChainEntry], limit: int) -> list[dict[str, Any]]:
    """The last transitions of a chain, oldest first, for people: what each was to do, what became of it, and what it
    moved, or moves."""
    layouts = [entry for before, entry in pairwise(entries) if entry.layout.number > before.layout.number]
    followed = [(entry, next) for entry, next in zip_longest(layouts, layouts[1:]) if entry.moving]
    return [
        {
            "slot": entry.slot,
            "layout": entry.layout.number,
            "what": entry.what,
            "state": _outcome(entry, next),
            "moves": [
                {"partition": one.partition, "from": one.giving, "to": one.taking} for one in moves(entry.layout)
            ],
        }
        for entry, next in followed[-limit:]
    ]


def _outcome(entry: ChainEntry, next: ChainEntry | None) -> str:
    if next is None:
        return "under way"
    if next.moving:
        return "replaced"
    return "done" if next.layout.owners == entry.layout.after().owners else "taken back"
