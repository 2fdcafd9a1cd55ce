"""Digest trees: for each partition 256 sums over its rows, so that two owners find where they differ in two messages.

A row belongs to the leaf that the second byte of its key's token names, and adds to it a hash of key and object; the
root is a hash of the leaves. Sums change with each row that the log was given, so they are kept and not computed anew
(Merkle trees of Dynamo (2007) section 4.7, of depth two: 256 partitions of 256 leaves are 65,536 ranges of tokens).

What was written is only noted with the pass that wrote it, and summed up later, in slices. While more is written than
is worth following, the sums are let go, and made again from the rows when it is quiet. Pure but for the store it reads.
"""

from collections.abc import Callable, Container, Iterable, Mapping
from hashlib import blake2b
from typing import Final

from cluster.layout import PARTITIONS
from cluster.replication.mergeable import TABLE_HINTS, Mergeable
from cluster.storage import Store

LEAVES: Final = 256
LEAF_BYTES: Final = 8
MASK: Final = (1 << 64) - 1
FOLLOWED_MAX: Final = 500
"""Changes between two looks that are worth following one by one: some thousands a second."""
SLICE_ROWS: Final = 64

Change = tuple[int, int, str, bytes | None]
Row = tuple[int, str]
"""Table and key."""


def leaf_of(key: str) -> int:
    """The leaf of a key within its partition."""
    return blake2b(key.encode(), digest_size=8).digest()[1]


def row_sum(table: int, key: str, digest: bytes) -> int:
    """What a row adds to its leaf."""
    return int.from_bytes(blake2b(b"%d" % table + digest + key.encode(), digest_size=8).digest(), "big")


class DigestTrees:
    """The trees of one node, and which of its partitions have changed."""

    def __init__(self, store: Store, mergeables: Mapping[int, Mergeable]) -> None:
        self._store = store
        self._mergeables = mergeables
        self.tables = [table for table in sorted(mergeables) if table != TABLE_HINTS]
        """Those whose rows replicas share."""
        self._noted: list[list[Change]] = []
        self._noted_count = 0
        self._unfollowed: dict[int, None] = {}
        """Partitions of what came beyond FOLLOWED_MAX, of which nothing else is kept."""
        self._before: dict[tuple[int, int, str], bytes | None] = {}
        self._trees: dict[int, list[int]] = {}
        self._building: dict[int, list[TreeBuilder]] = {}
        self.on_rows: Callable[[list[Change]], None] = lambda changes: None
        """Given what was written, with the look that comes upon it, unless that is more than is followed."""
        self.on_many: Callable[[Iterable[int]], None] = lambda partitions: None
        """More was written to these partitions than is followed."""
        self.on_changed: Callable[[Iterable[int]], None] = lambda partitions: None
        """These partitions were written since the last look."""
        store.on_written.append(self.note)

    def note(self, changes: list[Change]) -> None:
        """The log has these changes. Called at the end of each pass that wrote."""
        self._noted_count += len(changes)
        if self._noted_count <= FOLLOWED_MAX:
            self._noted.append(changes)
        elif len(self._unfollowed) < PARTITIONS:  # of a flood no more is kept than where it went
            self._unfollowed.update(dict.fromkeys([change[1] for change in changes if change[0] in self.tables]))

    @property
    def busy(self) -> bool:
        """Whether more is written than is followed."""
        return self._noted_count > FOLLOWED_MAX

    def look(self) -> bool:
        """Sum up a little of what was written. Returns whether there is more of it."""
        if self._noted_count:
            self._take_notes()
        for row in list(self._before)[:SLICE_ROWS]:
            table, partition, key = row
            before = self._before.pop(row)
            tree = self._trees.get(partition)
            if tree is not None:
                leaf = leaf_of(key)
                after = self._store.logged(table, partition, key)
                tree[leaf] = (tree[leaf] - self._sum(table, key, before) + self._sum(table, key, after)) & MASK
        return bool(self._before)

    def _take_notes(self) -> None:
        """All at once: a row that is summed up must have no change that is not known here."""
        noted, self._noted, busy = self._noted, [], self.busy
        changed, self._unfollowed = self._unfollowed, {}
        self._noted_count = 0
        for changes in noted:
            if not busy:
                self.on_rows(changes)
            for table, partition, key, before in changes:
                if table in self.tables:  # what only this node needs to know is in tables of its own
                    changed[partition] = None
                    if not busy and partition in self._trees:
                        self._before.setdefault((table, partition, key), before)
        for partition in changed:
            for builder in self._building.pop(partition, ()):
                builder.spoiled = True
        if busy or len(self._before) > FOLLOWED_MAX:  # or rows that are ever others would wait here, without end
            self.let_go()
        if busy:
            self.on_many(changed)
        self.on_changed(changed)

    def let_go(self) -> None:
        """Keep no tree: each is made anew when it is wanted."""
        self._trees.clear()
        self._before.clear()

    def forget(self, partitions: Container[int]) -> None:
        """Rows of these partitions went without a change that was noted."""
        self._trees = {partition: tree for partition, tree in self._trees.items() if partition not in partitions}
        self._before = {row: before for row, before in self._before.items() if row[1] not in partitions}
        for partition, builders in self._building.items():
            for builder in builders:
                builder.spoiled = builder.spoiled or partition in partitions

    def _sum(self, table: int, key: str, blob: bytes | None) -> int:
        return 0 if blob is None else row_sum(table, key, self._mergeables[table].digest(blob))

    def builder(self, partition: int) -> "TreeBuilder":
        """Makes the tree of a partition."""
        self._take_notes()
        made = TreeBuilder(self, partition)
        self._building.setdefault(partition, []).append(made)
        return made

    def tree(self, partition: int) -> list[int] | None:
        """The leaves of a partition as of now; None when they have to be built first."""
        while self._noted_count or self._before:
            self.look()
        return self._trees.get(partition)

    def rows_of(self, partition: int, leaves: Iterable[int]) -> "LeafRows":
        """Finds the rows of some leaves."""
        return LeafRows(self, partition, leaves)


