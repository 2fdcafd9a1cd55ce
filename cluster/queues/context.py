"""The queue context: what the parts of one node's queues work with."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

from cluster.chain.queue import Queue
from cluster.env import OutputTick
from cluster.errors import ClusterError, Maybe, NotFound, QueueFull
from cluster.ports import Outcome, Recorder
from cluster.queues.defined import Defined
from cluster.queues.rows import merge_rows, partition_of_shard
from cluster.queues.shards import Shards
from cluster.queues.steps import ItemSteps
from cluster.replication.context import ReplicationContext
from cluster.replication.hints import HintKey
from cluster.replication.mergeable import MARK, TABLE_QUEUES
from cluster.replication.quorum import UNANSWERED
from cluster.replication.reader import Reader
from cluster.replication.writer import Writer
from cluster.versions import Actor, actor_name
from cluster.wire.handshake import LANE_FOREGROUND
from cluster.wire.queues import QueueBody

ANSWER_S = 0.1
"""So long before the deadline of its request a write ends, so that the verdict still arrives."""
CLOCK_OFF_MAX_S = 1.0


@dataclass
class QueueContext:
    """One node's."""

    replication: ReplicationContext
    writer: Writer
    reader: Reader
    defined: Defined
    shards: Shards
    tick: OutputTick
    record: Recorder
    id: str
    """Of the node: its actors are named by it."""
    epoch: int
    wall_s: Callable[[], float]
    """Seconds since 1970, by this node's clock or, if that is wrong, by those of its peers."""
    ahead_s: Callable[[], float]
    """How far this node's clock is ahead of those of its peers."""
    is_draining: Callable[[str], bool]
    """Whether a member takes nothing new while there are others."""
    steps: ItemSteps
    """What was done with single items lately, for people."""
    counter: Iterator[int] = field(default_factory=lambda: count(1))
    """Numbers the leases of this boot."""
    mints: int = 0
    calls: dict[int, tuple[str, Callable[[str, Outcome], None]]] = field(default_factory=dict)
    """Calls to other nodes that end as soon as these fall silent."""

    def __post_init__(self) -> None:
        self.replication.reach.on_silent.append(self._silent)

    @property
    def me(self) -> str:
        """This node's name."""
        return self.replication.me

    @property
    def actor(self) -> Actor:
        """In whose name this node numbers the items that it accepts."""
        return actor_name(self.id, self.epoch, self.mints)

    def renew(self) -> None:
        """Numbers that were given may be missing: go on under another name, from the first number on."""
        self.mints += 1

    def is_clock_right(self) -> bool:
        """Whether this node's clock is near enough to those of its peers to end what expires."""
        return abs(self.ahead_s()) <= CLOCK_OFF_MAX_S

    def now(self) -> float:
        """The monotonic time."""
        return self.replication.env.clock.now()

    def write_deadline(self) -> float:
        """Until when a write that begins now has to have a verdict."""
        return self.now() + self.replication.settings.write_timeout_s - ANSWER_S

    def queue_of(self, id: int) -> Queue:
        """The queue of that id. Raises NotFound: it was deleted, or is not known here yet."""
        queue = self.defined.by_id.get(id)
        if queue is None:
            raise NotFound(f"no queue has the id {id}: it was deleted", help="`dsectl queue list` lists the queues.")
        return queue

    def owners(self, queue: int, shard: int) -> list[str]:
        """The owners of a shard that can be reached, in order."""
        avoided = self.replication.avoided
        return [name for name in self.replication.view.owners(partition_of_shard(queue, shard)) if not avoided(name)]

    def spread(self, partition: int, key: str, row: bytes) -> None:
        """Join a row here, and at the other owners that can be reached, in this pass; nobody waits for them."""
        replication = self.replication
        others = [name for name in replication.view.takers(partition) if name != self.me]
        if replication.view.holds(partition):
            held = replication.store.get(TABLE_QUEUES, partition, key)
            replication.store.put(TABLE_QUEUES, partition, key, row if held is None else merge_rows(held, row), None)
        if not replication.reach.all_well():
            # One that cannot be reached is marked: back again it would go by what it has, if nothing else was written.
            if mark := replication.mergeables[TABLE_QUEUES].mark(key):
                for name in filter(replication.avoided, others):
                    replication.hints.add(HintKey(name, TABLE_QUEUES, partition, mark), MARK, lambda error: None)
            others = [name for name in others if not replication.avoided(name)]
        # The number 0 is that of no write: whoever answers answers nobody.
        self.writer.calls.call(others, (0, self.write_deadline(), TABLE_QUEUES, partition, key, row))

    def ask(self, peer: str, body: QueueBody, deadline: float, done: Callable[[Outcome], None]) -> None:
        """Call another node. What was sent to one that falls silent ends as `maybe` at once: whoever waits for it in a
        loop would wait for every node that stops."""

        def answered(peer: str, outcome: Outcome) -> None:
            if self.calls.pop(number, None) is not None:
                if isinstance(outcome, UNANSWERED):
                    self.replication.reach.unanswered(peer, outcome)
                done(outcome)

        number = self.replication.messenger.request([peer], body, deadline, answered, LANE_FOREGROUND)
        self.calls[number] = peer, answered

    def _silent(self, peer: str) -> None:
        for number, (name, answered) in list(self.calls.items()):
            if name == peer:
                self.replication.messenger.finish(number)
                answered(peer, Maybe(f"{peer} has fallen silent"))


def is_refused(outcome: Outcome) -> bool:
    """Whether a node surely did not act, for a reason that says nothing about the next one."""
    return (
        isinstance(outcome, ClusterError) and outcome.definite and outcome.retryable and type(outcome) is not QueueFull
    )
