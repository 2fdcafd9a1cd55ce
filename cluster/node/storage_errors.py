"""What goes wrong with a node's storage, and what its blocks do about it: rows that cannot be read, a log that refuses
writes, a directory that is a copy from before.

One rule is behind all of it: a name in which this node may have written what it does not have now is not used again.
So it writes under another actor, or is another node; and a partition that lacks rows has no vote until it is complete.
"""

from typing import TYPE_CHECKING

from cluster.errors import ClusterError, StorageFull
from cluster.storage.recovery import HINTS

if TYPE_CHECKING:
    from cluster.node.node import Node


class StorageErrors:
    """One node's."""

    def __init__(self, node: "Node") -> None:
        self._node = node

    def unreadable(self, partition: int, reason: str) -> None:
        """A row that this node holds cannot be read any more. Said once, or each such row would sync the log."""
        node = self._node
        if partition in node.store.recovering:
            node.actors.renew()
            return
        try:
            self.lost([partition], reason)
        except StorageFull as error:
            node.events.record("storage.damaged", error.message, partition=partition)

    def lost(self, partitions: list[int], reason: str) -> None:
        """These partitions lack rows from now on; written down when this returns. Raises StorageFull."""
        node = self._node
        node.actors.renew()  # their clocks are not known, so no dot of the present actor may come next
        node.events.record("storage.damaged", reason, partitions=partitions)
        if HINTS in partitions:
            node.store.lose([HINTS], reason)
            node.replication.context.hint_loss.lost_now(node.store.hints_lost)
        if others := [partition for partition in partitions if partition != HINTS]:
            node.replication.lack(others, reason)
            node.env.clock.call_soon(node.replication.rows_gone, others, reason)  # in this pass some are still read

    def undone(self) -> None:
        """The log refused a batch, whose copies may have left: nothing more is written in the names that it used."""
        self._node.actors.renew()
        self._node.queues.context.renew()

    def full(self, reason: str) -> None:
        """The disk refused a write for the first time, or has taken one again."""
        node = self._node
        if reason:
            cause = f"the log refuses writes ({reason}); each is undone, and later ones get a new actor"
            node.events.record("storage.full", cause)
        else:
            refused_s = node.env.clock.wall() - node.store.full_since
            node.events.record("storage.room", f"the log takes writes again, after {refused_s:.1f} s")

    def amnesia(self, evidence: str) -> None:
        """What lies in this directory is a copy from before: whoever holds it next is somebody else."""
        node, reason = self._node, f"its directory is a copy from before: {evidence}"
        node.events.record("node.amnesia", reason)
        node.membership.on_amnesia.clear()
        try:
            node.boot.forget(reason)
            node.store.lose(node.view.held_partitions(), reason)
        except ClusterError as error:
            reason = f"{reason}; and {error.message}"
        node.hooks.on_fatal(f"{reason}. Started again, it takes a new id and recovers")
