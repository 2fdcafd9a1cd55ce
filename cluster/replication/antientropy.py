"""Makes replicas equal by themselves: owners compare digest trees, and what differs is read from all of them.

Only what was written since it was last found equal is compared, so that a cluster at rest has nothing to do; after a
boot that is every partition it has rows of. A partition is left alone while it is written, and everything is while the
node is busy. A difference counts when it is still there after twice the write timeout: a copy on its way is none.
Repair is a read of all owners, which merges and brings each what it lacks. The node's throttle bounds how much is
looked at and repaired. So a copy that a coordinator's death left behind, or a disk that lost rows unnoticed, is equal
again without anybody reading the key. Dynamo (2007) section 4.7.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from cluster.env import Slices
from cluster.errors import ClusterError, Overloaded, Usage
from cluster.layout import PARTITIONS
from cluster.ports import Inbound, Outcome
from cluster.replication.context import ReplicationContext
from cluster.replication.digests import DigestTrees, LeafRows, Row, differing, pack_leaves, root_of
from cluster.replication.reader import Reader, ReadOperation
from cluster.replication.throttle import LOOKED_AT_BYTES
from cluster.wire.handshake import LANE_BACKGROUND
from cluster.wire.replication import Compare, Compared, Leaves, LeavesFound

PARALLEL: Final = 4
"""Partitions that are compared at a time."""
BUSY_OPERATIONS: Final = 16
"""With more reads and writes in flight comparing waits."""
ANSWER_S: Final = 5.0
"""The other owner may have to build its tree first."""
CONFIRM_FACTOR: Final = 2.0
AGAIN_S: Final = 5.0
"""An owner that could not be compared is tried again after so long."""
REPAIR_BYTES: Final = 4096
"""What a repair takes from the throttle before anybody knows how large the object is: four copies of a kibibyte."""
REPAIRS_MAX: Final = 125
"""In one pass: some ten milliseconds."""
DIFFERENCES_MAX: Final = 1000
"""Of one comparison; the next finds the rest."""


UseTree = Callable[[list[int] | None], None]


class AntiEntropy:
    """One node's part."""

    def __init__(self, context: ReplicationContext, reader: Reader, in_flight: Callable[[], int]) -> None:
        self.context = context
        self.reader = reader
        self.trees = DigestTrees(context.store, context.mergeables)
        self.trees.on_changed = self._changed
        self.slices = Slices(context.env.clock)
        self._in_flight = in_flight
        self._verified: dict[int, dict[str, None]] = {}
        """The owners that were found equal since the partition was written last."""
        self._todo: dict[int, None] = {}
        """Partitions that may have owners to compare with."""
        self._written_at: dict[int, float] = {}
        self._resting: dict[tuple[int, str], float] = {}
        self._under_way: dict[int, None] = {}
        self._want_tree: dict[int, list[UseTree]] = {}
        self._began = context.env.clock.now()
        self._hurry = False
        self.compared = 0
        self.repaired = 0
        self.differences: dict[int, int] = {}
        """By partition, of the last comparison that found any."""

    def start(self) -> None:
        """Compare from now on."""
        if self.context.settings.compare:
            self._todo = dict.fromkeys(self._with_rows())
            self.context.env.clock.call_later(self.context.settings.compare_quiet_s, self._tick)

    def _with_rows(self) -> list[int]:
        """The partitions of which this node has anything: who has nothing is compared with by those that have."""
        store, tables = self.context.store, self.trees.tables
        mine = self.context.view.my_partitions()
        return [partition for partition in mine if any(store.count(table, partition) for table in tables)]

    def member_back(self, name: str) -> None:
        """A member is alive again, perhaps in another boot: what it holds now is to be seen."""
        for partition in self._with_rows():
            if name in self.context.view.others(partition):
                self._verified.get(partition, {}).pop(name, None)
                self._todo[partition] = None

    # -- what is to be compared

    def _changed(self, partitions: Iterable[int]) -> None:
        now = self.context.env.clock.now()
        for partition in partitions:
            self._verified.pop(partition, None)
            self._written_at[partition] = now
            self._todo[partition] = None

    def layout_changed(self) -> None:
        """Other owners: nothing is known of them."""
        self._verified.clear()
        self._resting.clear()
        self._todo = dict.fromkeys(self._with_rows())

    def _others(self, partition: int) -> list[str]:
        """The owners that are to be compared with."""
        context, verified = self.context, self._verified.get(partition, {})
        now = context.env.clock.now()
        return [
            name
            for name in context.view.others(partition)
            if name not in verified and not context.avoided(name) and self._resting.get((partition, name), 0.0) <= now
        ]

    def _ready(self, partition: int, now: float) -> bool:
        context = self.context
        quiet_s = 0.0 if self._hurry else context.settings.compare_quiet_s
        return (
            context.view.mine(partition)
            and context.status.votes(partition)
            and partition not in self._under_way
            and now - self._written_at.get(partition, -1e9) >= quiet_s
        )

    def unverified(self) -> list[int]:
        """The partitions that were not found equal at all other owners since they were written last."""
        return [partition for partition in self._with_rows() if not self._is_verified(partition)]

    def _is_verified(self, partition: int) -> bool:
        return len(self._verified.get(partition, ())) >= len(self.context.view.others(partition))

    def hurry(self) -> dict[str, Any]:
        """Compare everything again, now, whether it was written or not."""
        self.layout_changed()
        self._hurry = True
        return self.status()

    def status(self) -> dict[str, Any]:
        """For `repair --status`."""
        left = self.unverified()
        return {
            "unverified": len(left),
            "comparing": len(self._under_way),
            "compared": self.compared,
            "repaired": self.repaired,
            "differences": sum(self.differences.values()),
        }

    # -- comparing

    def _tick(self) -> None:
        context = self.context
        clock, settings = context.env.clock, context.settings
        busy = self.trees.busy or self._in_flight() > BUSY_OPERATIONS
        self.trees.look()
        if not busy or self._hurry:
            now = clock.now()
            for partition in list(self._todo):
                if len(self._under_way) >= PARALLEL or (context.throttle.rest_s() and not self._hurry):
                    break
                if self._ready(partition, now):
                    others = self._others(partition)
                    if others:
                        self._under_way[partition] = None
                        self.with_tree(partition, partial(self._compare, partition, others))
                    elif self._is_verified(partition):
                        del self._todo[partition]
        if self._hurry and not self.unverified():
            self._hurry = False
        clock.call_later(settings.compare_interval_s, self._tick)

    def rested_s(self, partition: int) -> float:
        """How long nothing was written to the partition in this boot, as far as was looked; `with_tree` looks."""
        return self.context.env.clock.now() - max(self._written_at.get(partition, -1e9), self._began)

    def with_tree(self, partition: int, use: UseTree) -> None:
        """Give the tree, built first if need be; None when the partition was written meanwhile."""
        tree = self.trees.tree(partition)
        if tree is not None:
            use(tree)
            return
        if partition in self._want_tree:
            self._want_tree[partition].append(use)
            return
        self._want_tree[partition] = [use]
        builder = self.trees.builder(partition)
        rows = sum(self.context.store.count(table, partition) for table in self.trees.tables)
        self.context.throttle.take(rows * LOOKED_AT_BYTES)

        def step() -> bool:
            if builder.step():
                return True
            for wanted in self._want_tree.pop(partition):
                wanted(self.trees.tree(partition))
            return False

        self.slices.begin(step)

    def _compare(self, partition: int, others: list[str], tree: list[int] | None) -> None:
        if tree is None:
            self._under_way.pop(partition, None)
            return
        left, root = dict.fromkeys(others), root_of(tree)

        def answered(name: str, outcome: Outcome) -> None:
            left.pop(name, None)
            self._answered(partition, name, root, outcome)
            if not left:
                self._under_way.pop(partition, None)

        deadline = self.context.env.clock.now() + ANSWER_S
        body = Compare(partition, root)
        self.context.messenger.request(others, body, deadline, answered, LANE_BACKGROUND)

    def _answered(self, partition: int, name: str, root: bytes, outcome: Outcome) -> None:
        if type(outcome) is not Compared:
            self._resting[partition, name] = self.context.env.clock.now() + AGAIN_S
            return
        self.compared += 1
        tree = self.trees.tree(partition)
        if tree is None or root_of(tree) != root:
            return  # written since it was asked: what is here now was not compared
        if outcome.equal:
            self._verify(partition, name)
            return
        self._resting[partition, name] = self.context.env.clock.now() + AGAIN_S
        Difference(self, partition, name, differing(tree, outcome.leaves)).start()

    def _verify(self, partition: int, name: str) -> None:
        self._verified.setdefault(partition, {})[name] = None
        self.differences.pop(partition, None)

    def take_tokens(self, wanted: int) -> int:
        """So many repairs may be made now."""
        throttle, interval_s = self.context.throttle, self.context.settings.compare_interval_s
        taken = 0
        while taken < min(wanted, REPAIRS_MAX) and throttle.rest_s() < interval_s:
            throttle.take(REPAIR_BYTES)
            taken += 1
        return taken

    # -- answering

    def on_compare(self, inbound: Inbound) -> None:
        """Another owner compares."""
        body: Compare = inbound.body
        if not self._can_compare(body.partition, inbound):
            return

        def answer(tree: list[int] | None) -> None:
            if tree is None:
                inbound.fail(Overloaded(f"partition {body.partition} is being written"))
            elif root_of(tree) == body.root:
                self._verify(body.partition, inbound.sender)
                inbound.reply(Compared(True))
            else:
                inbound.reply(Compared(False, pack_leaves(tree)))

        self.with_tree(body.partition, answer)

    def on_leaves(self, inbound: Inbound) -> None:
        """It wants to know which rows there are where the trees differ."""
        body: Leaves = inbound.body
        if not self._can_compare(body.partition, inbound):
            return

        def found(rows: dict[Row, bytes]) -> None:
            inbound.reply(LeavesFound([(table, key, digest) for (table, key), digest in rows.items()]))

        self.find(body.partition, body.leaves, found)

    def _can_compare(self, partition: int, inbound: Inbound) -> bool:
        if not (0 <= partition < PARTITIONS and self.context.view.mine(partition)):
            inbound.fail(Usage(f"{self.context.me} does not own partition {partition}"))
        elif not self.context.status.complete(partition):
            inbound.fail(Overloaded(f"partition {partition} is recovering"))  # completing makes it equal
        else:
            return True
        return False

    def find(self, partition: int, leaves: Iterable[int], found: Callable[[dict[Row, bytes]], None]) -> None:
        """The rows of some leaves, in slices."""
        rows: LeafRows = self.trees.rows_of(partition, leaves)

        def step() -> bool:
            if rows.step():
                return True
            found(rows.found)
            return False

        self.slices.begin(step)


