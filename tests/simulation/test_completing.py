"""Owners that lost data come to an end: complete again, or waiting for somebody whom they name; and nobody ever denies
what was acknowledged and is still there. For every N/R/W that makes a difference."""

from random import Random
from typing import Any
from unittest.mock import patch

import pytest

from cluster.config import node_settings
from cluster.errors import Damaged
from cluster.replication.context import ReplicationContext
from cluster.replication.transfer import RowGiver
from cluster.simulation.fleet import Fleet
from cluster.wire.kv import Got, PutDone
from tests.simulation.safeguards.scenes import acknowledged, boot, crash_and_wait, got, read, settle, wipe

SHAPES = ["1/1/1", "2/1/1", "3/1/1", "3/3/1", "3/2/2", "3/1/3", "5/3/3"]
COMPLETE_S = 2.0
"""How long a node with little data may take, with all its peers there (it took 32 s, whatever the data)."""


def recovering(fleet: Fleet) -> list[str]:
    """The nodes that lost data and are not complete."""
    return [name for name in fleet.up if fleet.nodes[name].replication.context.status.recovering]


def said(fleet: Fleet, name: str, kind: str) -> list[str]:
    """The causes of a node's events of a kind."""
    return [event["cause"] for event in fleet.nodes[name].events.since(kind=kind)]


def copies(fleet: Fleet, key: str) -> int:
    """How many owners hold a key."""
    return sum(fleet.stored(name, key) is not None for name in fleet.owners(key) if name in fleet.nodes)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_wiped_node_is_complete_at_once_and_says_what_may_be_lost(seed: int, shape: str) -> None:
    with Fleet.running(seed, 5, settings=node_settings(replication=shape)) as fleet:
        random = Random(f"{seed}/{shape}")
        written = {}
        for number in range(60):
            key = f"key-{number}"
            written[key] = acknowledged(fleet, random.choice(fleet.up), key, b"precious").outcome
        settle(fleet)
        fleet.world.run_for(1.5)
        victim = random.choice(fleet.names)
        wipe(fleet, victim)
        alone = [key for key in written if copies(fleet, key) == 0]
        boot(fleet, victim)
        assert said(fleet, victim, "owner.recovering"), "the loss was not noticed"
        assert fleet.until(lambda: not recovering(fleet), 60.0) < COMPLETE_S
        settle(fleet)
        assert bool(alone) == shape.startswith("1/"), "with one copy, what was there is gone; with more it is not"
        sure = shape in ("3/2/2", "3/1/3", "5/3/3")  # elsewhere it cannot know that nothing is missing
        assert bool(said(fleet, victim, "owner.may-have-lost")) != sure
        for key in written:
            assert read(fleet, random.choice(fleet.up), key) == ([] if key in alone else [b"precious"])
        assert len(said(fleet, victim, "owner.may-have-lost")) <= 1, "it is said once"


@pytest.mark.parametrize("shape", SHAPES)
def test_two_damaged_logs_come_to_an_end(seed: int, shape: str) -> None:
    """One after the other, while the others are up all the time."""
    with Fleet.running(seed, 5, settings=node_settings(replication=shape)) as fleet:
        keys = [f"key-{number}" for number in range(40)]
        for key in keys:
            acknowledged(fleet, fleet.owners(key)[0], key, b"precious")
        settle(fleet)
        fleet.world.run_for(1.5)
        victims = fleet.names[1:3]
        for victim in victims:
            fleet.crash(victim)
            disk = fleet.world.disk(victim)
            disk.flip_byte(
                max((f"log/{name}" for name in disk.names("log")), key=lambda path: len(disk.read(path))), 18
            )
            boot(fleet, victim)
            assert said(fleet, victim, "owner.recovering"), "the damage was not noticed"
        fleet.until(fleet.settled, 60.0)
        for key in keys:
            found = got(fleet, "n1", key)
            assert found.siblings == [b"precious"] or shape.startswith("1/")
            assert not found.degraded
        assert not got(fleet, "n1", "nothing").siblings, "and what was never written is not found"


def test_whoever_is_down_is_waited_for_and_named_through_restarts(seed: int) -> None:
    """A wiped node waits for an owner that is down, is killed while it waits, and is wiped again."""
    with Fleet.running(seed, 3) as fleet:
        acknowledged(fleet, "n1", "cart", b"book", strict=True)
        fleet.world.run_for(1.5)
        crash_and_wait(fleet, "n3")
        acknowledged(fleet, "n1", "later", b"pen", strict=True)
        for again in (wipe, Fleet.crash, wipe, Fleet.crash):
            again(fleet, "n2")
            boot(fleet, "n2")
            fleet.world.run_for(5.0)
            assert recovering(fleet) == ["n2"]
            health = str(fleet.wait(fleet.ask("n2", "health")).answer)
            assert "waits for n3" in health and "dsectl restart n3" in health, health
            status = str(fleet.wait(fleet.ask("n2", "repair")).answer)
            assert "'waits_for': {'n3': 256}" in status, status
            denial = fleet.wait(fleet.get("n2", "nothing")).answer
            assert not isinstance(denial, Got), "not found, with one vote"
        boot(fleet, "n3")
        fleet.until(lambda: not recovering(fleet), 10.0)
        settle(fleet)
        for via in fleet.names:
            assert read(fleet, via, "cart", strict=True) == [b"book"] and read(fleet, via, "later") == [b"pen"]


