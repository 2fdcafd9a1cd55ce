"""What replication asks of an object: bytes that merge, in any order and any number of times, to the same bytes.

A join semilattice (Shapiro et al., "Conflict-free Replicated Data Types", SSS 2011, section 2.2): commutative,
associative, idempotent. So hints, repairs and retries may arrive twice and out of order.
"""

from collections.abc import Mapping
from typing import Protocol

from cluster.errors import TooLarge
from cluster.limits import MERGED_BYTES_CHECKED, MERGED_BYTES_MAX, SIBLINGS_MERGED_MAX
from cluster.storage import TABLE_HINTS

TABLE_KV = 0
TABLE_STABLE = 3
"""Of each partition the stable clock, see `collection`. (2 are the operations of `cluster.kv`, of one node only.)"""
TABLE_QUEUES = 4
"""The rows of shards of queues, see `cluster.queues.rows`."""
MARK = b"\xc0"
"""The value of a mark, which is a hint: see `Mergeable.mark`."""

__all__ = ["MARK", "TABLE_HINTS", "TABLE_KV", "TABLE_QUEUES", "TABLE_STABLE", "Mergeable", "check_merged"]


def excess(mergeable: "Mergeable", merged: bytes) -> str:
    """What is too much about an object that came together; empty when nothing is."""
    if len(merged) > MERGED_BYTES_MAX:
        return f"{len(merged)} bytes, and {MERGED_BYTES_MAX} are allowed"
    if len(merged) > MERGED_BYTES_CHECKED and (parts := mergeable.parts(merged)) > SIBLINGS_MERGED_MAX:
        return f"{parts} siblings, and {SIBLINGS_MERGED_MAX} are allowed"
    return ""


def check_merged(mergeable: "Mergeable", held: bytes | None, merged: bytes) -> None:
    """Raise TooLarge when storing `merged` would make an object that no frame can carry on, or of more siblings than
    anything is made for.

    The copy then stays where it is, as a hint of whoever sent it, and nothing is lost; what makes an object smaller is
    never refused. Only replicas that did not hear of each other bring so much together: no single put does.
    """
    if merged is not held and (held is None or len(merged) > len(held)) and (what := excess(mergeable, merged)):
        raise TooLarge(f"merged, the object would have {what}")


class Mergeable(Protocol):
    """The operations of one table's objects, on encoded bytes."""

    def place(self, key: str) -> int:
        """The partition of a key; none of them for one that cannot be."""

    def mark(self, key: str) -> str:
        """What is kept for an owner that missed a row, where W others have it: a mark under this key, the beginning of
        the keys of all rows that it stands for. Empty: the row itself."""

    def merge(self, held: bytes, other: bytes) -> bytes:
        """The join; `held` itself (the same object) when `other` adds nothing. `other` may come from elsewhere: Damaged
        is raised for bytes that are no object."""

    def check(self, blob: bytes) -> None:
        """Raise Damaged for bytes that are no object, and TooLarge for one that could not be shipped."""

    def wanted(self, blob: bytes, key: str) -> bool:
        """Whether a copy of a row that is not held says anything: other rows may cover it. Raises Damaged."""

    def parts(self, blob: bytes) -> int:
        """How many values it has side by side."""

    def digest(self, blob: bytes) -> bytes:
        """Eight bytes that are equal when the objects are."""

    def shows(self, blob: bytes, key: str) -> bool:
        """Whether a reader is shown anything of it now; a tombstone hides what it covers."""

    def is_deleted(self, blob: bytes, key: str) -> bool:
        """Whether it is nothing but a tombstone now: it may be collected."""

    def ends_s(self, blob: bytes, key: str) -> float:
        """When it will be deleted by itself, in seconds since 1970; infinity for never."""

    def newest(self, blob: bytes, key: str) -> dict[str, int]:
        """By node id the highest number of an event that it names."""

    def unsettled(self, blob: bytes, key: str, held: bytes | None, stable: Mapping[str, int]) -> bytes | None:
        """What of a copy is news to an owner that lacks nothing, holds `held`, and knows that all up to the stable
        clock is settled; None for nothing."""
