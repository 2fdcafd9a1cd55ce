"""A write: the coordinator gives it a dot, and it replaces exactly what its context has seen.

Event and sync of a dotted version vector set at one replica (Almeida et al., DAIS 2014, section 5, `update`). A write
without context has seen nothing and is concurrent with every sibling.

The stored clock is joined with the context, even where that names dots which this replica never saw. A clock claims "of
these writes I hold all that are not superseded". The unseen writes that the context names are superseded, by this very
write: its writer had read them. So the claim is true, and when such a write arrives later it is dropped, as it should
be, instead of coming back as a sibling. Nothing beyond the context may be claimed.

A retry is recognised by its operation id only while the first attempt is still a sibling. Not repeating a write that
may have been superseded since is the caller's part.
"""

from collections.abc import Mapping

from cluster import errors
from cluster.versions.actor import Actor
from cluster.versions.join import join_clocks
from cluster.versions.reading import distinct
from cluster.versions.versions import Clock, Sibling, Versions, dot_of

SIBLINGS_WARN = 5
SIBLINGS_MAX = 50


def put(
    stored: Versions,
    actor: Actor,
    context: Mapping[Actor, int] | None,
    operation: str,
    stamp: int,
    value: bytes,
    deleted: bool = False,
) -> Versions:
    """`stored` after the write `operation`, coordinated by `actor`; `stored` itself if it holds that operation.

    Only the node that owns `actor` may call this, on the newest object that it holds, and not when the context proves
    that it forgot a write of its own.
    """
    siblings = stored.siblings
    for sibling in siblings:
        if sibling.operation == operation:
            return stored
    clock = stored.clock
    counter = clock.get(actor, 0) + 1
    if context == clock:  # the usual case: the writer has read all that is here
        siblings = ()
    elif context:
        assert context.get(actor, 0) < counter, f"{actor} forgot a write that {context} names: mint a new actor"
        siblings = tuple([s for s in siblings if s.counter > context.get(s.actor, 0)])
        clock = join_clocks(clock, context)
    advanced = {**clock, actor: counter}
    if counter == 1:  # else the actor has its place in the order
        advanced = dict(sorted(advanced.items()))
    written = Sibling(actor, counter, operation, stamp, deleted, value)
    return Versions(advanced, tuple(sorted((*siblings, written), key=dot_of)) if siblings else (written,))


def context_after(result: Versions, operation: str, context: Mapping[Actor, int] | None) -> Clock | None:
    """The context with which the writer of `operation` may go on, given the `result` of its put.

    The result's clock, if the write replaced everything. Otherwise the context that it had: the clock would also cover
    siblings that the writer never saw, and its next write would silently replace them.
    """
    if all(sibling.operation == operation for sibling in result.siblings):
        return result.clock
    return None if context is None else dict(context)


def proves_amnesia(stored: Versions, actor: Actor, context: Mapping[Actor, int] | None) -> bool:
    """Whether `context` (or the clock of another replica) names a write of `actor` that its own node does not know."""
    return context is not None and context.get(actor, 0) > stored.clock.get(actor, 0)


def check_siblings(stored: Versions, context: Mapping[Actor, int] | None) -> None:
    """Raise `errors.TooManySiblings` for a put without context where there are `SIBLINGS_MAX` siblings already."""
    if context is not None or len(stored.siblings) < SIBLINGS_MAX:
        return
    count = len(distinct(stored))
    if count >= SIBLINGS_MAX:
        raise errors.TooManySiblings(f"the key has {count} siblings, and a put without context would add one more")
