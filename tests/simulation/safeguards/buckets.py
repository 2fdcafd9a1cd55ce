"""Buckets: defined once for all and kept, and of the writes that are compared by their stamps the right one stays."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from cluster.chain import entry as chain_entry
from cluster.chain.bucket import Bucket
from cluster.chain.entry import ChainEntry
from cluster.errors import ClusterError
from cluster.kv import registers, updates
from cluster.kv.peerclocks import PeerClocks
from cluster.kv.reads import Reads
from cluster.layout import PARTITIONS
from cluster.node import buckets as node_buckets
from cluster.node import layouts as node_layouts
from cluster.replication.collecting import Collecting
from cluster.replication.mergeable import TABLE_KV
from cluster.simulation.fleet import Fleet
from cluster.wire.admin import AdminAnswer
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.scenes import acknowledged, got, read, settle


def last_wins(seed: int, count: int = 5, ttl_s: float = 0.0) -> Fleet:
    """A fleet with a bucket `last`, whose nodes have read each other's clocks."""
    fleet = Fleet.running(seed, count)
    define(fleet, "n1", "last", resolver="lww", ttl_s=ttl_s)
    fleet.world.run_for(0.2)
    return fleet


def define(fleet: Fleet, via: str, name: str, **options: object) -> None:
    result = fleet.wait(fleet.ask(via, "create-bucket", {"name": name, **options}), 10.0)
    assert isinstance(result.answer, AdminAnswer), result.error


def sides(fleet: Fleet, key: str) -> tuple[str, str]:
    """Cut the fleet in two, with two owners of the key on one side, and on the other one and two that can take the
    place of another: an owner of each side."""
    owners = fleet.owners(key)
    fleet.world.partition([owners[:2], [name for name in fleet.names if name not in owners[:2]]])
    return owners[0], owners[2]


def members_change_after_a_bucket_was_defined(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        define(fleet, "n1", "orders", w=3)
        assert isinstance(fleet.wait(fleet.add(via="n2")).answer, AdminAnswer)
        fleet.join("n6", via="n2")
        settle(fleet)
        assert all(node.buckets.of("orders/7").w == 3 for node in fleet.nodes.values())


def drop_buckets_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = chain_entry.switched

    def switched(entry: ChainEntry) -> ChainEntry:
        return replace(kept(entry), buckets={})

    monkeypatch.setattr(node_layouts, "switched", switched)


def two_nodes_define_the_same_at_once(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        both = [fleet.ask(name, "create-bucket", {"name": "orders", "w": 1}) for name in ("n1", "n4")]
        for one in both:
            assert isinstance(fleet.wait(one, 10.0).answer, AdminAnswer), one.error
        assert [entry.what for entry in fleet.nodes["n2"].layouts.chain.entries[1:]] == ["create bucket orders"]


def define_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = chain_entry.with_bucket

    def with_bucket(entry: ChainEntry, name: str, bucket: Bucket) -> ChainEntry:
        made = kept(entry, name, bucket)
        return replace(entry, slot=entry.slot + 1, what="again") if made is entry else made

    monkeypatch.setattr(node_buckets, "with_bucket", with_bucket)


def a_reader_writes_where_its_value_is_not(seed: int) -> None:
    """What it has read came from a clock that is ahead."""
    with last_wins(seed) as fleet:
        fleet.world.set_clock(fleet.owners("last/k")[0], skew=50.0)
        fleet.world.run_for(5.0)
        ahead, behind = sides(fleet, "last/k")
        acknowledged(fleet, ahead, "last/k", b"first")
        acknowledged(fleet, behind, "last/k", b"second", context=got(fleet, ahead, "last/k").context)
        fleet.world.heal()
        settle(fleet)
        assert read(fleet, "n1", "last/k", strict=True) == [b"second"]


def stamp_by_the_clock_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registers, "decode_cell_context", lambda blob: None)


def a_reader_writes_what_it_found_deleted(seed: int) -> None:
    with last_wins(seed) as fleet:
        acknowledged(fleet, "n1", "last/k", b"first")
        fleet.world.set_clock(fleet.owners("last/k")[0], skew=50.0)
        fleet.world.run_for(5.0)
        ahead, behind = sides(fleet, "last/k")
        acknowledged(fleet, ahead, "last/k", b"", deleted=True)
        seen = got(fleet, ahead, "last/k")
        assert seen.siblings == []
        acknowledged(fleet, behind, "last/k", b"second", context=seen.context)
        fleet.world.heal()
        settle(fleet)
        assert read(fleet, "n1", "last/k", strict=True) == [b"second"]


def give_no_context_of_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Reads._shown_cell

    def shown(self: Reads, body: object, cell: object) -> object:
        found = kept(self, body, cell)  # type: ignore[arg-type]
        return None if found is not None and not found[0] else found

    monkeypatch.setattr(Reads, "_shown_cell", shown)


def an_owner_is_cut_off_whose_clock_is_far_ahead(seed: int) -> None:
    """What others write later, and is acknowledged, is not lost to what it would have written."""
    with last_wins(seed) as fleet:
        fleet.world.set_clock(fleet.owners("last/k")[0], skew=600.0)
        ahead, other = sides(fleet, "last/k")
        fleet.wait(fleet.put(ahead, "last/k", b"early"))
        acknowledged(fleet, other, "last/k", b"late")
        fleet.world.heal()
        settle(fleet)
        assert read(fleet, "n1", "last/k", strict=True) == [b"late"]


def trust_every_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PeerClocks, "check", lambda self: None)


