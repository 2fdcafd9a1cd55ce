"""All shards of queues of which this node has rows, kept in step with the log, and rid of what is covered.

The index follows the log, not what is staged: what is given out of it can be refused no more. Covered rows are removed
a slice a pass, after the pass that covered them; a removal that the log refuses is tried again.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from cluster.env import Env
from cluster.errors import ClusterError, Damaged
from cluster.layout import PARTITIONS
from cluster.queues.defined import Defined
from cluster.queues.rows import KIND_DEDUP, bits_key, encode_floor, floor_key, parse_key, partition_of_shard, shard_key
from cluster.queues.shard import Shard
from cluster.replication.mergeable import TABLE_QUEUES
from cluster.storage import Store
from cluster.versions import Actor

Change = tuple[int, int, str, bytes | None]

RECOVERY_PAGE: Final = 1024
SLICE_ROWS: Final = 256
RETRY_S: Final = 1.0
AGE_S: Final = 1.0


class Shards:
    """One node's."""

    def __init__(self, env: Env, store: Store, defined: Defined) -> None:
        self._env = env
        self._store = store
        self._defined = defined
        self._shards: dict[int, dict[int, Shard]] = {}
        """By queue and number."""
        self._covering: dict[tuple[int, int], Shard] = {}
        """Those with rows to be removed."""
        self._deleted: dict[int, None] = {}
        """Queues whose rows are to be removed."""
        self._idle: dict[Actor, dict[Shard, None]] = {}
        """By actor the shards in which something is said of it, and none of its items lives."""
        self._seen: dict[Actor, None] = {}
        """Idle actors whose boot was asked after, as far as this node had heard then."""
        self._timer = False
        self._ages = False
        store.on_written.append(self.on_written)
        defined.on_change.append(self._find_deleted)

    def of(self, queue: int, number: int) -> Shard:
        """A shard, whether or not there is anything in it."""
        shards = self._shards.setdefault(queue, {})
        shard = shards.get(number)
        if shard is None:
            shard = shards[number] = Shard(queue, number)
        return shard

    def get(self, queue: int, number: int) -> Shard | None:
        """A shard that rows were ever seen of, or that somebody asked for."""
        return self._shards.get(queue, {}).get(number)

    def all(self) -> Iterable[Shard]:
        """All there are."""
        return (shard for shards in self._shards.values() for shard in shards.values())

    def retiring(self, has_ended: Callable[[Actor], bool]) -> Iterator[tuple[int, str]]:
        """The rows, by partition and key, of idle actors whose boots have ended; each once, until something changes."""
        for actor in list(self._idle):
            if actor not in self._seen:
                self._seen[actor] = None
                if has_ended(actor):
                    for shard in self._idle[actor]:
                        partition = partition_of_shard(shard.queue, shard.number)
                        yield from ((partition, key) for key in shard.rows_of(actor))

    def boots_changed(self) -> None:
        """A boot may have ended."""
        self._seen.clear()

    def recover(self) -> None:
        """Index what the log brought back. Once, before the first pass."""
        for partition in range(PARTITIONS):
            if not self._store.count(TABLE_QUEUES, partition):
                continue
            after, more = "", True
            while more:
                page, more = self._store.scan(TABLE_QUEUES, partition, after, RECOVERY_PAGE, bytes_max=1 << 22)
                for key, blob in page:
                    self._take(key, blob)
                    after = key
        for shard in self.all():  # the rows come in the order of their keys
            shard.blocks = dict(sorted(shard.blocks.items(), key=lambda item: item[1].accepted_ms))
        self._find_deleted()

    def on_written(self, changes: list[Change]) -> None:
        """The log has these changes."""
        rows = {change[2]: change[1] for change in changes if change[0] == TABLE_QUEUES}
        if not rows:
            return
        for key, partition in rows.items():
            self._take(key, self._store.get(TABLE_QUEUES, partition, key))
        self._arm()

    def _take(self, key: str, blob: bytes | None) -> None:
        try:
            parsed = parse_key(key)
            shard = self.of(parsed.queue, parsed.shard)
            if blob is None:
                shard.drop(parsed)
            else:
                shard.put(parsed, blob, self._env.clock.now())
        except Damaged:
            return  # whoever let it in will not read it either
        if shard.covered or shard.folded:
            self._covering[parsed.queue, parsed.shard] = shard
        self._note_idle(shard, parsed.actor)
        if parsed.kind == KIND_DEDUP and not self._ages:
            self._ages = True
            self._env.clock.call_later(AGE_S, self._age)

    def _note_idle(self, shard: Shard, actor: Actor) -> None:
        shards = self._idle.get(actor)
        if actor in shard.done and not shard.lives(actor):
            if shards is None:
                shards = self._idle[actor] = {}
            if shard not in shards:
                shards[shard] = None
                self._seen.pop(actor, None)
        elif shards is not None and shard in shards:
            del shards[shard]
            if not shards:
                del self._idle[actor]
                self._seen.pop(actor, None)

    # -- removing

    def _arm(self, after_s: float = 0.0) -> None:
        if (self._covering or self._deleted) and not self._timer:
            self._timer = True
            if after_s:
                self._env.clock.call_later(after_s, self._remove)
            else:
                self._env.clock.call_soon(self._remove)

    def _remove(self) -> None:
        """A slice."""
        self._timer = False
        if self._store.full:
            self._arm(RETRY_S)
            return
        if not self._covering:
            self._remove_deleted()
            return
        (queue, number), shard = next(iter(self._covering.items()))
        store, partition = self._store, partition_of_shard(queue, number)
        folded = list(shard.folded)
        shard.folded.clear()
        put = False
        for actor in folded:
            done = shard.done.get(actor)
            floor = 0 if done is None else done.folded()
            if done is not None and floor > done.floor:
                store.put(TABLE_QUEUES, partition, floor_key(queue, number, actor), encode_floor(floor), None)
                for chunk in range(done.floor, floor):
                    shard.covered[bits_key(queue, number, actor, chunk)] = None
                put = True
        removed = list(shard.covered)[:SLICE_ROWS]
        for key in removed:
            del shard.covered[key]
            blob = store.get(TABLE_QUEUES, partition, key)
            # What covered it may have gone meanwhile, with the partition, and the row may be here anew.
            if blob is not None and not shard.wants(parse_key(key), blob, self._env.clock.wall()):
                store.put(TABLE_QUEUES, partition, key, None, None)
                put = True
        if not shard.covered:
            del self._covering[queue, number]

        def written(error: ClusterError | None) -> None:
            if error is not None:  # undone: the rows are there still
                shard.covered.update(dict.fromkeys(removed))
                shard.folded.update(dict.fromkeys(folded))
                self._covering[queue, number] = shard
                self._arm(RETRY_S)

        if put:
            store.then(written)
        self._arm()

    def _find_deleted(self) -> None:
        self._deleted.update((queue, None) for queue in self._shards if self._defined.is_deleted(queue))
        self._arm()

    def _remove_deleted(self) -> None:
        """A slice of the rows of queues that were deleted."""
        queue = next(iter(self._deleted))
        shards = self._shards.get(queue, {})
        for number in list(shards):
            partition = partition_of_shard(queue, number)
            page, _ = self._store.scan(
                TABLE_QUEUES, partition, "", SLICE_ROWS, prefix=shard_key(queue, number) + "/", bytes_max=1 << 20
            )
            for key, _blob in page:
                self._store.put(TABLE_QUEUES, partition, key, None, None)
            if page:
                break
            del shards[number]
        if not shards:
            self._shards.pop(queue, None)
            del self._deleted[queue]
        self._arm()

    def _age(self) -> None:
        wall_s = self._env.clock.wall()
        self._ages = False
        for shard in self.all():
            shard.age(wall_s, SLICE_ROWS)
            if shard.covered:
                self._covering[shard.queue, shard.number] = shard
            self._ages |= bool(shard.dedup)
        self._arm()
        if self._ages:
            self._env.clock.call_later(AGE_S, self._age)
