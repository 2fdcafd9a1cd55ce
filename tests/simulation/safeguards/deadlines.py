"""Deadlines: nothing is carried out after its deadline."""

import pytest

from cluster.kv.forward import ForwardedPut
from cluster.simulation.fleet import Fleet
from cluster.wire.clock import SenderClock
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.scenes import acknowledged, crash_and_wait, settled_siblings


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


def a_forwarder_is_stopped_while_it_dials(seed: int) -> None:
    """The last owner that runs loses its power. The node that was asked dials it when it is stopped; when it goes on,
    long after, that dial has failed for sure, and there is nobody else to ask."""
    with Fleet.running(seed, 5) as fleet:
        owners = fleet.owners("cart")
        stranger = next(name for name in fleet.names if name not in owners)
        crash_and_wait(fleet, *owners[1:])
        fleet.power_loss(owners[0], silent=True)
        fleet.put(stranger, "cart", b"late")
        fleet.world.run_for(0.02)
        fleet.world.pause(stranger)
        fleet.world.run_for(3.0)
        fleet.world.resume(stranger)
        fleet.world.run_for(1.0)
        fleet.start()
        fleet.until(lambda: len(fleet.up) == 5)
        assert settled_siblings(fleet, "cart") == []


def try_the_next_whatever_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    proceed = ForwardedPut.next

    def forget(self: ForwardedPut) -> None:
        self.inbound.deadline, deadline = self.inbound.deadline + 60.0, self.inbound.deadline
        proceed(self)
        self.inbound.deadline = deadline

    monkeypatch.setattr(ForwardedPut, "next", forget)


SAFEGUARDS = [
    Safeguard(
        "deadlines are dated by the sender",
        "Nothing is executed after its deadline, whatever stopped its receiver.",
        date_messages_when_they_are_read,
        a_forwarded_write_meets_a_starved_owner,
    ),
    Safeguard(
        "a put that no owner took in time ends",
        "Nothing is executed after its deadline, whatever stopped the node that passes it on.",
        try_the_next_whatever_the_time,
        a_forwarder_is_stopped_while_it_dials,
    ),
]
