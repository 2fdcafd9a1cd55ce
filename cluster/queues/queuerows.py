"""The rows of queues as replication sees them: which copies say anything, and which rows are over for good.

Three rules let rows go, and none of them needs a tombstone:

- a row that others cover (`Shard.wants`) is removed by each owner, and a late copy of it is not wanted;
- rows of a queue that was deleted are not wanted: its id is never used again;
- bits and floors of an actor whose boot has ended, and of whose items none lives, are collected as tombstones are. The
  writes that they name are those of the whole boot, so a cut covers them only when the node numbers writes of a later
  one, and all owners hold the same. An owner that lacks nothing and has no row of such an actor says by that that its
  items are done; so a block that comes late is not news, and neither is what is said of its items.
"""

from collections.abc import Callable
from math import inf

from cluster.errors import Damaged, TooLarge
from cluster.queues import rows
from cluster.queues.defined import Defined
from cluster.queues.rows import KIND_BLOCK, KIND_DEDUP, mark_of, merge_rows, place_of
from cluster.queues.shards import Shards
from cluster.replication.mergeable import excess
from cluster.versions import Actor, StableClock, digest, first_number

RETIRING = (rows.KIND_BITS, rows.KIND_FLOOR, rows.KIND_NOTES)


def last_number(actor: Actor) -> tuple[str, int]:
    """The id of an actor's node, and the highest number that a write of its boot may have."""
    id, epoch, _mint = actor.split(".")
    return id, first_number(int(epoch) + 1) - 1


def is_over(actor: Actor, stable: StableClock) -> bool:
    """Whether all that the actor accepted is settled."""
    id, number = last_number(actor)
    return number <= stable.get(id, 0)


class QueueRows:
    """The Mergeable of the rows of queues. `has_ended` an actor's boot, as far as this node has heard; `wall_s` is the
    time now, in seconds since 1970."""

    merge = staticmethod(merge_rows)
    digest = staticmethod(digest)
    place = staticmethod(place_of)
    mark = staticmethod(mark_of)

    def __init__(
        self, shards: Shards, defined: Defined, has_ended: Callable[[Actor], bool], wall_s: Callable[[], float]
    ) -> None:
        self._shards = shards
        self._defined = defined
        self._has_ended = has_ended
        self._wall_s = wall_s

    def check(self, blob: bytes) -> None:
        """Raise Damaged for bytes that are no row, and TooLarge for one that could not be shipped."""
        if what := excess(self, blob):
            raise TooLarge(f"a row of a queue of {what}")
        rows.decode_row(blob)

    def wanted(self, blob: bytes, key: str) -> bool:
        """Whether a copy of a row that is not held says anything. Raises Damaged."""
        parsed = rows.parse_key(key)
        if rows.kind_of_row(blob) != parsed.kind:
            raise Damaged(f"{key!r} names a row of another kind")
        if self._defined.is_deleted(parsed.queue):
            return False
        shard = self._shards.get(parsed.queue, parsed.shard)
        return shard is None or shard.wants(parsed, blob, self._wall_s())

    def parts(self, blob: bytes) -> int:
        """It is one value."""
        return 1

    def shows(self, blob: bytes, key: str) -> bool:
        """It is there for all."""
        return True

    def is_deleted(self, blob: bytes, key: str) -> bool:
        """Whether it speaks of an actor that is over, and of none of whose items anybody waits for."""
        parsed = rows.parse_key(key)
        return (
            parsed.kind in RETIRING
            and self._has_ended(parsed.actor)
            and not self._shards.of(parsed.queue, parsed.shard).lives(parsed.actor)
        )

    def ends_s(self, blob: bytes, key: str) -> float:
        """Never by itself; what is remembered for a time is covered after it."""
        return inf

    def newest(self, blob: bytes, key: str) -> dict[str, int]:
        """All that the actor's node wrote in that boot."""
        return dict([last_number(rows.parse_key(key).actor)])

    def unsettled(self, blob: bytes, key: str, held: bytes | None, stable: StableClock) -> bytes | None:
        """What is news of a copy; see `Mergeable`."""
        parsed = rows.parse_key(key)
        if held is not None or parsed.kind == KIND_DEDUP or not is_over(parsed.actor, stable):
            return blob
        lives = parsed.kind != KIND_BLOCK and self._shards.of(parsed.queue, parsed.shard).lives(parsed.actor)
        return blob if lives else None
