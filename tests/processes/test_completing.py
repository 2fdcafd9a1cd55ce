"""Nodes that lost data, by command, with real processes: they wait for whom they must, say for whom, and come to an
end; and a layout that is given to one node reaches all."""

import shutil
from pathlib import Path

import pytest

from cluster.emulator import cluster as emulator
from cluster.errors import ClusterError
from tests.processes.commands import ask, dsectl
from tests.processes.fleet import Ledger, Real, real, until

C = ("-C", "real")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path))


def wipe(fleet: Real, node: str) -> None:
    """Kill a node that runs, and empty its directory."""
    fleet.kill(node)
    for entry in fleet.files.node(node).iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def denied(fleet: Real, key: str) -> bool:
    """Whether a read says that there is no such key."""
    try:
        return not fleet.client.kv.get(key).siblings
    except ClusterError:
        return False


def test_a_wiped_node_is_completed_by_its_peers() -> None:
    ledger = Ledger()
    with real(5) as fleet:
        while len(ledger.acknowledged) < 100:
            ledger.write(fleet.client)
        until(fleet.settled)
        wipe(fleet, "n2")
        fleet.start("n2")
        assert fleet.events("n2", "owner.recovering") and fleet.events("n2", "owner.complete")
        assert dsectl("repair", *C).out.splitlines()[2].split() == ["n2", "yes", "yes"]
        assert ledger.lost(fleet.client) == []


def test_two_wiped_nodes_wait_for_the_third_and_name_it() -> None:
    ledger = Ledger()
    with real(3) as fleet:
        while len(ledger.acknowledged) < 50:
            ledger.write(fleet.client, strict=True)
        until(fleet.settled)
        fleet.kill("n3")
        for node in ("n1", "n2"):
            wipe(fleet, node)
        emulator.start_nodes("real", ["n1", "n2"])
        until(lambda: fleet.ask("n1", "repair")["waits_for"] == {"n3": 256})
        assert not any(denied(fleet, key) for key in ledger.acknowledged)
        found = ask("repair", "n1", *C)["nodes"]["n1"]
        assert len(found["recovering"]) == 256 and "dsectl repair n1 --accept-loss" in found["help"]
        assert "waits for n3" in dsectl("health", *C, code=1).out
        fleet.kill("n1")
        emulator.start_nodes("real", ["n1"])
        until(lambda: fleet.ask("n1", "repair")["waits_for"] == {"n3": 256})
        assert not any(denied(fleet, key) for key in ledger.acknowledged), "it forgot that it was recovering"
        fleet.start("n3")
        assert ledger.lost(fleet.client) == []


def test_the_loss_of_what_an_absent_owner_holds_is_accepted_by_command() -> None:
    ledger = Ledger()
    with real(3) as fleet:
        while len(ledger.acknowledged) < 20:
            ledger.write(fleet.client, strict=True)
        until(fleet.settled)
        assert "waits for no owner" in dsectl("repair", "n2", "--accept-loss", *C, code=1).err
        fleet.kill("n3")
        wipe(fleet, "n2")
        emulator.start_nodes("real", ["n2"])
        until(lambda: fleet.ask("n2", "repair")["waits_for"] == {"n3": 256})
        assert dsectl("repair", "n2", "--accept-loss", *C).out.startswith(
            "n2 goes on without n3, for 256 partitions: 0 1"
        )
        until(lambda: fleet.ask("n2", "status")["state"] == "running")
        assert "may be lost" in dsectl("repair", *C).out
        for key in ledger.acknowledged:
            assert fleet.client.kv.get(key).siblings == [ledger.written[key]]
