"""Buckets in which the last writer wins: by clocks that differ, and that are wrong."""

from random import Random
from typing import Any

import pytest

from cluster.errors import Usage, WrongClock
from cluster.layout import PARTITIONS, partition_of
from cluster.replication.mergeable import TABLE_KV
from cluster.simulation.fleet import Fleet
from cluster.wire.admin import AdminAnswer
from cluster.wire.kv import Keys, KeysFound, Put, PutDone
from tests.simulation.clients import client_of
from tests.simulation.lastwrites import LastWrites
from tests.simulation.nemesis import CONDITIONS, STEPS, Nemesis
from tests.simulation.safeguards.scenes import acknowledged, boot, got, read, settle
from tests.simulation.test_buckets import created


def lww(seed: int, count: int = 5) -> Fleet:
    fleet = Fleet.running(seed, count)
    created(fleet, "n1", "last", resolver="lww")
    fleet.world.run_for(0.2)
    return fleet


def ahead_s(fleet: Fleet) -> dict[str, int]:
    return {name: round(node.peer_clocks.ahead_s) for name, node in fleet.nodes.items()}


def test_each_node_has_the_median_of_its_peers_clocks(seed: int) -> None:
    with lww(seed) as fleet:
        assert set(ahead_s(fleet).values()) == {0}
        fleet.world.set_clock("n3", skew=90.0)
        assert ahead_s(fleet) == {"n1": 0, "n2": 0, "n3": 90, "n4": 0, "n5": 0}, "its own jump shows at once"
        fleet.world.set_clock("n1", skew=-30.0)
        fleet.world.run_for(5.0)
        assert ahead_s(fleet) == {"n1": -30, "n2": 0, "n3": 90, "n4": 0, "n5": 0}
        assert abs(fleet.nodes["n3"].peer_clocks.wall_s() - fleet.nodes["n2"].env.clock.wall()) < 0.1
        for name, node in fleet.nodes.items():
            if name == "n3":
                with pytest.raises(WrongClock, match=r"the clock of n3 is .* s ahead of those of its peers"):
                    node.peer_clocks.check()
            else:
                node.peer_clocks.check()
        fleet.crash("n3")
        boot(fleet, "n3")
        fleet.until(lambda: fleet.converged(), 5.0)
        fleet.world.run_for(0.2)
        with pytest.raises(WrongClock):
            fleet.nodes["n3"].peer_clocks.check()
        fleet.world.set_clock("n3", skew=0.0)
        fleet.nodes["n3"].peer_clocks.check()


def test_of_three_the_two_whose_clocks_agree_go_on(seed: int) -> None:
    with lww(seed, 3) as fleet:
        fleet.world.set_clock("n2", skew=300.0)
        fleet.world.run_for(5.0)
        assert ahead_s(fleet) == {"n1": 0, "n2": 300, "n3": 0}


def test_nobody_reads_a_clock_that_no_bucket_needs(seed: int) -> None:
    """A fault of a clock counts what it touched."""
    with Fleet.running(seed, 3) as fleet:
        created(fleet, "n1", "orders")
        fleet.world.set_clock("n3", skew=90.0)
        fleet.world.run_for(5.0)
        assert set(ahead_s(fleet).values()) == {0}


def empty(fleet: Fleet, via: str) -> dict[str, Any]:
    result = fleet.wait(fleet.ask(via, "empty-bucket", {"name": "last"}), 10.0)
    assert isinstance(result.answer, AdminAnswer), result.error
    value: dict[str, Any] = result.answer.value
    return value


def keys(fleet: Fleet, prefix: str = "last/") -> list[str]:
    """All that the nodes list."""
    asked = [fleet._ask(name, Keys(prefix, "", 1000), 5.0) for name in fleet.up]
    found: dict[str, None] = {}
    for one in asked:
        answer = fleet.wait(one).answer
        assert isinstance(answer, KeysFound) and not answer.after
        found |= dict.fromkeys(answer.keys)
    return sorted(found)


