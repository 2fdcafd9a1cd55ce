"""A queue: its name, its shards and its rules, as an entry of the chain defines them. Pure.

The id of a queue is the slot of the entry that created it, so it is never used again: rows of a queue that was deleted
belong to no later one of its name. A definition raises no layout number.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from cluster.errors import NotFound, Usage
from cluster.layout.entry import NAME

SHARDS: Final = 8
SHARDS_MAX: Final = 64
QUEUES_MAX: Final = 256
BINDINGS_MAX: Final = 64
"""Patterns of one queue."""
ALL_BINDINGS_MAX: Final = 1024
"""Patterns of all queues: each entry of the chain carries them, so this bounds it to some hundred kilobytes."""
VISIBILITY_S: Final = 30.0
VISIBILITY_MAX_S: Final = 12 * 3600.0
RETENTION_S: Final = 4 * 86400.0
RETENTION_MAX_S: Final = 14 * 86400.0
DELAY_MAX_S: Final = 900.0
WAIT_MAX_S: Final = 20.0
RECEIVES_MAX: Final = 1000
DEPTH_MAX: Final = 100_000_000


class Queue(Struct, frozen=True, omit_defaults=True):
    """One queue."""

    id: int
    shards: int = SHARDS
    """Fixed for ever."""
    visibility_s: float = VISIBILITY_S
    """How long a lease lasts unless its receiver says otherwise."""
    max_receives: int = 0
    """After so many deliveries an item goes to `dead_letter`; 0: never."""
    dead_letter: str = ""
    """The name of the queue for what was delivered too often."""
    retention_s: float = RETENTION_S
    """An item that was not consumed expires after so long."""
    delay_s: float = 0.0
    """An item becomes visible so long after it was sent, unless its sender says otherwise."""
    wait_s: float = 0.0
    """How long a receive waits that comes through a gateway and does not say."""
    max_depth: int = 0
    """So many items may be in it: each shard takes its part, rounded up; 0: what the limits allow."""
    patterns: tuple[str, ...] = ()
    """What is published to a subject that one of these matches is sent to the queue, too."""

    def validate(self, name: str) -> None:
        """Raise Usage for a queue that cannot be."""
        if not NAME.fullmatch(name):
            raise Usage(
                f"invalid name of a queue {name!r}: expected a lower-case letter, then up to 31 lower-case letters, "
                "digits or hyphens"
            )
        for what, value, low, high in (
            ("the id", self.id, 1, 1 << 62),
            ("the number of shards", self.shards, 1, SHARDS_MAX),
            ("the visibility in seconds", self.visibility_s, 0.001, VISIBILITY_MAX_S),
            ("max_receives", self.max_receives, 0, RECEIVES_MAX),
            ("the retention in seconds", self.retention_s, 1.0, RETENTION_MAX_S),
            ("the delay in seconds", self.delay_s, 0.0, DELAY_MAX_S),
            ("the wait in seconds", self.wait_s, 0.0, WAIT_MAX_S),
            ("max_depth", self.max_depth, 0, DEPTH_MAX),
            ("the number of patterns", len(self.patterns), 0, BINDINGS_MAX),
        ):
            if not low <= value <= high:
                raise Usage(f"{what} of queue {name} is {value}; it is from {low:g} to {high:g}")
        if bool(self.max_receives) != bool(self.dead_letter):
            raise Usage(f"queue {name} needs both a dead-letter queue and the number of receives before it, or neither")

    @property
    def shard_depth_max(self) -> int:
        """Items that a shard may hold, its part of `max_depth`."""
        return -(-self.max_depth // self.shards) if self.max_depth else DEPTH_MAX

    def same_options(self, other: "Queue") -> bool:
        """Whether both were created alike, whatever was bound since."""
        return self._options() == other._options()

    def _options(self) -> tuple[object, ...]:
        return (
            self.shards, self.visibility_s, self.max_receives, self.dead_letter, self.retention_s, self.delay_s,
            self.wait_s, self.max_depth,
        )  # fmt: skip


def check_queues(defined: Mapping[str, Queue], slot: int) -> None:
    """Raise Usage for queues that no entry in this slot may define: too many, ids that are not unique or come from
    later entries, dead letters that go nowhere or in a circle."""
    if len(defined) > QUEUES_MAX:
        raise Usage(f"a cluster has at most {QUEUES_MAX} queues")
    if sum(len(queue.patterns) for queue in defined.values()) > ALL_BINDINGS_MAX:
        raise Usage(f"the queues of a cluster are bound to at most {ALL_BINDINGS_MAX} patterns together")
    ids = [queue.id for queue in defined.values()]
    if len(set(ids)) != len(ids) or any(id > slot for id in ids):
        raise Usage("the ids of queues are the slots of the entries that created them")
    for name, queue in defined.items():
        queue.validate(name)
        seen, at = [name], queue.dead_letter
        while at:
            if at not in defined:
                raise NotFound(f"no queue {at!r} for the dead letters of {seen[-1]}")
            if at in seen:
                raise Usage(f"dead letters would go in a circle: {' -> '.join([*seen, at])}")
            seen.append(at)
            at = defined[at].dead_letter
