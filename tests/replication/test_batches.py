"""Copies of many writes in one message, when something goes wrong with it: simulated clusters of three, where every
node owns every key and nobody can stand in."""

from collections.abc import Iterator

import pytest

from cluster.layout import partition_of
from cluster.node import Node
from cluster.replication.mergeable import TABLE_KV
from cluster.simulation.fleet import Fleet, SimulatedRequest
from cluster.wire.kv import Got, PutDone

KEYS = [f"key-{number}" for number in range(6)]


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with Fleet(3, 3) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        fleet.wait(fleet.put("n1", "first", b"dials the connections", w=3))
        yield fleet


def put_all(fleet: Fleet, w: int, timeout: float = 1.0) -> list[SimulatedRequest]:
    """One write of each key, all in one pass of n1."""
    return [fleet.put("n1", key, b"new", w=w, timeout=timeout) for key in KEYS]


def outcomes(results: list[SimulatedRequest]) -> list[str]:
    return [result.answer.outcome if isinstance(result.answer, PutDone) else "none" for result in results]


def held(node: Node) -> list[str]:
    return [key for key in KEYS if node.store.get(TABLE_KV, partition_of(key), key) is not None]


def test_a_connection_that_breaks_leaves_every_copy_open_and_hinted(fleet: Fleet) -> None:
    fleet.world.pause("n2")
    results = put_all(fleet, w=3)
    fleet.world.run_for(0.05)
    assert not any(result.ended for result in results)
    fleet.crash("n2")
    fleet.until(lambda: all(result.ended for result in results), 0.5)
    assert outcomes(results) == ["maybe"] * len(KEYS), "it may have stored them before it died"
    assert fleet.nodes["n1"].replication.context.hints.pending("n2") == len(KEYS)
    assert fleet.nodes["n1"].replication.writer.in_flight == {}
    fleet.start("n2")
    fleet.until(fleet.settled, 20.0)
    assert held(fleet.nodes["n2"]) == KEYS


def test_copies_that_expired_while_a_replica_was_stopped_are_not_applied(fleet: Fleet) -> None:
    fleet.world.pause("n2")
    results = put_all(fleet, w=3, timeout=0.4)
    fleet.world.run_for(0.6)
    assert outcomes(results) == ["maybe"] * len(KEYS)
    fleet.world.run_for(1.0)
    n2 = fleet.nodes["n2"]
    fleet.world.resume("n2")
    fleet.until(lambda: n2.replication.replica.expired > 0, 1.0)
    assert n2.replication.replica.expired == len(KEYS)
    fleet.until(fleet.settled, 20.0)
    assert held(n2) == KEYS, "the hints brought them"


def test_a_full_disk_refuses_the_whole_batch(fleet: Fleet) -> None:
    n2 = fleet.nodes["n2"]
    fleet.world.disk("n2").full_after(10)
    enough = put_all(fleet, w=2)
    fleet.until(lambda: all(result.ended for result in enough), 0.5)
    assert outcomes(enough) == ["ok"] * len(KEYS)
    fleet.until(lambda: fleet.nodes["n1"].replication.context.hints.pending("n2") == len(KEYS), 1.0)
    assert n2.store.undone >= len(KEYS) and held(n2) == []
    fleet.world.disk("n2").full_after(None)
    fleet.until(fleet.settled, 20.0)
    assert held(n2) == KEYS


def test_one_copy_that_fails_does_not_take_the_others_along(fleet: Fleet) -> None:
    for key in KEYS:
        fleet.wait(fleet.put("n1", key, b"old", w=3))
    fleet.nodes["n2"].store._tables[TABLE_KV].put(partition_of(KEYS[2]), KEYS[2], b"\xc1")  # unreadable
    results = put_all(fleet, w=3)
    fleet.until(lambda: all(result.ended for result in results), 2.0)
    assert outcomes(results) == ["ok", "ok", "maybe", "ok", "ok", "ok"]


def test_reads_in_one_pass_are_answered_together_and_survive_a_broken_connection(fleet: Fleet) -> None:
    for result in put_all(fleet, w=3):
        fleet.wait(result)
    fleet.world.pause("n2")
    reads = [fleet.get("n1", key) for key in KEYS]
    fleet.world.run_for(0.01)
    fleet.crash("n2")
    fleet.until(lambda: all(result.ended for result in reads), 0.5)
    assert all(isinstance(result.answer, Got) and result.answer.siblings == [b"new"] for result in reads)
    fleet.until(lambda: not fleet.nodes["n1"].replication.reader.in_flight, 1.0)
