"""Digest trees follow what is written, whatever is written while they are made, and show where two of them differ."""

from collections.abc import Callable, Iterator
from hashlib import blake2b
from random import Random
from typing import Any

import pytest

from cluster.layout import partition_of
from cluster.replication import digests
from cluster.replication.digests import FOLLOWED_MAX, DigestTrees, differing, leaf_of, pack_leaves, root_of
from cluster.replication.mergeable import TABLE_HINTS, TABLE_KV


class Objects:
    """Objects are their own bytes."""

    def digest(self, blob: bytes) -> bytes:
        return blake2b(blob, digest_size=8).digest()


def nobody(changes: list[Any]) -> None:
    pass


class Rows:
    """Stands in for the store: rows by partition, and word of each change."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, int], dict[str, bytes]] = {}
        self.on_written: list[Callable[[list[Any]], None]] = []

    def put(self, key: str, value: bytes | None, table: int = TABLE_KV) -> None:
        rows = self.rows.setdefault((table, partition_of(key)), {})
        before = rows.get(key)
        if value is None:
            rows.pop(key, None)
        else:
            rows[key] = value
        for on_written in self.on_written:
            on_written([(table, partition_of(key), key, before)])

    def logged(self, table: int, partition: int, key: str) -> bytes | None:
        return self.rows.get((table, partition), {}).get(key)

    def scan(self, table: int, partition: int, after: str, limit: int) -> tuple[list[tuple[str, bytes]], bool]:
        found = sorted(row for row in self.rows.get((table, partition), {}).items() if row[0] > after)
        return found[:limit], len(found) > limit


KEYS = [key for key in (f"key-{number}" for number in range(60_000)) if partition_of(key) == 7]


def made() -> tuple[Rows, DigestTrees]:
    rows = Rows()
    trees = DigestTrees(rows, {TABLE_KV: Objects(), TABLE_HINTS: Objects()})  # type: ignore[arg-type, dict-item]
    return rows, trees


def built(trees: DigestTrees) -> list[int]:
    builder = trees.builder(7)
    while builder.step():
        pass
    tree = trees.tree(7)
    assert tree is not None
    return tree


@pytest.fixture
def random() -> Iterator[Random]:
    yield Random(1)


def test_a_tree_that_follows_equals_one_made_anew(random: Random) -> None:
    rows, trees = made()
    for key in KEYS[:100]:
        rows.put(key, b"first")
    built(trees)
    for _ in range(300):
        rows.put(random.choice(KEYS), random.choice([None, b"a", b"b"]))
        if random.random() < 0.1:
            trees.look()
    followed = trees.tree(7)
    again = DigestTrees(rows, {TABLE_KV: Objects()})  # type: ignore[arg-type, dict-item]
    assert followed == built(again)


def test_the_order_of_writes_does_not_matter() -> None:
    one, two = made(), made()
    for key in KEYS[:50]:
        one[0].put(key, b"v")
    for key in reversed(KEYS[:50]):
        two[0].put(key, b"old")
        two[0].put(key, b"v")
    assert root_of(built(one[1])) == root_of(built(two[1]))


def test_a_difference_is_found_in_its_leaf() -> None:
    one, two = made(), made()
    for key in KEYS[:200]:
        one[0].put(key, b"v")
        two[0].put(key, b"v")
    two[0].put(KEYS[3], b"other")
    two[0].put(KEYS[9], None)
    mine, theirs = built(one[1]), built(two[1])
    assert differing(mine, pack_leaves(theirs)) == sorted({leaf_of(KEYS[3]), leaf_of(KEYS[9])})
    rows = one[1].rows_of(7, [leaf_of(KEYS[3])])
    while rows.step():
        pass
    assert (TABLE_KV, KEYS[3]) in rows.found
    assert all(leaf_of(key) == leaf_of(KEYS[3]) for _, key in rows.found)


def test_two_values_that_change_places_are_a_difference() -> None:
    one, two = made(), made()
    pairs = [(a, b) for a in KEYS[:40] for b in KEYS[:40] if a < b and leaf_of(a) == leaf_of(b)]
    for (rows, _), values in ((one, (b"x", b"y")), (two, (b"y", b"x"))):
        for key, value in zip(pairs[0] if pairs else KEYS[:2], values, strict=True):
            rows.put(key, value)
    assert root_of(built(one[1])) != root_of(built(two[1]))


def test_a_write_while_a_tree_is_made_spoils_it() -> None:
    rows, trees = made()
    for key in KEYS[:200]:
        rows.put(key, b"v")
    builder = trees.builder(7)
    assert builder.step()
    rows.put(KEYS[0], b"behind the scan")
    while builder.step():
        pass
    assert trees.tree(7) is None, "it would not have that write"


def test_it_spoils_each_that_is_being_made() -> None:
    rows, trees = made()
    for key in KEYS[:200]:
        rows.put(key, b"v")
    builders = [trees.builder(7), trees.builder(7)]
    assert all(builder.step() for builder in builders)
    rows.put(KEYS[0], b"behind the scans")
    for builder in builders:
        while builder.step():
            pass
    assert trees.tree(7) is None


def test_more_than_can_be_followed_is_let_go_and_said() -> None:
    rows, trees = made()
    built(trees)
    changed: list[int] = []
    trees.on_changed = changed.extend
    for key in KEYS * 4:
        rows.put(key, b"v")
    assert trees.busy
    trees.look()
    assert trees.tree(7) is None and changed == [7]


def test_rows_that_are_ever_others_do_not_wait_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer a look than are let go at once, and more than are summed up."""
    monkeypatch.setattr(digests, "FOLLOWED_MAX", 150)
    monkeypatch.setattr(digests, "SLICE_ROWS", 8)
    rows, trees = made()
    rows.put(KEYS[0], b"v")
    built(trees)
    for number in range(1, len(KEYS)):
        rows.put(KEYS[number], b"v")
        rows.put(KEYS[number - 1], None)
        if number % 50 == 0:
            assert not trees.busy
            trees.look()
            assert len(trees._before) <= 150
    followed = trees.tree(7) or built(trees)
    trees.let_go()
    assert followed == built(trees)


def test_hints_are_no_rows_of_a_partition() -> None:
    rows, trees = made()
    before = root_of(built(trees))
    rows.put(KEYS[0], b"hint", TABLE_HINTS)
    tree = trees.tree(7)
    assert tree is not None and root_of(tree) == before


def test_of_a_flood_only_the_partitions_are_kept() -> None:
    rows, trees = made()
    rows.put(KEYS[0], b"v")
    built(trees)
    followed: list[Any] = []
    many: list[int] = []
    trees.on_rows, trees.on_many = followed.extend, many.extend
    for number in range(FOLLOWED_MAX + 1):
        rows.put(KEYS[0], str(number).encode())
    assert trees.busy
    assert trees.tree(7) is None, "made anew when it is wanted"
    assert followed == [] and many == [7] and not trees.busy
    rows.put(KEYS[1], b"v", table=TABLE_HINTS)
    assert built(trees) == built(trees) and len(followed) == 1


def test_a_builder_is_spoiled_by_a_flood_to_its_partition() -> None:
    rows, trees = made()
    builder = trees.builder(7)
    for number in range(FOLLOWED_MAX + 1):
        rows.put(KEYS[0], str(number).encode())
    while builder.step():
        pass
    assert builder.spoiled and trees.tree(7) is None


def test_a_pass_that_changed_nothing_is_no_change() -> None:
    rows, trees = made()
    before = list(built(trees))
    for on_written in rows.on_written:
        on_written([])
    assert trees.tree(7) == before
