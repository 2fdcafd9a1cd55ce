"""Deadlines: nothing is carried out after its deadline."""

from typing import Any

import pytest

from cluster.kv import coordinator, reads
from cluster.kv.forward import ForwardedPut
from cluster.replication.replica import Replica
from cluster.simulation.fleet import Fleet
from cluster.wire.clock import SenderClock
from cluster.wire.kv import Put, PutDone
from tests.simulation.clients import all_ended, client_of
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
        late = fleet.wait(fleet.put(stranger, "cart", b"one")).answer
        assert isinstance(late, PutDone) and (late.outcome, late.coordinator) == ("maybe", owners[0])
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

    def forget(self: ForwardedPut[Put]) -> None:
        self.inbound.deadline, deadline = self.inbound.deadline + 60.0, self.inbound.deadline
        proceed(self)
        self.inbound.deadline = deadline

    monkeypatch.setattr(ForwardedPut, "next", forget)


def copies_wait_at_owners_that_stand_still(seed: int) -> None:
    """A coordinator dies while the copies of its write wait in the sockets of both other owners. Its client was told
    `maybe`, and that nothing more happens after the deadline."""
    with Fleet.running(seed, 3) as fleet:
        first, *others = fleet.owners("cart")
        acknowledged(fleet, first, "warm", b"", w=3)
        for name in others:
            fleet.world.pause(name)
        fleet.put(first, "cart", b"late")
        fleet.world.run_for(0.1)
        fleet.crash(first)
        fleet.world.run_for(2.0)
        for name in others:
            fleet.world.resume(name)
        fleet.world.run_for(1.0)
        assert [name for name in others if fleet.stored(name, "cart") is not None] == []


def apply_copies_whenever_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    apply = Replica.replicate_batch

    def ageless(self: Replica, inbound: Any) -> None:
        inbound.body.copies = [(copy[0], float("inf"), *copy[2:]) for copy in inbound.body.copies]
        apply(self, inbound)

    monkeypatch.setattr(Replica, "replicate_batch", ageless)


def most_nodes_stop(seed: int) -> None:
    """Two of three, or three of five: nobody answers whose silence could be told from a standstill of one's own, so
    what is under way ends with its second."""
    for nodes, stopped in ((3, 2), (5, 3)):
        with Fleet.running(seed, nodes) as fleet:
            client = client_of(fleet)
            for name in fleet.names[-stopped:]:
                fleet.world.pause(name)
            made = [client.put(f"key-{number}", b"v") for number in range(40)]
            made += [client.get(f"key-{number}") for number in range(40)]
            all_ended(fleet, made)
            took_s = max(one.took_s or 0.0 for one in made)
            assert took_s <= 1.0, f"an operation took {took_s:.4f} s"


def use_the_whole_second(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (coordinator, reads):
        monkeypatch.setattr(module, "ANSWER_S", 0.0)


SAFEGUARDS = [
    Safeguard(
        "an answer is on its way before the deadline",
        "No operation over its second.",
        use_the_whole_second,
        most_nodes_stop,
    ),
    Safeguard(
        "deadlines are dated by the sender",
        "Nothing is executed after its deadline, whatever stopped its receiver.",
        date_messages_when_they_are_read,
        a_forwarded_write_meets_a_starved_owner,
    ),
    Safeguard(
        "copies that have expired are dropped",
        "After its deadline a write that is not known to be kept is begun at no further owner.",
        apply_copies_whenever_they_come,
        copies_wait_at_owners_that_stand_still,
    ),
    Safeguard(
        "a put that no owner took in time ends",
        "Nothing is executed after its deadline, whatever stopped the node that passes it on.",
        try_the_next_whatever_the_time,
        a_forwarder_is_stopped_while_it_dials,
    ),
]
