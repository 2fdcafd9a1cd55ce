"""Stable clocks: of a whole partition, up to which event of each node everything is settled.

*Settled*: each write up to there is at every owner, or was replaced, or is nowhere. So an owner that lacks nothing and
has no row for a key says something by that: of the events that the stable clock of its partition covers, none is left.
That is what a tombstone says, and a tombstone that the stable clock covers can go: Baquero, Almeida and Shoker, "Making
operation-based CRDTs operation-based" (DAIS 2014), section 5, name the cut (causal stability); a clock of a node
instead of tombstones is from Goncalves, Almeida, Baquero and Fonte, "DottedDB: Anti-Entropy without Merkle Trees,
Deletes without Tombstones" (SRDS 2017).

An entry is a node id, not an actor: all actors of a node are numbered by one counter, so one number bounds them all,
and the clock does not grow with each outage that mints an actor. Pure; who may move the clock is decided in
`cluster.replication.collection`.
"""

from collections.abc import Mapping
from typing import TypeAlias

from cluster.versions.encoding import FRONT_CLOUD, FRONT_SHORT, NIL, Outline, decode, decode_short, encode, outline
from cluster.versions.versions import Actor, Versions

StableClock: TypeAlias = Mapping[str, int]
"""Node id -> the highest number that is settled, and all below it."""

_DELETED_END = b"\xc3\xc4\x00"
"""How the last sibling of an object in the long form, without a cloud, ends when it is deleted: true, and a value of no
bytes."""


def is_settled(stable: StableClock, actor: Actor, number: int) -> bool:
    """Whether an event lies at or below the stable clock."""
    return number <= stable.get(actor.partition(".")[0], 0)


def newest(blob: bytes) -> dict[str, int]:
    """By node id the highest number of an event that the object names: the stable clock that covers all of it."""
    found: dict[str, int] = {}
    shape = outline(blob)
    for actor, number in (*shape.clock.items(), *shape.cloud):
        id = actor.partition(".")[0]
        if number > found.get(id, 0):
            found[id] = number
    return found


def is_deleted(blob: bytes) -> bool:
    """Whether nothing is left of the object but tombstones. Most objects are told by their last bytes."""
    if blob[0] == FRONT_SHORT:
        return blob[-1] == NIL and decode_short(blob).value is None
    if blob[0] != FRONT_CLOUD and not blob.endswith(_DELETED_END):
        return False
    siblings = decode(blob).siblings
    return bool(siblings) and all(sibling.deleted for sibling in siblings)


def unsettled(blob: bytes, held: bytes | None, stable: StableClock) -> bytes | None:
    """What a copy has to say to an owner that lacks nothing and holds `held`: all but the siblings that are settled and
    that it does not hold, for those were replaced, and what replaced them may be collected. None for nothing."""
    shape = outline(blob)
    old = {(s.actor, s.counter) for s in shape.siblings if is_settled(stable, s.actor, s.counter)}
    if old and held is not None:
        old -= _dots(outline(held))
    if not old:
        return blob
    versions = decode(blob)
    siblings = tuple(sibling for sibling in versions.siblings if sibling.dot not in old)
    return encode(Versions(versions.clock, siblings, versions.cloud)) if siblings else None


def _dots(shape: Outline) -> set[tuple[Actor, int]]:
    return {(s.actor, s.counter) for s in shape.siblings}
