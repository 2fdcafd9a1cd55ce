"""One node's replication, assembled: the parts share one Ground and are told of the same changes."""

from cluster.errors import ClusterError
from cluster.replication.catchup import CatchUp
from cluster.replication.ground import Ground
from cluster.replication.handoff import Handoff
from cluster.replication.reader import Reader
from cluster.replication.refill import Refill
from cluster.replication.replica import Replica
from cluster.replication.writer import Writer
from cluster.wire.handshake import LANE_FOREGROUND


class Replication:
    """Writer, reader, replica, hand-off, catch-up and refill of one node."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.writer = Writer(ground)
        self.reader = Reader(ground)
        self.replica = Replica(ground, self.writer)
        self.handoff = Handoff(ground)
        self.catchup = CatchUp(ground)
        self.refill = Refill(ground)

    def start(self, quarantined: dict[int, str], returning: bool) -> None:
        """After the store has recovered: `returning` for any boot but the first of its directory."""
        self.ground.hints.recover()
        for partition, reason in quarantined.items():
            if self.ground.mine[partition]:
                self.ground.standing.recovering[partition] = reason
        if self.ground.standing.recovering:
            partitions = sorted(self.ground.standing.recovering)
            self.ground.record("owner.recovering", next(iter(quarantined.values())), partitions=partitions)
        self.handoff.start()
        self.refill.start()
        if returning:
            self.catchup.begin("this node booted again and may have missed writes")

    def member_changed(self, name: str, alive: bool) -> None:
        """Membership holds a member for alive, or no longer."""
        self.ground.avoidance.state_changed(name, alive)
        if alive:
            self.handoff.poke(name)
            self.catchup.member_back(name)

    def member_heard(self, name: str) -> None:
        """A connection to or from a member was made."""
        self.ground.avoidance.heard(name)
        self.handoff.poke(name)

    def connection_broken(self, name: str, lane: int, error: ClusterError) -> None:
        """A connection to a member ended, or could not be made: what waited on it gets no answer."""
        if lane == LANE_FOREGROUND:
            self.writer.exchange.lost(name, error)
            self.reader.exchange.lost(name, error)

    def member_failed(self, name: str) -> None:
        """An exchange with a member failed."""
        self.ground.avoidance.failed(name, self.ground.env.clock.now())