class TreeBuilder:
    """A tree in the making: `step` does a slice, and returns whether there is more. A write to the partition meanwhile
    spoils it, and there is no tree in the end."""

    def __init__(self, trees: DigestTrees, partition: int) -> None:
        self._trees = trees
        self._partition = partition
        self._left = list(trees.tables)
        self._after = ""
        self._leaves = [0] * LEAVES
        self.spoiled = False

    def step(self) -> bool:
        """See above."""
        trees, partition = self._trees, self._partition
        table = self._left[0]
        page, more = trees._store.scan(table, partition, self._after, SLICE_ROWS)
        for key, blob in page:
            leaf = leaf_of(key)
            self._leaves[leaf] = (self._leaves[leaf] + trees._sum(table, key, blob)) & MASK
            self._after = key
        if not more:
            self._left.pop(0)
            self._after = ""
        if self._left and not self.spoiled:
            return True
        trees._take_notes()
        if not self.spoiled:
            if self in (building := trees._building.get(partition, [])):
                building.remove(self)
            trees._trees[partition] = self._leaves
        return False


class LeafRows:
    """The rows of some leaves of a partition with their digests, found in slices."""

    def __init__(self, trees: DigestTrees, partition: int, leaves: Iterable[int]) -> None:
        self._trees = trees
        self._partition = partition
        self._leaves = frozenset(leaves)
        self._left = list(trees.tables)
        self._after = ""
        self.found: dict[Row, bytes] = {}

    def step(self) -> bool:
        """A slice; returns whether there is more."""
        trees = self._trees
        table = self._left[0]
        page, more = trees._store.scan(table, self._partition, self._after, 4 * SLICE_ROWS)
        digest = trees._mergeables[table].digest
        for key, blob in page:
            if leaf_of(key) in self._leaves:
                self.found[table, key] = digest(blob)
            self._after = key
        if not more:
            self._left.pop(0)
            self._after = ""
        return bool(self._left)


def pack_leaves(leaves: list[int]) -> bytes:
    """As sent: 2 KiB."""
    return b"".join(leaf.to_bytes(LEAF_BYTES, "big") for leaf in leaves)


def root_of(leaves: list[int]) -> bytes:
    """The hash of all leaves."""
    return blake2b(pack_leaves(leaves), digest_size=8).digest()


def differing(leaves: list[int], packed: bytes) -> list[int]:
    """The leaves that are not the same as those of another owner."""
    other = [int.from_bytes(packed[at : at + LEAF_BYTES], "big") for at in range(0, len(packed), LEAF_BYTES)]
    return [leaf for leaf in range(LEAVES) if len(other) != LEAVES or leaves[leaf] != other[leaf]]


assert PARTITIONS == 256, "the first byte of a token is the partition, the second the leaf"
