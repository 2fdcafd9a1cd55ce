"""Churn: however often nodes end and come back, what is left of it is as small as in a fresh cluster."""

import pytest

from cluster.kv import actors
from cluster.kv.operations import TABLE_OPERATIONS
from cluster.replication.collecting import Collecting
from cluster.replication.hints import HintKey, HintStore
from cluster.replication.mergeable import TABLE_HINTS, TABLE_KV
from cluster.simulation.fleet import Fleet
from cluster.storage.checkpoints import SEGMENTS_MAX, Checkpoints
from tests.simulation.churn import Churn
from tests.simulation.safeguards.registry import Safeguard

RESTARTS = 12
BOOTS = SEGMENTS_MAX + 12


def nodes_end_and_come_back(seed: int) -> None:
    """One after the other, while keys are written and deleted."""
    with Fleet.running(seed, 5) as fleet:
        churn = Churn(fleet, 8, seed)
        for number in range(RESTARTS):
            churn.restart(fleet.names[number % 5])
        left = churn.left()
        assert left.rows == {TABLE_KV: 3 * len(churn.values), TABLE_HINTS: 0, TABLE_OPERATIONS: 0}
        assert left.siblings <= 1 and left.actors <= 3


def one_node_boots_again_and_again(seed: int) -> None:
    """Each boot begins a segment of its log, and what is in it is soon overwritten."""
    with Fleet.running(seed, 3) as fleet:
        churn = Churn(fleet, 4, seed)
        for _ in range(BOOTS):
            churn.restart("n1")
        log = fleet.nodes["n1"].store.status
        fleet.until(lambda: int(log()["log_segments"]) <= SEGMENTS_MAX + 2 and int(log()["log_bytes"]) < 20_000)
        churn.check()


def cut_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each boot reads all that was ever written, and a file for each boot before it."""
    monkeypatch.setattr(Checkpoints, "_next", lambda self: None)


def number_from_one_in_each_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner then gives a dot again, or takes another name because its rows say that it has forgotten."""
    monkeypatch.setattr(actors, "first_number", lambda epoch: 0)


def leave_delivered_hints_in_their_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for them, and they are there for ever."""

    def delivered(self: HintStore, hint: HintKey, blob: bytes) -> None:
        if self.get(hint) == blob:
            self._forget(hint)

    monkeypatch.setattr(HintStore, "delivered", delivered)


def collect_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every key that was ever deleted is then a row of each owner."""
    monkeypatch.setattr(Collecting, "_tick", lambda self: None)


SAFEGUARDS = [
    Safeguard(
        "each boot numbers its writes above all before it",
        "No dot is given twice, however often a node boots.",
        number_from_one_in_each_boot,
        nodes_end_and_come_back,
    ),
    Safeguard(
        "the log is cut, however little is in its segments",
        "A log is as short as a fresh one after any number of boots.",
        cut_nothing,
        one_node_boots_again_and_again,
        seeds=range(1, 3),
    ),
    Safeguard(
        "a delivered hint leaves its table",
        "Tables are as small as fresh ones after any number of outages.",
        leave_delivered_hints_in_their_table,
        nodes_end_and_come_back,
    ),
    Safeguard(
        "tombstones leave their tables",
        "Tables are as small as fresh ones after any number of deletes.",
        collect_nothing,
        nodes_end_and_come_back,
    ),
]
