"""Merging what two replicas know: commutative, associative and idempotent, whatever the order and number of merges.

A sibling survives if both hold it, or if one holds it and the other's clock does not cover its dot, that is, never saw
it. A dot that the other covers and does not hold was superseded there (Almeida et al., DAIS 2014, section 5, `sync`).

Siblings of one operation, which a retry at a second coordinator leaves, all stay in the object and collapse where it is
read. Dropping one here would claim that it was superseded; of two replicas that merge the same three states in another
order one would then keep the operation and the other lose it.
"""

from collections.abc import Collection, Mapping

from cluster.versions.encoding import FRONT_SHORT, Outline, clock_of, decode, decode_short, encode, outline
from cluster.versions.versions import (
    Actor,
    Clock,
    Dot,
    Sibling,
    Versions,
    beyond,
    covers,
    dot_of,
)


def descends(a: Mapping[Actor, int], b: Mapping[Actor, int]) -> bool:
    """Whether clock `a` covers all that clock `b` covers; a clock descends from itself."""
    for actor, counter in b.items():  # noqa: SIM110 - a generator would take twice the time, on every write
        if a.get(actor, 0) < counter:
            return False
    return True


def join_clocks(a: Clock, b: Mapping[Actor, int]) -> Clock:
    """The least clock that descends from both, sorted; `a` itself if it descends from `b`."""
    if descends(a, b):
        return a
    joined = {**a, **{actor: counter for actor, counter in b.items() if counter > a.get(actor, 0)}}
    return dict(sorted(joined.items()))


def merge(a: Versions, b: Versions) -> Versions:
    """The join of `a` and `b`; the very object `a` or `b` where the join equals it."""
    if _absorbs(a, b):
        return a
    if _absorbs(b, a):
        return b
    survivors = [*_surviving(a, b), *_surviving(b, a, skip={s.dot for s in a.siblings})]
    survivors.sort(key=dot_of)
    clock = join_clocks(a.clock, b.clock)
    cloud = beyond(clock, a.cloud, b.cloud) if a.cloud or b.cloud else ()
    return Versions(clock, tuple(survivors), cloud)


def _surviving(a: Versions, b: Versions, skip: Collection[Dot] = ()) -> list[Sibling]:
    """The siblings of `a`, without `skip`, that `b` holds too or has never seen."""
    clock, cloud, dots = b.clock, b.cloud, {(s.actor, s.counter) for s in b.siblings}
    return [
        s for s in a.siblings if s.dot not in skip and (s.dot in dots or not covers(clock, cloud, s.actor, s.counter))
    ]


def _absorbs(a: Versions | Outline, b: Versions | Outline) -> bool:
    """Whether `b` adds nothing to `a` and takes nothing from it, so that their join is `a`."""
    b_clock, b_cloud = b.clock, b.cloud
    if not descends(a.clock, b_clock):
        return False
    if b_cloud and not all(covers(a.clock, a.cloud, actor, counter) for actor, counter in b_cloud):
        return False
    # Siblings of `b` that `a` lacks are covered by the clock of `a`, hence superseded. Those of `a` need the look: a
    # context that names a write without what that write had read leaves them here and superseded there.
    for s in a.siblings:
        actor, counter = s.actor, s.counter
        seen = counter <= b_clock.get(actor, 0) or (b_cloud and (actor, counter) in b_cloud)  # `covers`, without a call
        if seen and not _holds(b, actor, counter):
            return False
    return True


def _holds(versions: Versions | Outline, actor: Actor, counter: int) -> bool:
    for s in versions.siblings:  # noqa: SIM110 - as above
        if s.counter == counter and s.actor == actor:
            return True
    return False


def merge_blobs(a: bytes, b: bytes) -> bytes:
    """`merge` on encoded objects; the very object `a` or `b` where the result equals it, which outlines tell. `b` may
    come from elsewhere, so it is read in full. Raises `errors.Damaged`."""
    if a == b:
        return a
    if a[0] == FRONT_SHORT and b[:1] == a[:1]:
        seen, short = clock_of(a), decode_short(b)
        clock = short.clock
        actor = [*clock][short.place]
        if clock[actor] > seen.get(actor, 0) and descends(clock, seen):  # the usual case: the other is newer
            return b
    mine, theirs = outline(a), decode(b)
    if _absorbs(theirs, mine):
        return a if mine.clock == theirs.clock and _absorbs(mine, theirs) else b
    if _absorbs(mine, theirs):
        return a
    return encode(merge(decode(a), theirs))
