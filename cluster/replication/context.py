"""The replication context: what every operation of one node's replication works with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cluster.config import ReplicationSettings
from cluster.env import Env
from cluster.errors import Usage
from cluster.layout import LayoutView
from cluster.limits import KEY_BYTES_MAX
from cluster.observe.events import Steps
from cluster.ports import Recorder
from cluster.replication.collection import NOTHING_SETTLED, decode_stable, stable_row
from cluster.replication.hintloss import HintLoss
from cluster.replication.hints import HintStore
from cluster.replication.mergeable import TABLE_HINTS, TABLE_STABLE, Mergeable, check_merged
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
    _stable: dict[int, tuple[bytes, Mapping[str, int]]] = field(default_factory=dict)

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
        if not 0 < len(key) <= KEY_BYTES_MAX or mergeable.place(key) != partition:
            raise Usage(f"partition {partition} has no such key")
        return mergeable

    def stable_clock(self, partition: int) -> Mapping[str, int]:
        """Up to where all of a partition is settled, as this node knows; see `collection`."""
        blob = self.store.get(TABLE_STABLE, partition, stable_row(partition))
        if blob is None:
            return NOTHING_SETTLED
        known = self._stable.get(partition)
        if known is None or known[0] is not blob:
            known = self._stable[partition] = blob, decode_stable(blob)
        return known[1]

    def wanted(self, table: int, partition: int, key: str, blob: bytes) -> bool:
        """Whether a copy says anything: one of a row that is not held may be covered by other rows. Raises Damaged."""
        return self.store.get(table, partition, key) is not None or self.mergeables[table].wanted(blob, key)

    def news(self, table: int, partition: int, key: str, blob: bytes) -> bytes | None:
        """A copy that may be old, without what was replaced and perhaps collected since; None when nothing is left of
        it. An owner that lost data cannot tell, and keeps all. Raises Damaged."""
        stable, mergeable = self.stable_clock(partition), self.mergeables[table]
        held = self.store.get(table, partition, key)
        if held is None and not mergeable.wanted(blob, key):
            return None
        if not stable or not self.status.complete(partition):
            return blob
        return mergeable.unsettled(blob, key, held, stable)

    def merge_in(self, table: int, partition: int, key: str, blob: bytes) -> bytes:
        """The join of `blob` with what is held here; not stored yet. Raises TooLarge, see `check_merged`."""
        held = self.store.get(table, partition, key)
        if held is None:  # `blob` was checked when it came
            return blob
        mergeable = self.mergeables[table]
        merged = mergeable.merge(held, blob)
        check_merged(mergeable, held, merged)
        return merged
