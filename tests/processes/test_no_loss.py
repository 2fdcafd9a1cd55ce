"""No acknowledged write is lost on real processes: SIGKILL of each node, of two of three owners, SIGSTOP; and the check
itself is shown to go red."""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import cluster
from cluster.emulator import cluster as emulator
from cluster.errors import QuorumMissing
from tests.processes.fleet import Ledger, Real, real, until

ROUNDS = int(os.environ.get("DSECTL_ROUNDS", "1"))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path))


@contextmanager
def writing(ledger: Ledger) -> Iterator[None]:
    """Somebody writes all the time; in this block at least 50 writes are tried."""
    stop = threading.Event()
    first = len(ledger.written)

    def work() -> None:
        with cluster.connect_blocking("real") as client:
            while not stop.is_set() or len(ledger.written) < first + 50:
                ledger.write(client, timeout=2.0)

    writer = threading.Thread(target=work)
    writer.start()
    try:
        until(lambda: len(ledger.written) > first + 10)
        yield
    finally:
        stop.set()
        writer.join(60.0)
        assert not writer.is_alive()


@pytest.mark.parametrize("durability", ["interval", "always"])
def test_sigkill_of_each_node_in_turn(durability: str) -> None:
    ledger = Ledger()
    with real(5, durability=durability) as fleet:
        for _ in range(ROUNDS):
            for victim in fleet.files.nodes:
                with writing(ledger):
                    fleet.kill(victim)
                fleet.start(victim)
        assert len(ledger.acknowledged) > 200 * ROUNDS, ledger.outcomes
        assert ledger.lost(fleet.client) == []


def test_two_of_three_owners_in_turn() -> None:
    ledger = Ledger()
    with real(5) as fleet:
        one, two, _ = fleet.owners("cart")
        with writing(ledger):
            fleet.kill(one)
        with writing(ledger):
            fleet.kill(two)
        emulator.start_nodes(fleet.name, [one])
        with writing(ledger):
            pass
        fleet.start(two)
        assert ledger.lost(fleet.client) == []
        assert ledger.outcomes.get("ok-sloppy", 0) > 0, "fallbacks were never needed: nothing was tested"


def test_a_stopped_owner_catches_up() -> None:
    ledger = Ledger()
    with real(5) as fleet:
        victim = fleet.owners("cart")[0]
        others = [node for node in fleet.files.nodes if node != victim]
        with writing(ledger):
            emulator.pause(fleet.name, [victim])
            until(lambda: all(fleet.ask(node, "members")[victim]["state"] != "alive" for node in others))
        emulator.resume(fleet.name, [victim])
        until(fleet.settled)
        assert fleet.events(victim, "node.stalled") and fleet.events(victim, "owner.voting")
        assert ledger.lost(fleet.client) == []


def test_the_check_goes_red_when_the_quorum_is_broken() -> None:
    """One copy of each key, and the node that held some of them comes back empty."""
    ledger = Ledger()
    with real(3, replication="1/1/1") as fleet:
        with writing(ledger):
            pass
        victim = fleet.owners(ledger.acknowledged[0])[0]
        fleet.kill(victim)
        wipe(fleet, victim)
        emulator.start_nodes(fleet.name, [victim])
        until(lambda: len(fleet.ask(victim, "status")["alive"]) == 3)
        assert ledger.acknowledged[0] in lost_or_unreadable(fleet, ledger)


def wipe(fleet: Real, node: str) -> None:
    """Take a node's log away."""
    shutil.rmtree(fleet.files.node(node) / "log")


def lost_or_unreadable(fleet: Real, ledger: Ledger) -> list[str]:
    """Keys that their owner does not have, alone: it says so, or that its word is no vote."""
    lost = []
    for key in ledger.acknowledged:
        try:
            found = fleet.client.kv.get(key, only=fleet.owners(key)[0]).siblings
        except QuorumMissing:
            found = []
        if not found:
            lost.append(key)
    return lost
