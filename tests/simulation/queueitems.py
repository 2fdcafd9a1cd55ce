"""Items of one shard of a queue as its owners have them: accepted and marked done by any node, at W owners, as rows.

What a client sees is another matter; here it is asked what the rows of a shard come to, wherever they went.
"""

from collections import Counter
from collections.abc import Iterable

from cluster.errors import ClusterError
from cluster.layout import placement
from cluster.node.node import Node
from cluster.queues import rows
from cluster.queues.done import chunks_of
from cluster.queues.rows import Item
from cluster.queues.shard import Shard
from cluster.replication.mergeable import TABLE_QUEUES
from cluster.replication.writer import WriteOperation
from cluster.simulation.fleet import Fleet
from cluster.wire.admin import AdminAnswer

Name = tuple[str, int]
"""Actor and number of an item."""


class ShardItems:
    """What was sent to one shard, and what was acknowledged; `shards` gives what owners have of it."""

    def __init__(self, fleet: Fleet, number: int = 0, name: str = "jobs") -> None:
        self.fleet = fleet
        self.number = number
        created = fleet.wait(fleet.ask(fleet.up[0], "create-queue", {"name": name})).answer
        assert isinstance(created, AdminAnswer), created
        node = fleet.nodes[fleet.up[0]]
        self.queue = node.defined.get(name).id
        fleet.until(lambda: all(self.queue in one.defined.by_id for one in fleet.nodes.values()))
        self.partition = rows.partition_of_shard(self.queue, number)
        self.accepted: dict[Name, None] = {}
        """Those whose block W nodes have."""
        self.done: dict[Name, None] = {}
        """Those that W nodes have as done."""
        self.unsure: dict[Name, None] = {}
        """Those that some node may have, or may have as done."""
        self._next: Counter[str] = Counter()

    @property
    def owners(self) -> list[str]:
        """In order."""
        return list(placement(self.fleet.layout).owners(self.partition))

    def shard(self, name: str) -> Shard:
        """What a node has of it."""
        return self.fleet.nodes[name].shards.of(self.queue, self.number)

    def undone(self, name: str) -> list[Name]:
        """The items that live at a node."""
        return sorted(
            (block.actor, block.first + place)
            for block in self.shard(name).blocks.values()
            for place in range(block.count)
            if block.undone >> place & 1
        )

    def rows(self, name: str) -> dict[str, bytes]:
        """All that a node stores of it."""
        prefix = rows.shard_key(self.queue, self.number) + "/"
        page, more = self.fleet.nodes[name].store.scan(TABLE_QUEUES, self.partition, "", 100_000, prefix=prefix)
        assert not more
        return dict(page)

    def equal(self) -> bool:
        """Whether all owners store the same."""
        found = [self.rows(name) for name in self.owners]
        return all(one == found[0] for one in found)

    def left(self) -> list[Name]:
        """What must live."""
        return sorted(name for name in self.accepted if name not in self.done)

    # -- operations

    def accept(self, via: str, count: int = 1) -> None:
        """A node accepts a block of items. They count once W nodes have them."""
        node = self.fleet.nodes[via]
        actor = f"{node.boot.id}.{node.boot.boot.epoch}.0"
        first = self._next[actor]
        self._next[actor] += count
        names = [(actor, first + place) for place in range(count)]
        blob = rows.encode_block(1000, 10**15, [Item(f"{name}".encode()) for name in names])
        self._write(node, rows.block_key(self.queue, self.number, actor, first), blob, None, names, self.accepted)

    def finish(self, via: str, names: Iterable[Name]) -> None:
        """An owner marks items done. That counts once W nodes have it."""
        node, by_actor = self.fleet.nodes[via], dict[str, list[int]]()
        for actor, number in names:
            by_actor.setdefault(actor, []).append(number)
        for actor, numbers in by_actor.items():
            for chunk, bits in chunks_of(numbers).items():
                key = rows.bits_key(self.queue, self.number, actor, chunk)
                held = node.store.get(TABLE_QUEUES, self.partition, key)
                known = 0 if held is None else rows.decode_bits(held)
                done = self.shard(via).done.get(actor)
                if done is not None and chunk < done.floor:
                    continue
                here = rows.encode_bits(known | bits)
                self._write(node, key, rows.encode_bits(bits), here, [(actor, number) for number in numbers], self.done)

    def finish_all(self, via: str) -> None:
        """All that lives at this owner."""
        self.finish(via, self.undone(via))
        self.run()

    def run(self, seconds: float = 2.0) -> None:
        """Let what is under way end."""
        self.fleet.world.run_for(seconds)

    def _write(
        self, node: Node, key: str, blob: bytes, here: bytes | None, names: list[Name], into: dict[Name, None]
    ) -> None:
        self.unsure.update(dict.fromkeys(names))

        def done(outcome: str, operation: WriteOperation) -> None:
            if outcome in ("ok", "ok-sloppy"):
                into.update(dict.fromkeys(names))

        def write() -> None:
            try:
                node.replication.writer.write(
                    TABLE_QUEUES, self.partition, key, blob,
                    w=2, strict=False, deadline=node.env.clock.now() + 1.0, done=done, here=here,
                )  # fmt: skip
            except ClusterError:
                pass  # nothing was sent

        node.env.clock.call_soon(write)
