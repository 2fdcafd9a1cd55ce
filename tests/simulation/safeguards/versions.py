"""Versions: a dot is never given twice."""

import pytest

from cluster.kv.actors import ActorMint
from cluster.simulation.fleet import Fleet
from cluster.wire.kv import PutDone
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.scenes import acknowledged, boot, settled_siblings


def a_coordinator_forgets_what_it_counted(seed: int) -> None:
    """An owner acknowledges a write, loses it with its power, and writes the same key again as soon as it runs."""
    with Fleet.running(seed, 5) as fleet:
        owner = fleet.owners("cart")[0]
        acknowledged(fleet, owner, "cart", b"one")
        fleet.power_loss(owner)
        boot(fleet, owner)
        again = fleet.wait(fleet.put(owner, "cart", b"two"))
        wanted = [b"one", b"two"] if isinstance(again.answer, PutDone) else [b"one"]
        found = settled_siblings(fleet, "cart")
        assert found == wanted or (again.error is not None and found == [b"one", b"two"]), found


def leave_boot_epochs_out_of_actors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two values under one dot: whoever holds either takes the other for known, and one is gone."""
    made = ActorMint.__init__
    monkeypatch.setattr(ActorMint, "__init__", lambda self, id, epoch: made(self, id, 0))


SAFEGUARDS = [
    Safeguard(
        "the boot epoch is in the actor",
        "A dot is never given twice: not after a power loss either.",
        leave_boot_epochs_out_of_actors,
        a_coordinator_forgets_what_it_counted,
    ),
]
