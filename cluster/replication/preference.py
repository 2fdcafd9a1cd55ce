"""Who takes a write: the owners that can be reached, and fallbacks for those that cannot.

Pure. Dynamo (2007) section 4.6, sloppy quorum: the first N healthy nodes of the preference list, where a fallback
keeps a hint that names the owner. Owners come from the view, and fallbacks from its fallback list.
"""

from collections.abc import Callable, Sequence

from cluster.errors import Maybe, Overloaded, Unreachable

UNANSWERED = (Unreachable, Overloaded, Maybe)
"""Errors that say something about a peer, which is left out for a while. Any other is the peer's answer, about one key
or operation, and says nothing about the next."""


def split_owners(owners: Sequence[str], avoided: Callable[[str], bool]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(reachable, avoided), in order."""
    reachable = tuple(name for name in owners if not avoided(name))
    return reachable, tuple(name for name in owners if name not in reachable)


def next_fallback(fallbacks: Sequence[str], taken: Sequence[str], avoided: Callable[[str], bool]) -> str | None:
    """The next fallback that is not taken and can be reached, or None."""
    for name in fallbacks:
        if name not in taken and not avoided(name):
            return name
    return None
