"""Versioned objects as replication sees them: bytes that merge."""

from cluster.errors import TooLarge
from cluster.replication.mergeable import excess
from cluster.versions import decode, digest, is_deleted, merge_blobs, newest, outline, unsettled


class VersionedObjects:
    """The Mergeable of dotted version vector sets; see cluster.versions."""

    merge = staticmethod(merge_blobs)  # no call around it: each copy that arrives is merged
    digest = staticmethod(digest)
    is_deleted = staticmethod(is_deleted)
    newest = staticmethod(newest)
    unsettled = staticmethod(unsettled)

    def check(self, blob: bytes) -> None:
        """Raise Damaged for bytes that are no object, and TooLarge for one that could not be shipped."""
        if what := excess(self, blob):
            raise TooLarge(f"an object of {what}")
        decode(blob)

    def parts(self, blob: bytes) -> int:
        """How many siblings it has."""
        return len(outline(blob).siblings)

    def shows(self, blob: bytes) -> bool:
        """Whether any sibling is not deleted."""
        return any(not sibling.deleted for sibling in decode(blob).siblings)
