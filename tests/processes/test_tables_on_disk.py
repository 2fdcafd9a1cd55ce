"""`up --store disk` on real processes and a real database: killed at any moment it loses nothing."""

import os
import signal
from pathlib import Path
from random import Random
from threading import Timer

import pytest

from cluster.emulator import cluster as emulator
from cluster.errors import ClusterError
from tests.processes.commands import ask, dsectl
from tests.processes.fleet import Ledger, Real, real, until

PADDING = Random(0).randbytes(200_000)
"""Twenty such values are written to the tables at once."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path))


def files_of_tables(fleet: Real, node: str) -> list[Path]:
    """The sorted runs that the database of a node has written."""
    return list((fleet.files.node(node) / "table").glob("*.sst"))


def write(fleet: Real, ledger: Ledger, more: int) -> None:
    wanted = len(ledger.acknowledged) + more

    def written() -> bool:
        for _ in range(wanted - len(ledger.acknowledged)):
            ledger.write(fleet.client)
        return len(ledger.acknowledged) >= wanted

    until(written)


def test_a_node_that_is_killed_at_any_time_loses_nothing() -> None:
    ledger, random = Ledger(padding=PADDING), Random(7)
    with real(3, store="disk") as fleet:
        until(fleet.settled)
        for node in ("n1", "n2", "n1", "n3"):
            killed = Timer(random.uniform(0.05, 0.4), fleet.kill, [node])
            killed.start()
            write(fleet, ledger, 40)
            killed.join()
            fleet.start(node)
            assert not fleet.events(node, "owner.recovering")
        for node in fleet.files.nodes:
            assert files_of_tables(fleet, node), "nothing was written: nothing was tested"
        assert ledger.lost(fleet.client) == []


def test_a_full_disk_refuses_writes_goes_on_reading_and_recovers_when_it_is_healed() -> None:
    ledger = Ledger(padding=PADDING)
    with real(3, store="disk") as fleet:
        until(fleet.settled)
        write(fleet, ledger, 30)
        fault = ask("disk", "n1", "--full", "-C", fleet.name)
        write(fleet, ledger, 20)
        until(lambda: bool(fleet.ask("n1", "status")["full"]))
        assert ask("get", "key-3", "--via", "n1", "-C", fleet.name)["siblings"]
        ask("heal", fault["id"], "-C", fleet.name)
        until(lambda: not fleet.ask("n1", "status")["full"])
        until(fleet.settled)
        write(fleet, ledger, 30)
        fleet.kill("n1")
        fleet.start("n1")
        assert ledger.lost(fleet.client) == []


def test_what_resets_a_node_takes_its_tables_along() -> None:
    ledger = Ledger(padding=PADDING)
    with real(3, store="disk") as fleet:
        until(fleet.settled)
        write(fleet, ledger, 40)
        until(lambda: bool(files_of_tables(fleet, "n1")) and bool(files_of_tables(fleet, "n2")))
        dsectl("restart", "n1", "--replace", "-C", fleet.name, code=0)
        folder = fleet.files.node("n1")
        assert list(folder.glob("aside-*/table/*.sst"))
        until(fleet.settled)
        before = {path.stat().st_ino for path in files_of_tables(fleet, "n2")}
        ask("disk", "n2", "--wipe", "-C", fleet.name)
        until(fleet.settled)
        assert not before & {path.stat().st_ino for path in files_of_tables(fleet, "n2")}
        assert ledger.lost(fleet.client) == []


def test_tables_that_cannot_be_read_are_made_anew_and_completed_from_the_peers() -> None:
    ledger = Ledger(padding=PADDING)
    with real(3, store="disk") as fleet:
        until(fleet.settled)
        write(fleet, ledger, 40)
        until(lambda: bool(files_of_tables(fleet, "n1")))
        fleet.kill("n1")
        for path in (fleet.files.node("n1") / "table").glob("MANIFEST-*"):
            path.write_bytes(path.read_bytes()[:-1] + b"?")
        emulator.start_nodes(fleet.name, ["n1"])
        until(fleet.settled)
        assert "cannot be read" in fleet.events("n1", "storage.damaged")[0]["cause"]
        assert ledger.lost(fleet.client) == []


def test_rows_that_cannot_be_read_are_completed_from_the_peers() -> None:
    ledger = Ledger(padding=PADDING[:20_000])
    with real(3, store="disk") as fleet:
        until(fleet.settled)
        write(fleet, ledger, 250)
        until(lambda: bool(files_of_tables(fleet, "n1")))
        fleet.kill("n1")
        [first, *_] = sorted(files_of_tables(fleet, "n1"))
        data = bytearray(first.read_bytes())
        data[1_000_000] ^= 1
        first.write_bytes(data)
        emulator.start_nodes(fleet.name, ["n1"])
        for key in ledger.acknowledged:  # while it recovers, and after
            try:
                found = fleet.client.kv.get(key, only="n1").siblings
            except ClusterError:
                continue
            assert found == [ledger.written[key]]
        until(fleet.settled)
        assert "cannot be read" in fleet.events("n1", "storage.damaged")[0]["cause"]
        assert fleet.events("n1", "owner.complete")
        assert ledger.lost(fleet.client) == []


def test_a_flipped_byte_in_the_tables_is_found_though_nobody_reads_it_and_made_good() -> None:
    ledger = Ledger(padding=PADDING[:20_000])
    with real(3, store="disk") as fleet:
        until(fleet.settled)
        write(fleet, ledger, 250)
        until(lambda: bool(files_of_tables(fleet, "n1")))
        fleet.kill("n1")
        files = [ask("disk", "n1", "--flip-byte", "-C", fleet.name)["file"] for _ in range(30)]
        assert any(file.startswith("table/") for file in files)
        emulator.start_nodes(fleet.name, ["n1"])
        until(lambda: fleet.ask("n1", "status")["storage"]["damaged_tables"] == 1)
        assert any(".sst" in event["cause"] for event in fleet.events("n1", "storage.damaged"))
        until(fleet.settled)
        assert fleet.events("n1", "owner.complete")
        write(fleet, ledger, 250)  # written and merged: what was damaged is gone
        assert ledger.lost(fleet.client) == []
        assert not fleet.ask("n1", "status")["full"]


def test_a_node_that_is_stopped_while_it_writes_complains_of_nothing() -> None:
    ledger = Ledger(padding=PADDING)
    with real(3, store="disk") as fleet:
        until(fleet.settled)
        write(fleet, ledger, 40)
        for node in ("n1", "n2"):
            pid = emulator.processes(fleet.files)[node].pid
            assert pid is not None
            stopped = Timer(0.1, os.kill, [pid, signal.SIGTERM])
            stopped.start()
            write(fleet, ledger, 20)
            stopped.join()
            until(lambda node=node: emulator.processes(fleet.files)[node].pid is None)  # type: ignore[misc]
            text = (fleet.files.node(node) / "node.log").read_text()
            assert "storage.damaged" not in text and "Traceback" not in text, text
            fleet.start(node)
        assert ledger.lost(fleet.client) == []