def test_all_machines_reboot_at_once(seed: int) -> None:
    """Under `interval` each may have lost its last second, and none can tell: all are merged with all, and vote."""
    with Fleet.running(seed, 5) as fleet:
        keys = [f"key-{number}" for number in range(40)]
        for key in keys:
            acknowledged(fleet, "n1", key, b"precious")
        settle(fleet)
        fleet.world.run_for(1.5)
        for name in fleet.names:
            fleet.power_loss(name)
        boot(fleet, *fleet.names)
        assert all(said(fleet, name, "owner.recovering") for name in fleet.names)
        fleet.until(fleet.settled, 60.0)
        assert all(said(fleet, name, "owner.may-have-lost") or said(fleet, name, "owner.complete") for name in fleet.up)
        for key in keys:
            assert read(fleet, "n3", key, strict=True) == [b"precious"]
        assert not got(fleet, "n2", "nothing").siblings


def test_who_was_told_of_lost_hints_is_not_told_again(seed: int) -> None:
    """Not when it restarts, not when the node that lost them restarts; and it costs each owner one completion."""
    with Fleet.running(seed, 4) as fleet:
        acknowledged(fleet, "n1", "cart", b"book")
        settle(fleet)
        fleet.world.run_for(1.5)
        wipe(fleet, "n4")
        boot(fleet, "n4")
        settle(fleet)
        for name in ("n1", "n2"):
            fleet.crash(name)
            boot(fleet, name)
            settle(fleet)
            assert any("lost hint records" in cause for cause in said(fleet, name, "owner.recovering"))
        fleet.crash("n4")
        boot(fleet, "n4")
        settle(fleet)
        assert fleet.nodes["n4"].store.hints_lost, "n3 has not asked yet"
        for name in ("n1", "n2"):
            fleet.crash(name)
            boot(fleet, name)
            settle(fleet)
            assert not said(fleet, name, "owner.recovering"), "it was told before"
        fleet.crash("n3")
        boot(fleet, "n3")
        settle(fleet)
        fleet.until(lambda: not fleet.nodes["n4"].store.hints_lost, 5.0)


def test_a_stall_of_a_newborn_cluster_is_nothing_to_catch_up(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        fleet.world.pause("n3")
        fleet.world.run_for(0.6)
        fleet.world.resume("n3")
        fleet.world.run_for(2.0)
        assert fleet.nodes["n3"].events.since(kind="node.stalled"), "it did not stall: nothing was tested"
        refuted = fleet.nodes["n3"].events.since(kind="member.refuted")
        assert bool(said(fleet, "n3", "owner.catching-up")) == bool(refuted), "nothing was ever written"
        assert fleet.nodes["n3"].replication.context.status.state() == "running"


def test_a_stall_that_misses_a_first_write_is_caught_up_and_said(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        owner = fleet.owners("cart")[2]
        fleet.world.pause(owner)
        put = fleet.wait(fleet.put(fleet.owners("cart")[0], "cart", b"book")).answer
        assert isinstance(put, PutDone)
        fleet.world.run_for(1.5)
        fleet.world.resume(owner)
        fleet.until(lambda: fleet.stored(owner, "cart") is not None, 10.0)
        settle(fleet)
        assert said(fleet, owner, "owner.catching-up")


def test_a_source_that_gives_nothing_is_named_and_can_be_gone_without(seed: int) -> None:
    """It lives, and refuses every scan."""
    with Fleet.running(seed, 3) as fleet:
        acknowledged(fleet, "n1", "cart", b"book", strict=True)
        settle(fleet)
        fleet.world.run_for(1.5)
        wipe(fleet, "n2")
        on_scan = RowGiver.on_scan

        def refuse(self: RowGiver, inbound: Any) -> None:
            if self.context.me == "n3":
                inbound.fail(Damaged("its disk cannot be read"))
            else:
                on_scan(self, inbound)

        with patch.object(RowGiver, "on_scan", refuse):
            fleet.crash("n3")
            boot(fleet, "n2", "n3")
            fleet.world.run_for(5.0)
            health = str(fleet.wait(fleet.ask("n2", "health")).answer)
            assert "waits for n3 (its disk cannot be read)" in health, health
            fleet.wait(fleet.ask("n2", "accept-loss"))
            fleet.until(lambda: "n2" not in recovering(fleet), 5.0)
        assert read(fleet, "n2", "cart") == [b"book"]


def test_a_row_that_cannot_be_merged_holds_up_no_other(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        for number in range(20):
            acknowledged(fleet, "n1", f"key-{number}", b"precious")
        settle(fleet)
        fleet.world.run_for(1.5)
        merge_in = ReplicationContext.merge_in

        def fail(self: ReplicationContext, table: int, partition: int, key: str, blob: bytes) -> bytes:
            if key == "key-7":
                raise Damaged("it cannot be merged")
            return merge_in(self, table, partition, key, blob)

        wipe(fleet, "n2")
        with patch.object(ReplicationContext, "merge_in", fail):
            boot(fleet, "n2")
            fleet.until(lambda: not recovering(fleet), 10.0)
        bad = fleet.nodes["n2"].events.since(kind="owner.bad-row")
        assert {event["key"] for event in bad} == {"key-7"}
        assert all(fleet.stored("n2", f"key-{number}") for number in range(20) if number != 7)
