"""Whether a queue is empty: what a receive looks at before it says so.

An acknowledged item is at W nodes, so it can be hidden only if all W of them are out of sight. All other members are
asked; owners say what rows they have, and where these differ they are read from all owners, which repairs them. A shard
*cannot be reached* if at least W members did not answer or, as owners, lost data or have a full disk, or if one that is
no owner keeps copies for owners, which it will deliver. So one dead node never keeps a queue from being empty.
"""

from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from cluster.chain.queue import Queue
from cluster.errors import ClusterError
from cluster.ports import Inbound, Outcome
from cluster.queues.context import QueueContext
from cluster.queues.rows import KIND_BLOCK, KIND_DEDUP, KIND_NOTES, partition_of_shard
from cluster.queues.shard import Shard
from cluster.replication.hints import HintKey
from cluster.replication.mergeable import TABLE_HINTS, TABLE_QUEUES
from cluster.replication.reader import ReadOperation
from cluster.wire.handshake import LANE_FOREGROUND
from cluster.wire.queues import Seen, ShardLook, ShardSeen

ROWS_MAX: Final = 16384
"""Of all shards that are asked about, at one owner: where owners differ and have more, nobody calls them empty."""
PAGE: Final = 256
DIFFERENCES_MAX: Final = 512
"""Rows of one queue that are read in one look; owners that differ by more find together in the background."""

NOTHING: Final = Shard(0, 0).digest()
"""Of a shard that nothing is known of."""

Looked = Callable[[list[int]], None]
"""Takes the shards that cannot be reached."""


class Looking:
    """One node's part."""

    def __init__(self, context: QueueContext) -> None:
        self.context = context

    def on_look(self, inbound: Inbound) -> None:
        """Say what this node has."""
        body: ShardLook = inbound.body
        most = ROWS_MAX // max(1, len(body.digests))
        shards = {number: self.seen(body.queue, number, digest, most) for number, digest in body.digests.items()}
        inbound.reply(ShardSeen(shards))

    def seen(self, queue: int, number: int, digest: bytes, most: int) -> Seen:
        """What this node has of a shard; its rows where they are others than those of the digest."""
        replication, partition = self.context.replication, partition_of_shard(queue, number)
        if not replication.view.mine(partition):
            return self._keeps_hints(queue, number), b"", None
        if replication.store.full or not replication.status.complete(partition):
            return False, b"", None  # it cannot be repaired where it differs
        shard = self.context.shards.get(queue, number)
        own = NOTHING if shard is None else shard.digest()
        return False, own, [] if own == digest else self.rows(queue, number, most)

    def rows(self, queue: int, number: int, most: int) -> list[tuple[str, bytes]]:
        """The rows that say what lives in a shard, and what is done with: keys and digests. A block never changes, so
        its key is enough."""
        store, partition, prefix = (
            self.context.replication.store,
            partition_of_shard(queue, number),
            f"{queue}.{number}/",
        )
        rows: list[tuple[str, bytes]] = []
        after, more = "", True
        while more and len(rows) < most:
            page, more = store.scan(TABLE_QUEUES, partition, after, PAGE, prefix=prefix)
            for after, blob in page:
                kind = after[len(prefix)]
                if kind not in (KIND_NOTES, KIND_DEDUP):
                    rows.append((after, b"" if kind == KIND_BLOCK else blake2b(blob, digest_size=8).digest()))
        return rows

    def _keeps_hints(self, queue: int, number: int) -> bool:
        """Whether this node keeps rows of a shard for its owners."""
        replication, partition = self.context.replication, partition_of_shard(queue, number)
        for target in replication.hints.by_target():
            prefix = HintKey(target, TABLE_QUEUES, partition, f"{queue}.{number}/").row()
            if replication.store.scan(TABLE_HINTS, partition, "", 1, prefix=prefix)[0]:
                return True
        return False

    def look(self, queue: Queue, deadline: float, looked: Looked) -> None:
        """Ask all others about all shards; what is found to be missing here is here once `looked` is called."""
        EmptinessCheck(self, queue, deadline, looked).start()


