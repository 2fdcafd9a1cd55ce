"""Versioned objects as replication sees them: bytes that merge."""

from cluster.versions import decode, digest, merge_blobs


class VersionedObjects:
    """The Mergeable of dotted version vector sets; see cluster.versions."""

    def merge(self, held: bytes, other: bytes) -> bytes:
        """The join of two encoded objects."""
        return merge_blobs(held, other)

    def digest(self, blob: bytes) -> bytes:
        """Eight bytes that are equal when the objects are: the encoding is canonical."""
        return digest(blob)

    def shows(self, blob: bytes) -> bool:
        """Whether any sibling is not deleted."""
        return any(not sibling.deleted for sibling in decode(blob).siblings)
