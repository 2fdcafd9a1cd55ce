"""Versions: a dot is never given twice."""

import pytest

from cluster.kv.actors import Actors
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


def keep_the_actor_over_a_power_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock then claims that the lost write was replaced: whoever holds it drops it."""
    kept = Actors._kept

    def resume(self: Actors, lost: str) -> str:
        found = kept(self)
        if found is None:
            self._keep()
        else:
            self.actor = found.actor
        return ""

    monkeypatch.setattr(Actors, "resume", resume)


SAFEGUARDS = [
    Safeguard(
        "a new actor after a power loss",
        "The actor changes whenever something may be lost.",
        keep_the_actor_over_a_power_loss,
        a_coordinator_forgets_what_it_counted,
    ),
]