class EmptinessCheck:
    """One look at all members."""

    def __init__(self, looking: Looking, queue: Queue, deadline: float, looked: Looked) -> None:
        self.looking = looking
        self.context = looking.context
        self.queue = queue
        self.deadline = deadline
        self.looked = looked
        self.most = ROWS_MAX // queue.shards
        self.own: dict[int, Seen] = {}
        self.seen: dict[str, dict[int, Seen]] = {}
        self.waiting = 0
        self.unreachable: dict[int, None] = {}

    def start(self) -> None:
        """Ask."""
        context, queue = self.context, self.queue
        replication = context.replication
        # Of shards that it does not own itself, this node has no digest to compare with: owners send their rows.
        self.own = {shard: self.looking.seen(queue.id, shard, b"", self.most) for shard in range(queue.shards)}
        body = ShardLook(queue.id, {shard: seen[1] for shard, seen in self.own.items()})
        names = [name for name in replication.live() if name != context.me and not replication.avoided(name)]
        self.waiting = len(names) + 1
        if names:
            replication.messenger.request(names, body, self.deadline, self._answered, LANE_FOREGROUND)
        self._end_one()

    def _answered(self, name: str, outcome: Outcome) -> None:
        if isinstance(outcome, ShardSeen):
            self.seen[name] = outcome.shards
        self._end_one()

    def _end_one(self) -> None:
        self.waiting -= 1
        if not self.waiting:
            self._compare()

    def _compare(self) -> None:
        context, queue = self.context, self.queue
        view, w = context.replication.view, context.replication.settings.w
        differences: list[tuple[int, str, int]] = []
        self.seen[context.me] = self.own
        for shard in range(queue.shards):
            owners = view.owners(partition_of_shard(queue.id, shard))
            missing = [name for name in view.members if name not in self.seen]
            answers = {name: seen[shard] for name, seen in self.seen.items() if shard in seen}
            missing += [name for name in owners if name in answers and answers[name][2] is None]
            if len(missing) >= min(w, len(owners)) or any(keeps for keeps, _, _ in answers.values()):
                self.unreachable[shard] = None
                continue
            whole = {name: answers[name] for name in owners if name in answers and answers[name][2] is not None}
            if len({digest for _, digest, _ in whole.values()}) == 1:
                continue
            # Who has the same sends no rows; nor does one that has none, which is another thing.
            own = self.own[shard][1]
            rows = [
                dict(self.looking.rows(queue.id, shard, self.most) if digest == own else found or ())
                for _, digest, found in whole.values()
            ]
            if any(len(found) >= self.most for found in rows):
                self.unreachable[shard] = None
                continue
            keys = dict.fromkeys(key for found in rows for key in found)
            differing = [key for key in keys if len({found.get(key) for found in rows}) > 1]
            differences += [(shard, key, len(whole)) for key in differing]
        for shard, _, _ in differences[DIFFERENCES_MAX:]:
            self.unreachable[shard] = None
        self._read(differences[:DIFFERENCES_MAX])

    def _read(self, differences: list[tuple[int, str, int]]) -> None:
        """What is read from all owners is repaired where it was missing."""
        context = self.context
        self.waiting = len(differences) + 1

        def end_one() -> None:
            self.waiting -= 1
            if not self.waiting:
                self.looked(list(self.unreachable))

        for shard, key, owners in differences:
            partition = partition_of_shard(self.queue.id, shard)

            def read(found: ReadOperation, error: ClusterError | None, shard: int = shard) -> None:
                if error is not None or found.unrepaired:
                    self.unreachable[shard] = None
                end_one()

            context.reader.read(
                TABLE_QUEUES,
                partition,
                key,
                r=owners,
                strict=True,  # an owner that may have missed something says what it has all the same
                deadline=self.deadline,
                done=read,
            )
        end_one()
