"""The replication context: what every operation of one node's replication works with."""

from collections.abc import Callable
from dataclasses import dataclass

from cluster.config import ReplicationSettings
from cluster.env import Env
from cluster.errors import Usage
from cluster.layout import LayoutView, partition_of
from cluster.limits import KEY_BYTES_MAX
from cluster.observe.events import Steps
from cluster.ports import Recorder
from cluster.replication.hintloss import HintLoss
from cluster.replication.hints import HintStore
from cluster.replication.mergeable import TABLE_HINTS, Mergeable, check_merged
from cluster.replication.throttle import Throttle
from cluster.replication.voting import VotingStatus
from cluster.rpc import Rpc
from cluster.rpc.reach import Reach
from cluster.storage import Store


@dataclass
class ReplicationContext:
    """One node's view of the layout, its store and its way to the others."""

    boot: str
    """Names this boot of this directory among all boots of all directories."""
    view: LayoutView
    """Asked for owners at the time of use; an answer is not kept."""
    env: Env
    messenger: Rpc
    store: Store
    settings: ReplicationSettings
    mergeables: dict[int, Mergeable]
    hints: HintStore
    hint_loss: HintLoss
    status: VotingStatus
    reach: Reach
    throttle: Throttle
    live: Callable[[], list[str]]
    """The members that are alive, this node included."""
    record: Recorder
    steps: Steps
    """Of the operations that are to be explained."""

    @property
    def me(self) -> str:
        """This node's name."""
        return self.view.me

    def avoided(self, peer: str) -> bool:
        """Whether to go round a peer now."""
        return self.reach.avoided(peer)

    def check_place(self, table: int, partition: int, key: str) -> Mergeable:
        """What merges the objects of a table, for a row that another node names. Raises Usage for a place that cannot
        be: garbage that is stored once is shipped for ever."""
        mergeable = self.mergeables.get(table)
        if mergeable is None or table == TABLE_HINTS:
            raise Usage(f"unknown table {table}")
        if not 0 < len(key) <= KEY_BYTES_MAX or partition_of(key) != partition:
            raise Usage(f"partition {partition} has no such key")
        return mergeable

    def merge_in(self, table: int, partition: int, key: str, blob: bytes) -> bytes:
        """The join of `blob` with what is held here; not stored yet. Raises TooLarge, see `check_merged`."""
        held = self.store.get(table, partition, key)
        if held is None:  # `blob` was checked when it came
            return blob
        mergeable = self.mergeables[table]
        merged = mergeable.merge(held, blob)
        check_merged(mergeable, held, merged)
        return merged
