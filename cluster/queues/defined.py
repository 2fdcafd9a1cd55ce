"""The queues as this node has taken them over from the chain, by name and by id."""

from collections.abc import Callable, Mapping

from cluster.chain.entry import ChainEntry
from cluster.chain.queue import Queue
from cluster.errors import NotFound


class Defined:
    """What the last entry of the chain defines."""

    def __init__(self, entry: ChainEntry) -> None:
        self.by_name: Mapping[str, Queue] = {}
        self.by_id: dict[int, Queue] = {}
        self.newest_slot = 0
        self.on_change: list[Callable[[], None]] = []
        """Queues were created or deleted, or are defined otherwise."""
        self._names: dict[int, str] = {}
        self.adopt(entry)

    def adopt(self, entry: ChainEntry) -> None:
        """Go on by this entry."""
        changed = entry.queues != self.by_name
        self.newest_slot = entry.slot
        if changed:
            self.by_name = entry.queues
            self.by_id = {queue.id: queue for queue in entry.queues.values()}
            self._names = {queue.id: name for name, queue in entry.queues.items()}
            for call in self.on_change:
                call()

    def get(self, name: str) -> Queue:
        """The queue of that name. Raises NotFound."""
        queue = self.by_name.get(name)
        if queue is None:
            raise NotFound(
                f"no queue {name!r}", help="`dsectl queue create` makes one, `dsectl queue list` lists them."
            )
        return queue

    def name_of(self, id: int) -> str:
        """The name of a queue; empty when there is none of that id."""
        return self._names.get(id, "")

    def is_deleted(self, id: int) -> bool:
        """Whether there is no such queue any more. One of a later entry than this node has is not known yet."""
        return id <= self.newest_slot and id not in self.by_id
