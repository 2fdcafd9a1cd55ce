"""Damage on disk and a full disk, on real processes: torn is cut, corrupt is completed, full is refused; nothing is
lost."""

import json
import os
import resource
import shutil
import signal
from pathlib import Path

import pytest

from cluster.emulator import cluster as emulator
from cluster.errors import ClusterError
from cluster.storage.record import MARK, decode_mark
from tests.processes.commands import ask
from tests.processes.fleet import Ledger, Real, real, until


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
        with log.open("ab") as file:
            file.write(log.read_bytes()[-30:][:7])  # as a write leaves it that SIGKILL cut short
        fleet.start("n1")
        assert fleet.events("n1", "storage.recovered")[0]["torn_bytes"] == 7
        assert not fleet.events("n1", "owner.recovering")
        assert ledger.lost(fleet.client) == []


def test_a_flipped_byte_is_noticed_completed_and_never_read() -> None:
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
        assert fleet.events("n1", "owner.recovering") and fleet.events("n1", "owner.complete")
        digests = {node: fleet.ask(node, "explain", key="key-30")["held"]["digest"] for node in fleet.files.nodes}
        assert len(set(digests.values())) == 1, digests
        assert ledger.lost(fleet.client) == []


@pytest.mark.parametrize("size", [0, 8, -200])
def test_a_log_that_lost_its_end_is_noticed_and_completed_and_nothing_is_lost(size: int) -> None:
    ledger = Ledger()
    with real(3) as fleet:
        while len(ledger.acknowledged) < 60:
            ledger.write(fleet.client)
        log = fleet.log("n1")
        until(lambda: marked(fleet, "n1") == log.stat().st_size)
        fleet.kill("n1")
        log.write_bytes(log.read_bytes()[:size])
        emulator.start_nodes(fleet.name, ["n1"])
        for key in ledger.acknowledged:  # while it recovers, and after
            try:
                found = fleet.client.kv.get(key, only="n1").siblings
            except ClusterError:
                continue
            assert found == [ledger.written[key]], "not found, by a node that lost it"
        until(fleet.settled)
        reasons = [event["cause"] for event in fleet.events("n1", "owner.recovering")]
        assert "mark" in reasons[0] or "gone" in reasons[0], reasons
        assert ledger.lost(fleet.client) == []


def marked(fleet: Real, node: str) -> int:
    """The offset up to which a node says that its log is synced."""
    mark = decode_mark((fleet.files.node(node) / MARK).read_bytes())
    assert mark is not None
    return mark.end[1]


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_a_reboot_of_the_machine_costs_nothing_behind_an_orderly_end(sent: signal.Signals) -> None:
    """The boot id that the node remembers is changed, as if the machine had booted since."""
    ledger = Ledger()
    with real(3) as fleet:
        while len(ledger.acknowledged) < 60:
            ledger.write(fleet.client)
        pid = emulator.processes(fleet.files)["n1"].pid
        assert pid is not None
        os.kill(pid, sent)
        until(lambda: emulator.processes(fleet.files)["n1"].pid is None)
        boot = fleet.files.node("n1") / "boot.json"
        record = json.loads(boot.read_bytes())
        assert record["machine"]
        boot.write_bytes(json.dumps(record | {"machine": "another boot"}).encode())
        fleet.start("n1")
        said = [event["cause"] for event in fleet.events("n1", "owner.recovering")]
        assert (said == []) is (sent == signal.SIGTERM), said
        assert json.loads(boot.read_bytes())["machine"] == record["machine"]
        assert ledger.lost(fleet.client) == []


def test_a_directory_that_was_put_back_is_found_out_and_starts_again_under_a_new_id() -> None:
    ledger = Ledger()
    with real(3) as fleet:
        folder = fleet.files.node("n3")
        copy = folder.with_name("copy")
        while len(ledger.acknowledged) < 20:
            ledger.write(fleet.client)
        fleet.kill("n3")
        shutil.copytree(folder, copy)
        for _ in range(2):
            fleet.start("n3")
            for _ in range(20):
                ledger.write(fleet.client)
            fleet.kill("n3")
        shutil.rmtree(folder)
        copy.rename(folder)
        before = json.loads((folder / "boot.json").read_bytes())["id"]
        try:
            emulator.start_nodes(fleet.name, ["n3"])
        except ClusterError:
            pass  # it may have ended before it was ready
        until(lambda: emulator.processes(fleet.files)["n3"].pid is None)
        assert "its directory is a copy from before" in (folder / "node.log").read_text()
        fleet.start("n3")
        assert fleet.ask("n3", "status")["id"] != before
        assert "copy from before" in fleet.events("n3", "owner.recovering")[0]["cause"]
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
