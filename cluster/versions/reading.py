"""What a reader is shown: the distinct values, in an order that all replicas agree on.

A write that was retried at a second coordinator has two dots and is one write: siblings with the same operation id
collapse to the one with the lowest dot. Tombstones are no values, but they count as siblings.

Choosing one of several values is a resolver's part, not this file's.
"""

from operator import attrgetter

from cluster.versions.versions import Sibling, Versions

_by_stamp = attrgetter("stamp", "actor", "counter")


def distinct(versions: Versions) -> tuple[Sibling, ...]:
    """One sibling an operation, tombstones included, by stamp and then dot."""
    siblings = versions.siblings
    if len(siblings) < 2:
        return siblings
    firsts: dict[str, Sibling] = {}
    for sibling in siblings:  # sorted by dot
        firsts.setdefault(sibling.operation, sibling)
    return tuple(sorted(firsts.values(), key=_by_stamp))


def visible(versions: Versions) -> list[bytes]:
    """The values that are not deleted, by stamp and then dot; empty for a key that was never written or is deleted."""
    return [sibling.value for sibling in distinct(versions) if not sibling.deleted]


def is_tombstone(versions: Versions) -> bool:
    """Whether the key was deleted, with nothing concurrent to the deletion; false for a key that was never written."""
    return bool(versions.siblings) and all(sibling.deleted for sibling in versions.siblings)
