"""The users' faults of disks and clocks, on simulated nodes: the same document, rules and receipts as on real ones."""

import pytest

from cluster.config import node_settings
from cluster.errors import StorageFull
from cluster.faults import Fault, add_fault, heal
from cluster.kv.objects import split
from cluster.replication.quorum import OK, OK_SLOPPY
from cluster.simulation.fleet import Fleet
from cluster.wire.admin import AdminAnswer
from cluster.wire.kv import Increment, PutDone, Updated

KEY = "cart"


def receipts(fleet: Fleet, id: str) -> dict[str, int]:
    """Where a fault was met, and how often, by the nodes that run."""
    found: dict[str, int] = {}
    for node in fleet.nodes.values():
        for where, count in node.faults.receipts().get(id, {}).items():
            found[where] = found.get(where, 0) + count
    return found


def test_a_full_disk_refuses_and_others_take_the_write(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        full = fleet.fault("disk-full", nodes=["n1"])
        fleet.until(lambda: fleet.nodes["n1"].faults.disk is not None)
        result = fleet.wait(fleet.put("n2", KEY, b"book"))
        assert result.error is None
        fleet.until(lambda: bool(fleet.nodes["n1"].store.full))
        assert receipts(fleet, full.id)["n1"] >= 1 and fleet.stored("n1", KEY) is None
        fleet.heal()
        fleet.until(lambda: not fleet.nodes["n1"].store.full)
        fleet.until(lambda: fleet.stored("n1", KEY) == fleet.stored("n2", KEY), timeout=120.0)


def test_a_node_that_no_command_reached_reads_the_faults_by_itself(seed: int) -> None:
    """As one whose disk is so slow that it does not answer in time, and which is to be healed."""
    with Fleet.running(seed, 3) as fleet:
        node = fleet.nodes["n1"]
        fleet.faults = add_fault(fleet.faults, Fault(kind="disk-slow", at="", nodes=["n1"], delay_ms=50.0))
        fleet.world.run_for(2.0)
        assert node.faults.disk is not None
        fleet.faults = heal(fleet.faults, None, "")
        fleet.world.run_for(2.0)
        assert node.faults.disk is None
        kinds = [event["kind"] for event in node.events.since(kind="fault.")]
        assert kinds == ["fault.begun", "fault.ended"], "each is said once"


def test_an_owner_whose_disk_is_full_leaves_writes_to_the_others_and_adds_nothing_to_clocks(seed: int) -> None:
    """It has to take a new name after each write that it could not keep, and a clock has room for so many."""
    with Fleet.running(seed, 3) as fleet:
        fleet.fault("disk-full", nodes=["n1"])
        fleet.until(lambda: fleet.nodes["n1"].faults.disk is not None)
        fleet.wait(fleet.put("n2", KEY, b"book"))
        fleet.until(lambda: bool(fleet.nodes["n1"].store.full))
        for number in range(20):
            put = fleet.wait(fleet.put("n1", KEY, b"%d" % number)).answer
            assert isinstance(put, PutDone) and put.outcome == OK and put.coordinator != "n1"
            counted = fleet.wait(fleet.update("n1", "hits", Increment(1))).answer
            assert isinstance(counted, Updated) and (counted.outcome, counted.value) == (OK, b"%d" % (number + 1))
        for key in (KEY, "hits"):
            versions, cell = split(fleet.stored("n2", key))
            assert len(versions.clock if cell is None else cell.clock) <= 3
        fleet.kill("n2")
        fleet.kill("n3")
        fleet.world.run_for(5.0)
        refused = fleet.wait(fleet.put("n1", KEY, b"pen"))
        assert refused.error is not None and refused.error.definite, "with nobody else there it says why itself"
        assert not fleet.nodes["n1"].reach.avoided("n1"), "it asks others, not itself"


def test_a_node_with_a_full_disk_cannot_start_until_it_is_healed(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        fleet.kill("n1")
        fleet.fault("disk-full", nodes=["n1"])
        fleet.start("n1")
        with pytest.raises(StorageFull, match=r"boot\.json"):
            fleet.until(fleet.converged)
        fleet.world.crash("n1")
        fleet.heal()
        fleet.start("n1")
        fleet.until(fleet.converged)


def test_an_append_to_a_slow_disk_holds_the_whole_node(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        late = fleet.fault("disk-slow", nodes=["n1"], delay_ms=200.0)
        fleet.until(lambda: fleet.nodes["n1"].faults.disk is not None)
        began = fleet.world.now
        written = fleet.put("n1", KEY, b"book")
        fleet.wait(written)
        assert written.error is None and fleet.world.now - began >= 0.2
        assert receipts(fleet, late.id)["n1"] >= 1
        assert fleet.wait(fleet.put("n2", "other", b"pen")).error is None, "two of three owners are quick"
        fleet.crash("n1")
        fleet.start("n1")
        fleet.until(fleet.converged)
        disk = fleet.nodes["n1"].faults.disk
        assert disk is not None and disk.delay_s() == 0.2, "read again at boot"
        fleet.heal()
        fleet.until(fleet.settled)


def test_a_sync_of_a_slow_disk_is_late_for_whoever_waits_for_it(seed: int) -> None:
    with Fleet.running(seed, 3, settings=node_settings(durability="always")) as fleet:
        for name in ("n2", "n3"):
            fleet.fault("disk-slow", nodes=[name], delay_ms=50.0)
        fleet.until(lambda: all(fleet.nodes[name].faults.disk for name in ("n2", "n3")))
        began = fleet.world.now
        fleet.wait(fleet.put("n1", KEY, b"book"))
        assert fleet.world.now - began >= 0.1, "an append and a sync of another owner"


def test_a_wrong_clock_stamps_and_is_not_followed_too_far(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        wrong = fleet.fault("clock", nodes=["n1"], skew_ms=3_600_000.0)
        clock = fleet.nodes["n1"].env.clock
        right, now = fleet.nodes["n2"].env.clock.wall(), clock.now()
        fleet.until(lambda: fleet.nodes["n1"].faults.skew_s == 3600.0)
        assert 3599 < clock.wall() - right < 3601 and clock.now() - now < 1.0
        fleet.wait(fleet.put("n1", KEY, b"book"))
        fleet.until(lambda: fleet.stored("n2", KEY) is not None)
        fleet.wait(fleet.put("n2", KEY, b"pen"))
        ahead = fleet.nodes["n2"].events.since(kind="clock.ahead")
        assert ahead and ahead[0]["key"] == KEY
        answer = fleet.wait(fleet.ask("n3", "explain", {"key": KEY})).answer
        assert isinstance(answer, AdminAnswer) and answer.value["held"]["ahead_s"] > 3500
        assert receipts(fleet, wrong.id)["n1"] >= 1
        fleet.heal()
        fleet.until(lambda: fleet.nodes["n1"].faults.skew_s == 0.0)
        assert abs(clock.wall() - fleet.nodes["n2"].env.clock.wall()) < 1.0


def test_a_stamp_within_the_bound_is_followed(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        fleet.fault("clock", nodes=["n1"], skew_ms=30_000.0)
        fleet.until(lambda: fleet.nodes["n1"].faults.skew_s == 30.0)
        fleet.wait(fleet.put("n1", KEY, b"book"))
        fleet.until(lambda: fleet.stored("n2", KEY) is not None)
        fleet.wait(fleet.put("n2", KEY, b"pen"))
        clocks = {name: node.kv.clock.last for name, node in fleet.nodes.items()}
        assert clocks["n2"] > clocks["n1"] and not fleet.nodes["n2"].events.since(kind="clock.ahead")


def test_a_wiped_node_comes_back_as_somebody_else_and_is_completed(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        fleet.wait(fleet.put("n2", KEY, b"book"))
        fleet.until(fleet.settled)
        before = fleet.nodes["n1"].boot.id
        fleet.wipe("n1")
        done = fleet.faults.faults[-1]
        assert (done.kind, done.active) == ("disk-wipe", False) and done.of.done(done)["n1"] == done.files > 0
        fleet.start("n1")
        fleet.until(lambda: fleet.converged() and fleet.settled(), timeout=120.0)
        assert [event["fault"] for event in fleet.nodes["n2"].events.since(kind="fault.done")] == [done.id]
        assert fleet.nodes["n1"].boot.id != before and fleet.stored("n1", KEY) == fleet.stored("n2", KEY)


def test_a_flipped_byte_is_found_at_the_next_boot(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        fleet.wait(fleet.put("n2", KEY, b"book" * 200))
        fleet.until(lambda: fleet.stored("n1", KEY) is not None and fleet.settled())
        fleet.flip_byte("n1", "log/00000001.log")
        assert fleet.stored("n1", KEY) is not None, "nothing has read the log since"
        fleet.crash("n1")
        fleet.start("n1")
        fleet.until(lambda: "n1" in fleet.nodes and bool(fleet.nodes["n1"].store.recovering or fleet.settled()))
        fleet.until(lambda: fleet.settled() and fleet.stored("n1", KEY) == fleet.stored("n2", KEY), timeout=120.0)
        assert fleet.nodes["n1"].events.since(kind="owner.recovering")


def test_a_node_whose_disk_is_full_keeps_nobody_waiting_for_a_layout_that_it_cannot_take_over(seed: int) -> None:
    """What was routed by that layout goes elsewhere at once, and what it routes itself by the old one is refused. A
    fallback may acknowledge before the second owner does: `ok-sloppy` is an acknowledgement too."""
    with Fleet.running(seed, 4) as fleet:
        fleet.fault("disk-full", nodes=["n2"])
        fleet.until(lambda: fleet.nodes["n2"].faults.disk is not None)
        assert isinstance(fleet.wait(fleet.add(1, via="n1")).answer, AdminAnswer)
        fleet.join("n5", via="n1")
        others = [name for name in fleet.names if name != "n2"]
        fleet.until(lambda: all(name in fleet.nodes and fleet.nodes[name].view.number == 2 for name in others))
        fleet.until(lambda: bool(fleet.nodes["n2"].events.since(kind="chain.refused")))
        asked = [fleet.put(others[number % 4], f"key-{number}", b"v", 5.0) for number in range(40)]
        asked += [fleet.put("n2", f"key-{number}", b"v", 5.0) for number in range(40)]
        asked += [fleet.get("n2", f"key-{number}", 5.0) for number in range(40)]
        assert fleet.until(lambda: all(one.ended for one in asked), 10.0) < 0.5
        assert all(type(put.answer) is PutDone and put.answer.outcome in (OK, OK_SLOPPY) for put in asked[:40])


def test_a_full_disk_is_not_asked_for_the_chain_without_a_pause(seed: int) -> None:
    """The chain grows while one node cannot write it down: it tries again, in its own time, until there is room."""
    with Fleet.running(seed, 5) as fleet:
        full = fleet.fault("disk-full", nodes=["n2"])
        fleet.until(lambda: fleet.nodes["n2"].faults.disk is not None)
        fleet.wipe("n5")
        fleet.start("n5")
        fleet.until(lambda: fleet.nodes["n1"].layouts.chain.entry.slot > 1, timeout=60.0)
        fleet.world.run_for(10.0)
        assert fleet.nodes["n2"].layouts.chain.entry.slot == 1
        assert 1 <= receipts(fleet, full.id)["n2"] < 60, "a busy loop"
        assert len(fleet.nodes["n2"].events.since(kind="chain.refused")) == 1
        fleet.heal()
        fleet.until(lambda: fleet.nodes["n2"].layouts.chain.entry == fleet.nodes["n1"].layouts.chain.entry)
