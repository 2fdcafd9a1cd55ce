"""Thousands of keys are deleted on real processes that are killed meanwhile: all rows go, and none comes back."""

from pathlib import Path

import pytest

import cluster
from cluster.emulator import cluster as emulator
from cluster.emulator.spec import ClusterSpec
from cluster.errors import ClusterError
from tests.processes.commands import dsectl
from tests.processes.fleet import Real, last_words, until

KEYS = [f"key-{number}" for number in range(2000)]
KEPT, DELETED = KEYS[::20], [key for number, key in enumerate(KEYS) if number % 20]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path))


def delete(fleet: Real, keys: list[str]) -> list[str]:
    """Returns the keys of which it is not known to be done."""
    unsure = []
    for key in keys:
        try:
            fleet.client.kv.delete(key)
        except ClusterError:
            unsure.append(key)
    return unsure


def copies(fleet: Real) -> int:
    count: int = sum(fleet.ask(node, "metrics")["keys"] for node in fleet.files.nodes)
    return count


def check(fleet: Real) -> None:
    until(lambda: copies(fleet) == 3 * len(KEPT), 60.0)
    until(lambda: all(not fleet.ask(node, "repair")["equal"]["unverified"] for node in fleet.files.nodes), 60.0)
    assert copies(fleet) == 3 * len(KEPT)
    assert [key for key in DELETED if fleet.client.kv.get(key, strict=True).siblings] == []
    assert all(fleet.client.kv.get(key, strict=True).siblings == [b"kept"] for key in KEPT)


def test_deleted_keys_are_gone_and_none_comes_back() -> None:
    report = emulator.up(ClusterSpec(name="real", nodes=5), 30.0)
    try:
        with cluster.connect_blocking("real") as client, last_words("real"):
            client.timeout = 3.0
            fleet = Real(report.files, client)
            for key in KEYS:
                client.kv.put(key, b"kept", blind=True)
            unsure = delete(fleet, DELETED[:600])
            fleet.kill("n2")
            unsure += delete(fleet, DELETED[600:1200])
            fleet.start("n2")
            fleet.kill("n4", "n5")
            unsure += delete(fleet, DELETED[1200:])
            until(lambda: fleet.ask("n1", "repair")["deleted"]["waits"] == "n4, n5 must be alive")
            assert fleet.ask("n1", "repair")["deleted"]["left"] > 0
            fleet.start("n4", "n5")
            delete(fleet, [key for key in unsure if client.kv.get(key).siblings])
            check(fleet)
            assert "tombstones collected" in dsectl("repair", "--status", "-C", "real").out
            emulator.down("real")
            files = emulator.up(ClusterSpec(name="real"), 30.0).files
        with cluster.connect_blocking("real") as client, last_words("real"):
            client.timeout = 3.0
            fleet = Real(files, client)
            until(fleet.settled)
            check(fleet)
            assert all(fleet.ask(node, "repair")["deleted"]["left"] == 0 for node in files.nodes)
    finally:
        emulator.remove("real")
