"""One node's replication, assembled: the parts share one ReplicationContext and are told of the same changes."""

from cluster.replication.catchup import CatchUp
from cluster.replication.completing import Completing
from cluster.replication.context import ReplicationContext
from cluster.replication.handoff import Handoff
from cluster.replication.reader import Reader
from cluster.replication.replica import Replica
from cluster.replication.writer import Writer


class Replication:
    """Writer, reader, replica, hand-off, catch-up and refill of one node."""

    def __init__(self, context: ReplicationContext) -> None:
        self.context = context
        self.writer = Writer(context)
        self.reader = Reader(context)
        self.replica = Replica(context, self.writer)
        self.handoff = Handoff(context)
        self.catchup = CatchUp(context)
        self.completing = Completing(context)

    def start(self, returning: bool) -> None:
        """After the store has recovered: `returning` for any boot but the first of its directory."""
        self.context.hints.recover()
        recovering = self.context.status.recovering
        for partition, reason in self.context.store.recovering.items():
            if self.context.view.mine(partition):
                recovering[partition] = reason
        if recovering:
            cause = next(iter(recovering.values()))
            self.context.record("owner.recovering", cause, partitions=sorted(recovering))
        self.handoff.start()
        self.completing.start()
        if returning:
            self.catchup.begin("this node booted again and may have missed writes")

    def member_changed(self, name: str, alive: bool) -> None:
        """Membership holds a member for alive, or no longer."""
        self.context.reach.state_changed(name, alive)
        if alive:
            self.handoff.poke(name)
            self.catchup.member_back(name)

    def member_heard(self, name: str) -> None:
        """A connection to or from a member was made."""
        self.context.reach.heard(name)
        self.handoff.poke(name)

    def member_failed(self, name: str) -> None:
        """An exchange with a member failed."""
        self.context.reach.failed(name)
