"""What this node did lately with items of queues, for `explain --message`: a ring, one step for all items of an actor
that a pass treated alike. It costs a tuple, whoever asks or not; what is forgotten is no worse than what a restart
forgets."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from cluster.observe.rfc3339 import format_time
from cluster.queues.rows import ItemId

STEPS_MAX: Final = 4096
"""A step of 64 items weighs about a kilobyte."""

ACCEPTED, LEASED, RETURNED, EXTENDED, LEASE_ENDED = "accepted", "leased", "returned", "extended", "lease-ended"
ACKNOWLEDGED, EXPIRED, DEAD_LETTERED, PURGED = "acknowledged", "expired", "dead-lettered", "purged"
REPEATED, REDRIVEN = "repeated", "redriven"

Step = tuple[float, str, int, int, str, Sequence[int], dict[str, Any]]


class ItemSteps:
    """One node's. `wall_s`: seconds since 1970."""

    def __init__(self, wall_s: Callable[[], float]) -> None:
        self._wall_s = wall_s
        self._ring: deque[Step] = deque(maxlen=STEPS_MAX)

    def note(self, what: str, queue: int, shard: int, actor: str, numbers: Sequence[int], **details: Any) -> None:
        """These items, by their numbers (a range, or a list that nobody changes), were treated so."""
        if len(numbers) > 2 and (last := max(numbers)) - (first := min(numbers)) == len(numbers) - 1:
            numbers = range(first, last + 1)  # the usual case weighs next to nothing
        self._ring.append((self._wall_s(), what, queue, shard, actor, numbers, details))

    def of(self, id: ItemId) -> list[dict[str, Any]]:
        """The steps of one item, oldest first."""
        return [
            {"at": format_time(at), "step": what, **details}
            for at, what, queue, shard, actor, numbers, details in self._ring
            if (queue, shard, actor) == (id.queue, id.shard, id.actor) and id.number in numbers
        ]
