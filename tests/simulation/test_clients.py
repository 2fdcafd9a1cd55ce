"""Simulated clients are the real ones: they prove a role, meet lost connections and silent nodes, and keep contexts."""

import pytest

from cluster.client.keyed import GetResult
from cluster.config import node_settings
from cluster.errors import Maybe
from cluster.simulation.client import Carried
from cluster.simulation.fleet import Fleet
from cluster.wire.kv import Get, Got, Put, PutDone


def carried(fleet: Fleet, operation: Carried) -> Carried:
    fleet.until(lambda: operation.ended, 10.0)
    return operation


def test_two_sessions_and_what_each_has_seen(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        one, other = fleet.client("c1"), fleet.client("c2")
        assert carried(fleet, one.kv.put("cart", b"a", blind=True)).error is None
        assert carried(fleet, other.kv.put("cart", b"b", blind=True)).error is None
        found = carried(fleet, one.kv.get("cart")).result
        assert isinstance(found, GetResult) and sorted(found.siblings) == [b"a", b"b"]
        carried(fleet, one.kv.put("cart", b"c"))
        assert carried(fleet, other.kv.get("cart")).result.siblings == [b"c"]


def test_a_put_is_maybe_when_its_node_dies_before_it_answers(seed: int) -> None:
    """It is sent, and the node is killed as soon as it has logged it."""
    with Fleet.running(seed, 5) as fleet:
        client, owner = fleet.client("c1"), fleet.owners("cart")[0]
        assert isinstance(fleet.wait(client.ask(Get("cart"), node=owner)).answer, Got)  # the connection is there
        fleet.crash_inside(owner, "append")
        result = fleet.wait(client.ask(Put("cart", b"book", "one"), node=owner))
        assert owner not in fleet.nodes
        assert isinstance(result.error, Maybe) and not result.error.definite


def test_a_client_leaves_a_node_that_stands_still(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        client = fleet.client("c1")
        fleet.wait(client.put("cart", b"book"))
        fleet.pause(fleet.owners("cart")[0])
        start = fleet.world.now
        for _ in range(6):
            answer = fleet.wait(client.get("cart")).answer
            assert isinstance(answer, Got) and answer.siblings == [b"book"]
        assert fleet.world.now - start < 2.0


@pytest.mark.parametrize("replication", ["1/1/1", "5/3/3"])
def test_other_quorums(seed: int, replication: str) -> None:
    with Fleet.running(seed, 5, settings=node_settings(replication=replication)) as fleet:
        client = fleet.client("c1")
        answer = fleet.wait(client.put("cart", b"book")).answer
        assert isinstance(answer, PutDone) and answer.outcome == "ok"
        assert len(fleet.owners("cart")) == int(replication[0])
