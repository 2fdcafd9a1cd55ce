"""What every operation of one node's replication stands on."""

from collections.abc import Callable
from dataclasses import dataclass, field

from cluster.config import ReplicationSettings
from cluster.env import Env
from cluster.layout import PARTITIONS, Placement
from cluster.ports import Messenger, Recorder
from cluster.replication.hints import HintStore
from cluster.replication.mergeable import Mergeable
from cluster.replication.preference import Avoidance
from cluster.replication.standing import Standing
from cluster.storage import Store


@dataclass
class Ground:
    """One node's own place, its store and its way to the others."""

    me: str
    env: Env
    messenger: Messenger
    store: Store
    placement: Placement
    settings: ReplicationSettings
    mergeables: dict[int, Mergeable]
    hints: HintStore
    standing: Standing
    avoidance: Avoidance
    live: Callable[[], list[str]]
    """The members that are alive, this node included."""
    members: list[str]
    record: Recorder
    others: list[tuple[str, ...]] = field(init=False)
    """The other owners of each partition, in order."""
    mine: list[bool] = field(init=False)
    """Whether this node is an owner, by partition."""

    def __post_init__(self) -> None:
        self.others = [self.placement.owners(partition) for partition in range(PARTITIONS)]
        self.mine = [False] * PARTITIONS
        for partition in self.placement.partitions_of(self.me):
            self.mine[partition] = True
            self.others[partition] = tuple(name for name in self.others[partition] if name != self.me)

    def avoided(self, peer: str) -> bool:
        """Whether to go round a peer now."""
        return self.avoidance.avoided(peer, self.env.clock.now())

    def owns(self, partition: int) -> bool:
        """Whether this node is an owner of the partition."""
        return self.mine[partition]

    def merge_in(self, table: int, partition: int, key: str, blob: bytes) -> bytes:
        """The join of `blob` with what is held here; not stored yet."""
        held = self.store.get(table, partition, key)
        return blob if held is None else self.mergeables[table].merge(held, blob)
