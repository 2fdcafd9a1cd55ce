"""A write: the coordinator gives it a dot, and it replaces exactly what its context has seen.

Event and sync of a dotted version vector set at one replica (Almeida et al., DAIS 2014, section 5, `update`). A write
without context has seen nothing and is concurrent with every sibling.

The stored object is joined with the context, even where that names dots which this replica never saw. An object claims
"of these writes I hold all that are not superseded". The unseen writes that the context names are superseded, by this
very write: its writer had read them. So the claim is true, and when such a write arrives later it is dropped, as it
should be, instead of coming back as a sibling. Nothing beyond the context may be claimed.

A retry is recognised by its operation id only while the first attempt is still a sibling. Not repeating a write that
may have been superseded since is the caller's part.
"""

from cluster import errors
from cluster.limits import CLOCK_ACTORS_MAX, CLOCK_ACTORS_SPARE, OBJECT_BYTES_MAX, SIBLINGS_MAX
from cluster.versions.context import Context, join_dot
from cluster.versions.encoding import Short, encode_exactly
from cluster.versions.join import join_clocks
from cluster.versions.stable import StableClock
from cluster.versions.versions import (
    Actor,
    Clock,
    Sibling,
    Versions,
    beyond,
    covers,
    distinct,
    dot_of,
    is_tombstone,
)

NONE_STABLE: StableClock = {}


def put(
    stored: Versions,
    actor: Actor,
    number: int,
    context: Context | None,
    operation: str,
    stamp: int,
    value: bytes,
    deleted: bool = False,
) -> Versions:
    """`stored` after the write `operation`, coordinated by `actor`; `stored` itself if it holds that operation.

    Only the node that owns `actor` may call this, with a `number` that it never gave before, on an object that has all
    that this actor gave on the key; not when `proves_amnesia` says otherwise.
    """
    siblings = stored.siblings
    for sibling in siblings:
        if sibling.operation == operation:
            return stored
    clock, cloud = stored.clock, stored.cloud
    if context is not None:
        seen, dots = context.clock, context.dots
        if seen == clock:  # the usual case: the writer has read all that is here
            siblings = ()
        else:
            named = frozenset(dots)
            siblings = tuple([s for s in siblings if s.counter > seen.get(s.actor, 0) and s.dot not in named])
            clock = join_clocks(clock, seen)
        if dots or cloud:
            cloud = beyond(clock, cloud, dots)
    assert number > clock.get(actor, 0), f"{actor} has forgotten writes: mint a new actor"
    advanced = {**clock, actor: number}
    if actor not in clock:  # else it has its place in the order
        advanced = dict(sorted(advanced.items()))
    if cloud:
        cloud = beyond(advanced, cloud)
    written = Sibling(actor, number, operation, stamp, deleted, value)
    return Versions(advanced, tuple(sorted((*siblings, written), key=dot_of)) if siblings else (written,), cloud)


def restore(stored: Versions, written: Sibling, context: Context | None) -> Versions:
    """`stored` with a write that it had and lost, since the log refused it, under the dot that it was given then.

    Copies elsewhere may hold that dot, or may have replaced it since: what merges with them is that one write, or none.
    Only the dot itself is claimed, since its actor may have given others before it that were lost with it.
    """
    clock, cloud, siblings = stored.clock, stored.cloud, stored.siblings
    if context is not None:
        siblings = tuple(s for s in siblings if not covers(context.clock, context.dots, *s.dot))
        clock = join_clocks(clock, context.clock)
        cloud = beyond(clock, cloud, context.dots)
    if not covers(clock, cloud, *written.dot):
        cloud = beyond(clock, cloud, (written.dot,))
    others = [sibling for sibling in siblings if sibling.dot != written.dot]
    return Versions(clock, tuple(sorted((*others, written), key=dot_of)), cloud)


def replace_all(
    clock: Clock, actor: Actor, number: int, operation: str, stamp: int, value: bytes, deleted: bool
) -> tuple[bytes, bytes]:
    """`put` and `encode` in one for the usual case: the writer has read all of an object with `clock` and no cloud.

    Returns the bytes of the new object and those of its clock, the context with which the writer goes on. What is
    deleted has no value.
    """
    assert number > clock.get(actor, 0), f"{actor} has forgotten writes: mint a new actor"
    advanced = {**clock, actor: number}
    if actor not in clock:
        advanced = dict(sorted(advanced.items()))
    place = 0 if len(advanced) == 1 else [*advanced].index(actor)
    return encode_exactly(Short(advanced, place, operation, stamp, None if deleted else value)), encode_exactly(
        advanced
    )


def context_after(result: Versions, operation: str, context: Context | None) -> Context:
    """The context with which the writer of `operation` may go on, given the `result` of its put.

    All of the result, if the write replaced everything. Otherwise what it had seen before and its own write: the clock
    of the result would also cover siblings that the writer never saw, and its next write would silently replace them.
    """
    own = [sibling for sibling in result.siblings if sibling.operation == operation]
    if len(own) == len(result.siblings):
        return Context(result.clock, result.cloud)
    for sibling in own:  # more than one when a retry was coordinated elsewhere
        context = join_dot(context, sibling.dot)
    assert context is not None, "the result holds the write"
    return context


def proves_amnesia(
    stored: Versions, actor: Actor, number: int, context: Context | None, stable: StableClock = NONE_STABLE
) -> bool:
    """Whether anything names a write of `actor` that its own node does not hold, or has yet to number.

    `stored` holds all that the node knows of the key, `number` is what its next write would get. Then it has lost
    something, or its directory is an old copy, and `actor` may not go on: see `cluster.versions.versions`. What the
    stable clock covers is known, though the row that named it may be collected.
    """
    known = max(stored.clock.get(actor, 0), stable.get(actor.partition(".")[0], 0))
    if stored.clock.get(actor, 0) >= number or (stored.cloud and _newest(stored.cloud, actor) > known):
        return True
    if context is None:
        return False
    return context.clock.get(actor, 0) > known or (bool(context.dots) and _newest(context.dots, actor) > known)


def _newest(dots: tuple[tuple[Actor, int], ...], actor: Actor) -> int:
    return max((counter for name, counter in dots if name == actor), default=0)


def check_growth(stored: Versions, stored_bytes: int, written: Versions, written_bytes: int) -> None:
    """Raise `errors.TooManySiblings` or `errors.ClockFull` for a write that takes an object over a limit, or leaves it
    over one without making it smaller: replicas that did not hear of each other may each have filled it."""
    if len(written.siblings) > SIBLINGS_MAX:
        count = len(distinct(written))
        if count > SIBLINGS_MAX and count >= len(distinct(stored)):
            raise errors.TooManySiblings(f"the key would have {count} siblings, and {SIBLINGS_MAX} are allowed")
    if written_bytes > OBJECT_BYTES_MAX and written_bytes >= stored_bytes:
        count = len(written.siblings)
        raise errors.TooManySiblings(
            f"the {count} siblings of the key would have {written_bytes} bytes, and {OBJECT_BYTES_MAX} are allowed"
        )
    entries = len(written.clock) + len(written.cloud)
    allowed = CLOCK_ACTORS_MAX + (CLOCK_ACTORS_SPARE if is_tombstone(written) else 0)
    if entries > allowed and entries > len(stored.clock) + len(stored.cloud):
        raise errors.ClockFull(f"the clock of the key would have {entries} entries, and {allowed} are allowed")
