"""Damage on disk and a full disk, on real processes: torn is cut, corrupt is refilled, full is refused; nothing is
lost."""

import resource
from pathlib import Path

import pytest

from cluster.emulator import cluster as emulator
from cluster.errors import ClusterError
from tests.processes.commands import ask
from tests.processes.fleet import Ledger, real, until


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path))


def test_a_torn_record_is_cut_and_nothing_is_lost() -> None:
    ledger = Ledger()
    with real(3) as fleet:
        while len(ledger.acknowledged) < 60:
            ledger.write(fleet.client)
        fleet.kill("n1")
        log = fleet.log("n1")
        log.write_bytes(log.read_bytes()[:-7])
        fleet.start("n1")
        assert fleet.events("n1", "storage.recovered")[0]["torn_bytes"] > 0
        assert ledger.lost(fleet.client) == []


def test_a_flipped_byte_is_noticed_refilled_and_never_read() -> None:
    ledger = Ledger()
    with real(3) as fleet:
        while len(ledger.acknowledged) < 60:
            ledger.write(fleet.client)
        fleet.kill("n1")
        log = fleet.log("n1")
        data = bytearray(log.read_bytes())
        at = data.index(b"value of key-30") + 3
        data[at] ^= 0x40
        log.write_bytes(data)
        emulator.start_nodes(fleet.name, ["n1"])
        for key in ledger.acknowledged:  # while it recovers, and after
            try:
                found = fleet.client.kv.get(key).siblings
            except ClusterError:
                continue
            assert found == [ledger.written[key]]
        until(fleet.settled)
        assert fleet.events("n1", "owner.recovering") and fleet.events("n1", "owner.refilled")
        digests = {node: fleet.ask(node, "explain", key="key-30")["held"]["digest"] for node in fleet.files.nodes}
        assert len(set(digests.values())) == 1, digests
        assert ledger.lost(fleet.client) == []


def test_a_full_disk_is_refused_and_told_and_works_again_when_there_is_room() -> None:
    ledger = Ledger()
    with real(3) as fleet:
        until(fleet.settled)
        for _ in range(30):
            assert ledger.write(fleet.client) == "ok"
        pid = emulator.processes(fleet.files)["n1"].pid
        assert pid is not None
        size = fleet.log("n1").stat().st_size
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size + 300, resource.RLIM_INFINITY))
        served = len(ledger.acknowledged) + 40
        # A write is only a maybe while a second owner happens to be avoided too: go on until the others have served 40.
        until(lambda: bool(ledger.write(fleet.client)) and len(ledger.acknowledged) >= served)
        assert fleet.events("n1", "storage.full"), "the limit was never met: nothing was tested"
        health = fleet.ask("n1", "health")
        assert not health["healthy"] and any("refuses writes, its disk is full" in why for why in health["reasons"])
        status = ask("-C", fleet.name, "status")
        assert status["verdict"] == "amber" and "refuses writes" in status["nodes"]["n1"]["note"], status
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        until(lambda: not fleet.ask("n1", "status")["full"])  # by itself, whether or not somebody writes
        until(fleet.settled)
        assert ask("-C", fleet.name, "status")["verdict"] == "green"
        for _ in range(30):
            assert ledger.write(fleet.client) == "ok"
        fleet.kill("n1")
        fleet.start("n1")
        assert ledger.lost(fleet.client) == []
        assert len(ledger.acknowledged) >= 100, ledger.outcomes