def rows(fleet: Fleet) -> int:
    partitions = range(PARTITIONS)
    return sum(node.store.count(TABLE_KV, partition) for node in fleet.nodes.values() for partition in partitions)


def bring_back(fleet: Fleet, name: str, key: str, row: bytes) -> None:
    """A copy of before that comes late."""
    node = fleet.nodes[name]
    partition = partition_of(key)
    merged = node.replication.context.merge_in(TABLE_KV, partition, key, row)
    node.store.put(TABLE_KV, partition, key, merged, None)


def test_the_last_write_wins_and_a_delete_is_one(seed: int) -> None:
    with lww(seed) as fleet:
        for name in fleet.names:
            done = acknowledged(fleet, name, "last/k", name.encode())
            assert done.outcome == "ok" and done.siblings == 1
            assert [read(fleet, other, "last/k") for other in fleet.names] == [[name.encode()]] * 5
        assert keys(fleet) == ["last/k"]
        acknowledged(fleet, "n3", "last/k", b"", deleted=True)
        assert read(fleet, "n1", "last/k") == [] and keys(fleet) == []
        acknowledged(fleet, "n4", "last/k", b"again")
        assert read(fleet, "n1", "last/k") == [b"again"]
        settle(fleet)
        assert len({fleet.stored(name, "last/k") for name in fleet.owners("last/k")}) == 1


def test_who_has_read_wins_whatever_the_clocks_say(seed: int) -> None:
    """Also over what its coordinator does not hold."""
    with lww(seed) as fleet:
        owners = fleet.owners("last/k")
        fleet.world.set_clock(owners[0], skew=50.0)
        fleet.world.run_for(5.0)
        fleet.world.partition([[owners[0], owners[1]], [name for name in fleet.names if name not in owners[:2]]])
        acknowledged(fleet, owners[0], "last/k", b"first")
        seen = got(fleet, owners[1], "last/k")
        assert seen.siblings == [b"first"]
        acknowledged(fleet, owners[2], "last/k", b"second", context=seen.context)
        fleet.world.heal()
        settle(fleet)
        assert read(fleet, "n1", "last/k", strict=True) == [b"second"]
        blind = acknowledged(fleet, owners[1], "last/k", b"third")
        assert blind.outcome == "ok" and read(fleet, "n1", "last/k", strict=True) == [b"third"]


def test_what_is_written_wins_over_what_is_there_though_all_clocks_were_ahead(seed: int) -> None:
    """By more than a clock follows: else nothing could replace it for two hours."""
    with lww(seed) as fleet:
        owners = fleet.owners("last/k")
        for name in fleet.names:
            fleet.world.set_clock(name, skew=7200.0)
        fleet.world.run_for(5.0)
        acknowledged(fleet, owners[0], "last/k", b"first")
        settle(fleet)
        for name in fleet.names:
            fleet.world.set_clock(name)
        fleet.world.run_for(5.0)
        assert acknowledged(fleet, owners[1], "last/k", b"second").coordinator == owners[1]
        assert read(fleet, "n1", "last/k") == [b"second"]
        acknowledged(fleet, owners[2], "last/k", b"", deleted=True)
        assert read(fleet, "n1", "last/k") == []


def test_a_clock_that_is_wrong_stamps_nothing_and_another_owner_does(seed: int) -> None:
    with lww(seed) as fleet:
        owners = fleet.owners("last/k")
        other = next(name for name in fleet.names if name not in owners)
        fleet.world.set_clock(owners[0], skew=(-1) ** seed * 90.0)
        for change in ({}, {"deleted": True}):
            refused = fleet.wait(fleet.put(owners[0], "last/k", b"", **change)).error
            assert (
                isinstance(refused, WrongClock) and refused.definite and f"the clock of {owners[0]}" in refused.message
            )
        assert acknowledged(fleet, other, "last/k", b"v").coordinator == owners[1]
        asked = Put("last/k", b"w", "operation-of-a-client")
        done = fleet.wait(client_of(fleet).ask(asked, key="last/k")).answer
        assert isinstance(done, PutDone) and done.coordinator != owners[0], "a client goes to another owner"
        assert read(fleet, owners[0], "last/k") == [b"w"], "it reads"
        assert acknowledged(fleet, owners[0], "k", b"v").outcome == "ok", "and what is not stamped it writes"
        error = fleet.wait(fleet.ask(owners[0], "empty-bucket", {"name": "last"})).error
        assert isinstance(error, WrongClock)
        assert any(event["kind"] == "clock.wrong" for event in fleet.nodes[owners[0]].events.since())
        fleet.world.set_clock(owners[0])
        acknowledged(fleet, owners[0], "last/k", b"w")


