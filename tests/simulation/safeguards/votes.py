"""Votes: only an owner that missed nothing may say that a key is not there."""

import pytest

from cluster.replication.catchup import CatchUp
from cluster.replication.voting import VotingStatus
from cluster.simulation.fleet import Fleet
from cluster.wire.kv import Got
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.scenes import acknowledged, boot, settled_siblings


def returning_owners_are_read_at_once(seed: int) -> None:
    """Both reachable owners of a key were away when it was written; they return, cut off from who has it, and are
    read."""
    with Fleet.running(seed, 5) as fleet:
        first, *others = fleet.owners("cart")
        for name in others:
            fleet.crash(name)
        fleet.until(lambda: all(fleet.believes(first, name) != "alive" for name in others))
        acknowledged(fleet, first, "cart", b"book")
        fleet.world.partition([others, [name for name in fleet.names if name not in others]])
        boot(fleet, *others)
        cut_off = fleet.wait(fleet.get(others[0], "cart")).answer
        assert not isinstance(cut_off, Got) or cut_off.siblings, "not found, by two who knew that they had been away"
        fleet.world.heal()
        assert settled_siblings(fleet, "cart") == [b"book"]


def vote_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CatchUp, "begin", lambda self, reason: None)
    monkeypatch.setattr(VotingStatus, "votes", lambda self, partition: True)


SAFEGUARDS = [
    Safeguard(
        "a returning owner has no vote until it has caught up",
        "Not found needs N-W+1 owners that missed nothing.",
        vote_at_once,
        returning_owners_are_read_at_once,
    ),
]