class Difference:
    """What differs between this node and another owner of a partition, looked at twice, then repaired."""

    def __init__(self, owner: AntiEntropy, partition: int, name: str, leaves: list[int]) -> None:
        self.owner = owner
        self.partition = partition
        self.name = name
        self.leaves = leaves
        self.before: dict[Row, tuple[bytes | None, bytes | None]] | None = None

    def start(self) -> None:
        """Look at both sides."""
        context = self.owner.context
        body = Leaves(self.partition, self.leaves)
        deadline = context.env.clock.now() + ANSWER_S
        context.messenger.request([self.name], body, deadline, self._theirs, LANE_BACKGROUND)

    def _theirs(self, name: str, outcome: Outcome) -> None:
        if type(outcome) is LeavesFound:
            theirs = {(table, key): digest for table, key, digest in outcome.rows}
            self.owner.find(self.partition, self.leaves, lambda mine: self._found(mine, theirs))

    def _found(self, mine: dict[Row, bytes], theirs: dict[Row, bytes]) -> None:
        rows = {row: (mine.get(row), theirs.get(row)) for row in [*mine, *theirs] if mine.get(row) != theirs.get(row)}
        context = self.owner.context
        if self.before is None:
            self.before = rows
            if rows:
                context.env.clock.call_later(CONFIRM_FACTOR * context.settings.write_timeout_s, self.start)
            return
        confirmed = [row for row, pair in rows.items() if self.before.get(row) == pair][:DIFFERENCES_MAX]
        if confirmed:
            self.owner.differences[self.partition] = len(confirmed)
            cause = f"{len(confirmed)} keys differ from those of {self.name}"
            context.record("repair.differences", cause, partition=self.partition, peer=self.name)
            self._repair(confirmed)

    def _repair(self, rows: list[Row]) -> None:
        owner, context = self.owner, self.owner.context
        allowed = owner.take_tokens(len(rows))
        for table, key in rows[:allowed]:
            r = len(context.view.owners(self.partition))
            deadline = context.env.clock.now() + context.settings.read_timeout_s
            owner.reader.read(table, self.partition, key, r=r, strict=False, deadline=deadline, done=self._repaired)
        if rows[allowed:]:
            context.env.clock.call_later(context.settings.compare_interval_s, self._repair, rows[allowed:])
        else:
            owner._resting.pop((self.partition, self.name), None)

    def _repaired(self, read: ReadOperation, error: ClusterError | None) -> None:
        if error is None and not read.unrepaired:
            self.owner.repaired += 1