def a_bucket_is_emptied_by_a_node_that_is_behind(seed: int) -> None:
    with last_wins(seed) as fleet:
        fleet.world.set_clock("n4", skew=40.0)
        fleet.world.set_clock("n2", skew=-15.0)
        for number in range(20):
            acknowledged(fleet, fleet.names[number % 5], f"last/{number}", b"v")
        result = fleet.wait(fleet.ask("n2", "empty-bucket", {"name": "last"}), 10.0)
        assert isinstance(result.answer, AdminAnswer), result.error
        assert all(read(fleet, "n1", f"last/{number}") == [] for number in range(20))
        for number, via in enumerate(fleet.names):
            acknowledged(fleet, via, f"last/{number}", b"w")
            assert read(fleet, "n3", f"last/{number}") == [b"w"]


def ask_nobody_for_a_stamp(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(self: PeerClocks, peers: list[str], deadline: float, done: Callable[[int], None]) -> None:
        done(0)

    monkeypatch.setattr(PeerClocks, "ask", ask)


def write_below_what_was_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (registers, updates):
        kept = module.present
        monkeypatch.setattr(module, "present", lambda cell, base, now_ms, kept=kept: kept(cell, (0, "", 0), now_ms))


def a_node_judges_ends_by_a_clock_that_is_wrong(seed: int) -> None:
    """It is the only one that thinks that it is over."""
    with last_wins(seed, ttl_s=600.0) as fleet:
        acknowledged(fleet, "n1", "last/k", b"v")
        wrong = fleet.owners("last/k")[0]
        fleet.world.set_clock(wrong, skew=3600.0)
        assert all(read(fleet, name, "last/k") == [b"v"] for name in fleet.names)
        fleet.world.run_for(70.0)
        settle(fleet)
        assert all(fleet.stored(name, "last/k") for name in fleet.owners("last/k"))


def judge_by_the_own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PeerClocks, "wall_s", lambda self: self._env.clock.wall())


def rows_expire_and_nobody_writes(seed: int) -> None:
    with last_wins(seed, 3, ttl_s=5.0) as fleet:
        for number in range(20):
            acknowledged(fleet, "n1", f"last/{number}", b"v")

        def rows() -> int:
            stores = [node.store for node in fleet.nodes.values()]
            return sum(store.count(TABLE_KV, partition) for store in stores for partition in range(PARTITIONS))

        assert rows() == 60
        fleet.until(lambda: rows() == 0, 160.0)


def forget_when_rows_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Collecting, "_walk_ended", lambda self: None)


def a_bucket_is_asked_for_over_keys(seed: int) -> None:
    """They lie at other nodes than the one that is asked."""
    with Fleet.running(seed, 5) as fleet:
        acknowledged(fleet, "n1", "orders/7", b"book")
        asked = next(name for name in fleet.names if name not in fleet.owners("orders/7"))
        error = fleet.wait(fleet.ask(asked, "create-bucket", {"name": "orders", "resolver": "lww"}), 10.0).error
        assert isinstance(error, ClusterError) and "orders/7" in error.message


def look_at_own_keys_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(self: node_buckets.BucketChanges, prefix: str, deadline: float, done: Callable[[list[str]], None]) -> None:
        node = self._node
        node.kv.reading.list_keys(prefix, "", 1, deadline, lambda keys, after, error: done(keys))

    monkeypatch.setattr(node_buckets.BucketChanges, "_look", look)


SAFEGUARDS = [
    Safeguard(
        "every entry keeps the buckets",
        "A bucket that was defined stays defined, whatever is decided after it.",
        drop_buckets_at_the_end,
        members_change_after_a_bucket_was_defined,
    ),
    Safeguard(
        "the same definition is no change",
        "A bucket that two nodes are asked for at once is made once, and both answer with it.",
        define_it_again,
        two_nodes_define_the_same_at_once,
        range(1, 9),
    ),
    Safeguard(
        "all members are asked for keys",
        "No bucket is created over keys that exist.",
        look_at_own_keys_alone,
        a_bucket_is_asked_for_over_keys,
    ),
    Safeguard(
        "a stamp exceeds what its context has seen",
        "Who has read and then writes wins over what was read, whatever the clocks say.",
        stamp_by_the_clock_alone,
        a_reader_writes_where_its_value_is_not,
    ),
    Safeguard(
        "what is deleted has a context",
        "Who has read that a key is deleted and then writes wins over the deletion.",
        give_no_context_of_nothing,
        a_reader_writes_what_it_found_deleted,
    ),
    Safeguard(
        "a wrong clock gives no stamps",
        "A node whose clock is far from those of its peers does not win over what they acknowledge later.",
        trust_every_clock,
        an_owner_is_cut_off_whose_clock_is_far_ahead,
    ),
    Safeguard(
        "a bucket is emptied above all stamps",
        "Emptying a bucket ends all that was acknowledged before, whoever's clock stamped it.",
        ask_nobody_for_a_stamp,
        a_bucket_is_emptied_by_a_node_that_is_behind,
    ),
    Safeguard(
        "writes begin above the stamp of an emptied bucket",
        "What is acknowledged after a bucket was emptied is there, whoever's clock stamped it.",
        write_below_what_was_emptied,
        a_bucket_is_emptied_by_a_node_that_is_behind,
    ),
    Safeguard(
        "ends are judged by the clocks of all",
        "What has not expired is read at every node and removed at none, though one of them has a wrong clock.",
        judge_by_the_own_clock,
        a_node_judges_ends_by_a_clock_that_is_wrong,
    ),
    Safeguard(
        "rows that end are looked for",
        "What has expired takes no room for ever.",
        forget_when_rows_end,
        rows_expire_and_nobody_writes,
        range(1, 2),
    ),
]
