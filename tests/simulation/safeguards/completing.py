"""Completing: an owner that lost data votes again when nothing that was acknowledged can be missing, and not before."""

import pytest

from cluster.config import node_settings
from cluster.replication.completing import Completing
from cluster.replication.completion import Completion, CompletionReason
from cluster.simulation.fleet import Fleet
from cluster.wire.kv import Got
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.scenes import acknowledged, boot, crash_and_wait, settle, settled_siblings, wipe

KEYS = [f"key-{number}" for number in range(20)]


def assert_not_denied(fleet: Fleet, via: str, why: str) -> None:
    for key in KEYS:
        found = fleet.wait(fleet.get(via, key)).answer
        assert not isinstance(found, Got) or found.siblings == [b"precious"], f"{key}: not found; {why}"


def two_of_three_are_wiped(seed: int) -> None:
    """The third, which holds everything, is merely down; then it returns."""
    with Fleet.running(seed, 3) as fleet:
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"precious", strict=True)
        fleet.world.run_for(1.5)
        fleet.crash("n3")
        wipe(fleet, "n1", "n2")
        boot(fleet, "n1", "n2")
        for _ in range(4):
            fleet.world.run_for(2.0)
            assert_not_denied(fleet, "n1", "n3 holds it, and is merely down")
        boot(fleet, "n3")
        assert all(settled_siblings(fleet, key) == [b"precious"] for key in KEYS)


def ask_whoever_is_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """One scan is enough; nobody is waited for."""
    verdict = Completion.verdict
    monkeypatch.setattr(
        Completion, "verdict", lambda self: CompletionReason.ALL if any(self.scanned) else verdict(self)
    )


def ask_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Completion, "verdict", lambda self: CompletionReason.ALL)


def three_hold_it_and_two_of_them_are_wiped(seed: int) -> None:
    """Of five owners with W = 3. The two others missed it, and the third holder is merely down."""
    with Fleet.running(seed, 5, settings=node_settings(replication="5/3/3")) as fleet:
        holders, others = ["n1", "n2", "n3"], ["n4", "n5"]
        crash_and_wait(fleet, *others)
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"precious", strict=True)
        fleet.world.run_for(1.5)
        fleet.crash("n3")
        wipe(fleet, "n1", "n2")
        boot(fleet, *holders[:2], *others)
        for _ in range(4):
            fleet.world.run_for(2.0)
            assert_not_denied(fleet, "n1", "n3 holds it, and is merely down")
        boot(fleet, "n3")
        assert all(settled_siblings(fleet, key) == [b"precious"] for key in KEYS)


def count_sources_that_lost_data(monkeypatch: pytest.MonkeyPatch) -> None:
    on_scan = Completion.on_scan
    monkeypatch.setattr(Completion, "on_scan", lambda self, source, complete: on_scan(self, source, True))


def lost_again_before_it_is_complete(seed: int) -> None:
    """A wiped owner has merged one of two others and waits for the third. Cut off, it misses a write, of which the
    hints are lost; it hears of that when the cut heals, and the third returns."""
    with Fleet.running(seed, 4) as fleet:
        victim, holder, third = fleet.owners("cart")
        (stranger,) = fleet.fallbacks("cart")
        acknowledged(fleet, holder, "before", b"")
        fleet.world.run_for(1.5)
        crash_and_wait(fleet, third)
        wipe(fleet, victim)
        boot(fleet, victim)
        fleet.world.run_for(2.0)
        assert fleet.nodes[victim].replication.context.status.recovering
        fleet.world.partition([[victim], [holder, stranger]])
        fleet.until(lambda: fleet.believes(holder, victim) == fleet.believes(stranger, victim) == "dead", 60.0)
        acknowledged(fleet, holder, "cart", b"book")
        fleet.world.run_for(1.5)
        wipe(fleet, stranger)
        boot(fleet, stranger)
        fleet.world.heal()
        fleet.until(lambda: len(fleet.nodes[victim].events.since(kind="owner.recovering")) == 2, 60.0)
        fleet.world.partition([[holder], [third]])  # so that the third does not pass it on
        boot(fleet, third)
        fleet.until(lambda: not fleet.nodes[victim].replication.context.status.recovering, 60.0)
        fleet.world.heal()
        settle(fleet)
        assert fleet.stored(victim, "cart") is not None, "the source was merged before the write, and not again"


def scan_no_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Completing, "lost", lambda self, partition: None)


def a_source_dies_for_good(seed: int) -> None:
    """Of three owners one is wiped and one never returns: the wiped one waits and says for whom, with the command that
    goes on; and goes on when it is told to."""
    with Fleet.running(seed, 3) as fleet:
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"precious", strict=True)
        fleet.world.run_for(1.5)
        crash_and_wait(fleet, "n3")
        wipe(fleet, "n2")
        boot(fleet, "n2")
        fleet.world.run_for(10.0)
        health = fleet.wait(fleet.ask("n2", "health")).answer
        assert "waits for n3" in str(health) and "dsectl repair n2 --accept-loss" in str(health), health
        accepted = fleet.wait(fleet.ask("n2", "accept-loss")).answer
        assert "n3" in str(accepted)
        fleet.until(lambda: fleet.nodes["n2"].replication.context.status.state() == "running", 5.0)
        assert all(fleet.wait(fleet.get("n2", key)).answer.siblings for key in KEYS)  # type: ignore[union-attr]


def accept_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Completion, "accept_loss", lambda self, absent: [])


SAFEGUARDS = [
    Safeguard(
        "an owner is not completed from whoever is reachable",
        "Completing waits for absent owners: two wiped ones that fill each other deny what a third holds.",
        ask_whoever_is_reachable,
        two_of_three_are_wiped,
    ),
    Safeguard(
        "an owner is not completed from nobody",
        "An owner that lost data votes again only after others were merged.",
        ask_nobody,
        two_of_three_are_wiped,
    ),
    Safeguard(
        "only complete owners complete another, or all together",
        "Completing merges N-W+1 other owners that are complete, or every other one.",
        count_sources_that_lost_data,
        three_hold_it_and_two_of_them_are_wiped,
    ),
    Safeguard(
        "a new loss begins the scans anew",
        "What was merged before a loss says nothing about what was lost with it.",
        scan_no_second_time,
        lost_again_before_it_is_complete,
    ),
    Safeguard(
        "the loss of what absent owners hold can be accepted",
        "Every wait ends, or names what it waits for and the command that goes on without it.",
        accept_nothing,
        a_source_dies_for_good,
    ),
]
