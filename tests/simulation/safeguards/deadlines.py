"""Deadlines: nothing is carried out after its deadline."""

import pytest

from cluster.simulation.fleet import Fleet
from cluster.wire.clock import SenderClock
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.scenes import acknowledged, settled_siblings


def a_forwarded_write_meets_a_starved_owner(seed: int) -> None:
    """It waits in the owner's socket. Its client gets `maybe` and writes through another owner; then the first has a
    processor again, and reads its sockets before its timers run."""
    with Fleet.running(seed, 5) as fleet:
        owners = fleet.owners("cart")
        stranger = next(name for name in fleet.names if name not in owners)
        zero = acknowledged(fleet, stranger, "cart", b"zero")
        assert zero.coordinator == owners[0]
        fleet.world.stall(owners[0], 3.5)
        late = fleet.wait(fleet.put(stranger, "cart", b"one")).error
        assert late is not None and not late.definite
        acknowledged(fleet, owners[1], "cart", b"two", context=zero.context)
        fleet.world.run_for(3.5)
        assert settled_siblings(fleet, "cart") == [b"two"]


def date_messages_when_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of a deadline begins with the reading, as if it travelled as the time that remains."""

    def stamped(self: SenderClock, at: float, now: float) -> float:
        self.offset = now - at
        return now

    monkeypatch.setattr(SenderClock, "stamped", stamped)


SAFEGUARDS = [
    Safeguard(
        "deadlines are dated by the sender",
        "Nothing is executed after its deadline, whatever stopped its receiver.",
        date_messages_when_they_are_read,
        a_forwarded_write_meets_a_starved_owner,
    ),
]
