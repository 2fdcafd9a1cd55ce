"""Partitions and slow links between real processes, through faults.json as the commands write it."""

import time
from pathlib import Path

import pytest

import cluster
from cluster.emulator import cluster as emulator
from cluster.emulator.linkfaults import heal, partition, slow
from cluster.errors import ClusterError
from tests.processes.fleet import Ledger, Real, real, until

LEFT, RIGHT = ["n1", "n2"], ["n3", "n4", "n5"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path))


def touched(fleet: Real, fault: str) -> int:
    """How often a fault touched something, over all nodes."""
    return sum(sum(fleet.ask(node, "faults")["receipts"].get(fault, {}).values()) for node in fleet.files.nodes)


def test_both_sides_write_and_nothing_is_lost_after_healing() -> None:
    ledger = Ledger()
    with real(5) as fleet:
        fault = partition(fleet.name, [LEFT, RIGHT])
        for via, other in (("n1", "n3"), ("n3", "n1")):
            until(lambda via=via, other=other: fleet.ask(via, "members")[other]["state"] == "dead")  # type: ignore[misc]
        for via in ("n1", "n3"):
            with cluster.connect_blocking("real", via=via) as client:
                before = len(ledger.acknowledged)
                for _ in range(40):
                    ledger.write(client, timeout=1.5)
                assert len(ledger.acknowledged) > before, f"{via}'s side acknowledged nothing"
        assert ledger.outcomes.get("ok-sloppy", 0) > 0, ledger.outcomes
        assert touched(fleet, fault.id) > 0
        heal(fleet.name)
        until(fleet.settled, 30.0)
        assert ledger.lost(fleet.client) == []


def test_a_partition_survives_the_restart_of_a_node_inside_it() -> None:
    with real(5) as fleet:
        partition(fleet.name, [LEFT, RIGHT])
        until(lambda: fleet.ask("n1", "members")["n3"]["state"] == "dead")
        fleet.kill("n2")
        emulator.start_nodes(fleet.name, ["n2"])
        until(lambda: fleet.ask("n1", "members")["n2"]["state"] == "alive")
        until(lambda: fleet.ask("n2", "members")["n3"]["state"] == "dead")
        assert fleet.ask("n2", "faults")["receipts"], "the reborn node counts what the partition stops"
        heal(fleet.name)
        until(fleet.settled, 30.0)


def test_one_way_means_one_way() -> None:
    with real(3) as fleet:
        fault = partition(fleet.name, [["n1"], ["n2", "n3"]], one_way=True)
        until(lambda: touched(fleet, fault.id) > 10)
        counted = {
            link for node in fleet.files.nodes for link in fleet.ask(node, "faults")["receipts"].get(fault.id, {})
        }
        assert counted and all(link.startswith("n1->") for link in counted), counted
        heal(fleet.name)
        until(fleet.settled, 30.0)


def test_a_slow_link_is_felt_and_counted() -> None:
    with real(3) as fleet:
        fleet.client.kv.put("cart", b"book")
        slow(fleet.name, "n1", "all", both=True, delay_ms=200.0)
        with cluster.connect_blocking("real", via="n1") as client:
            took = []
            for _ in range(3):
                began = time.monotonic()
                try:
                    client.kv.get("cart", r=3)
                except ClusterError:
                    pass
                took.append(time.monotonic() - began)
        assert min(took) > 0.3, "there and back is 400 ms at the least"
        heal(fleet.name)
        until(lambda: fleet.client.kv.get("cart").value == b"book")