def test_two_sides_that_do_not_see_each_other_end_with_the_later_write(seed: int) -> None:
    with lww(seed) as fleet:
        sides = fleet.world.random("sides")
        last: dict[str, bytes] = {}
        fleet.fault("partition", groups=[["n1", "n2"], ["n3", "n4", "n5"]])
        fleet.world.run_for(5.0)
        for key in (f"last/{number}" for number in range(20)):
            for via in sides.sample(["n1", "n4"], 2):
                if isinstance(fleet.wait(fleet.put(via, key, via.encode())).answer, PutDone):
                    last[key] = via.encode()
                fleet.world.run_for(0.01)
        fleet.heal()
        settle(fleet)
        assert len(last) == 20
        for key, value in last.items():
            assert read(fleet, "n2", key, strict=True) == [value]
            assert len({fleet.stored(name, key) for name in fleet.owners(key)}) == 1


def test_what_a_bucket_with_a_time_to_live_holds_ends_everywhere_and_stays_gone(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        created(fleet, "n1", "last", resolver="lww", ttl_s=30.0)
        for number in range(10):
            acknowledged(fleet, "n2", f"last/{number}", b"v")
        fleet.world.run_for(20.0)
        acknowledged(fleet, "n3", "last/0", b"w")
        kept = [(name, fleet.stored(name, "last/5")) for name in fleet.owners("last/5")]
        assert len(keys(fleet)) == 10
        fleet.world.run_for(11.0)
        assert keys(fleet) == ["last/0"] and read(fleet, "n1", "last/5") == [] and read(fleet, "n1", "last/0") == [b"w"]
        fleet.world.run_for(20.0)
        assert keys(fleet) == []
        fleet.until(lambda: rows(fleet) == 0, 400.0)
        for name, row in kept:
            assert row is not None
            bring_back(fleet, name, "last/5", row)
        assert read(fleet, "n1", "last/5") == []
        fleet.until(lambda: rows(fleet) == 0, 400.0)
        acknowledged(fleet, "n1", "last/5", b"new")
        assert read(fleet, "n3", "last/5") == [b"new"]


def test_emptied_a_bucket_shows_nothing_of_before_and_all_of_after(seed: int) -> None:
    with lww(seed) as fleet:
        created(fleet, "n1", "other", resolver="lww")
        fleet.world.set_clock("n4", skew=40.0)
        for number in range(20):
            acknowledged(fleet, fleet.names[number % 5], f"last/{number}", b"v")
        acknowledged(fleet, "n1", "other/k", b"v")
        row = fleet.stored(fleet.owners("last/7")[1], "last/7")
        assert row is not None
        assert empty(fleet, "n3")["late"] == []
        for name in fleet.names:
            assert all(read(fleet, name, f"last/{number}") == [] for number in range(20))
        assert keys(fleet) == [] and keys(fleet, "") == ["other/k"]
        for name in fleet.names:
            acknowledged(fleet, name, f"last/{name}", b"w")
            assert read(fleet, "n1", f"last/{name}") == [b"w"], "whatever its clock says"
        acknowledged(fleet, "n2", "last/3", b"w")
        assert read(fleet, "n5", "last/3") == [b"w"]
        fleet.until(lambda: rows(fleet) == 3 * 7, 60.0)
        bring_back(fleet, fleet.owners("last/7")[1], "last/7", row)
        assert read(fleet, "n1", "last/7") == [] and "last/7" not in keys(fleet)
        fleet.crash("n2")
        boot(fleet, "n2")
        settle(fleet)
        assert len(keys(fleet)) == 6


def test_an_object_that_was_written_while_the_bucket_was_made_is_read_and_then_replaced(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        acknowledged(fleet, "n1", "last/k", b"object")
        rows = {name: fleet.stored(name, "last/k") for name in fleet.owners("last/k")}
        acknowledged(fleet, "n1", "last/k", b"", deleted=True, context=got(fleet, "n1", "last/k").context)
        created(fleet, "n1", "last", resolver="lww")
        for name, row in rows.items():
            assert row is not None
            fleet.nodes[name].store.put(TABLE_KV, partition_of("last/k"), "last/k", row, None)
        assert read(fleet, "n2", "last/k") == [b"object"]
        acknowledged(fleet, "n3", "last/k", b"register")
        assert read(fleet, "n4", "last/k") == [b"register"]
        acknowledged(fleet, "n3", "last/k", b"", deleted=True)
        assert read(fleet, "n4", "last/k") == []


def test_a_retry_is_found_where_it_began_and_refused_with_another_value(seed: int) -> None:
    with lww(seed) as fleet:
        owners = fleet.owners("last/k")
        fleet.world.partition([[owners[0]], [name for name in fleet.names if name != owners[0]]])
        asked = fleet.put(owners[0], "last/k", b"v", operation="once")
        maybe = fleet.wait(asked).answer
        assert isinstance(maybe, PutDone) and (maybe.outcome, maybe.coordinator) == ("maybe", owners[0])
        fleet.world.heal()
        settle(fleet)
        other: dict[str, Any] = {"operation": "once", "coordinator": owners[0]}
        wrong = fleet.wait(fleet.put(owners[1], "last/k", b"w", **other)).error
        assert isinstance(wrong, Usage)
        again = acknowledged(fleet, owners[1], "last/k", b"v", **other)
        assert again.outcome == "ok" and read(fleet, "n1", "last/k") == [b"v"]
        acknowledged(fleet, "n1", "last/k", b"later")
        acknowledged(fleet, owners[1], "last/k", b"v", **other)
        assert read(fleet, "n1", "last/k") == [b"later"], "it was replaced since"


class Skews(Nemesis):
    """Its clocks differ, some of them by more than may stamp."""

    def skew(self) -> None:
        victim, apart_ms = self.random.choice(self.running), self.random.choice((100.0, 25_000.0, 3_600_000.0))
        self.fleet.fault("clock", nodes=[victim], skew_ms=self.random.uniform(-apart_ms, apart_ms))


CONDITIONS[Skews.skew] = lambda self: bool(self.running) and self._count("clock") < 2  # type: ignore[index]


def skewed(seed: int, *, ttl_s: float = 0.0, down_max: int = 2, rounds: int = 14) -> LastWrites:
    """Users, faults and clocks that differ, then peace, then the account."""
    with Fleet.running(seed, 5) as fleet:
        created(fleet, "n1", "last", resolver="lww", ttl_s=ttl_s)
        random = Random(f"{seed}/last")
        steps: list[Any] = [*STEPS, Skews.skew, Skews.skew, Skews.skew]
        nemesis, account = Skews(fleet, random, down_max=down_max, steps=steps), LastWrites(fleet, random, ttl_s)
        for _ in range(rounds):
            nemesis.act()
            for _ in range(16):
                account.act(nemesis)
                fleet.world.run_for(random.choice((0.0, 0.01, 0.05, 0.3)))
        nemesis.end()
        fleet.world.run_for(1.5)
        settle(fleet, 120.0)
        account.check()
        assert not fleet.fatal
        return account


def test_the_greatest_write_is_kept_whatever_clocks_and_nodes_do(seed: int) -> None:
    account = skewed(seed)
    assert account.checked > 5 and sum(len(writes) for writes in account.writes.values()) > 40


def test_the_same_of_writes_that_expire(seed: int) -> None:
    skewed(seed, ttl_s=2.0)
