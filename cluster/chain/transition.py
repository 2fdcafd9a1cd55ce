"""When a transition may end. Pure.

Only the owners to come are left once each of them is complete, so that it has all that was acknowledged before they
took writes, and once so many owners in force route by the layout of the transition that neither a read nor a write of
the layout before can still find its quorum: N - min(R, W) + 1 of each partition. Then only neighbouring numbers ever
coexist. A member that leaves must have delivered its hints.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from cluster.chain.entry import ChainEntry
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
            found.append(f"{name} lacks data of {told.lacking} partitions")
    for member in entry.layout.members:
        if member.name not in stay and member.name not in entry.gone:
            told = progress.get(member.name)
            if member.name not in alive:
                found.append(f"{member.name}, which is to leave, does not answer; `dsectl forget` goes on without it")
            elif told is not None and told.hints:
                found.append(f"{member.name} has {told.hints} hints to deliver before it leaves")
    return list(dict.fromkeys(found))
