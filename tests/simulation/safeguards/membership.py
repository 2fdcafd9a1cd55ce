"""Membership: the dead are noticed, and the living are not declared dead."""

import pytest

from cluster.membership.push_pull import PushPulls
from cluster.membership.rumors import Rumors
from cluster.membership.suspicion import Suspicion
from cluster.simulation.fleet import Fleet
from tests.simulation.safeguards.registry import Safeguard


def two_of_three_are_killed(seed: int) -> None:
    """The survivor has nobody to confirm what its own dials find."""
    with Fleet.running(seed, 3) as fleet:
        fleet.crash("n2")
        fleet.crash("n3")
        fleet.until(lambda: all(fleet.believes("n1", name) == "dead" for name in ("n2", "n3")), 5.0)


def count_the_first_refusal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse = Suspicion.refuse
    monkeypatch.setattr(
        Suspicion, "refuse", lambda self, now, apart_s: not self.refusals and refuse(self, now, apart_s)
    )


def both_sides_of_a_partition_gave_each_other_up(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        left, right = fleet.names[:2], fleet.names[2:]
        fleet.world.partition([left, right])
        fleet.until(
            lambda: all(
                fleet.believes(one, other) == fleet.believes(other, one) == "dead" for one in left for other in right
            ),
            60.0,
        )
        fleet.world.heal()
        fleet.until(fleet.converged, 10.0)


def a_suspect_goes_on(seed: int) -> None:
    """A pause that is long enough to be suspected, and too short to be dead."""
    with Fleet.running(seed, 5) as fleet:
        fleet.world.pause("n3")
        fleet.until(lambda: any(fleet.believes(name, "n3") == "suspect" for name in fleet.names if name != "n3"), 5.0)
        fleet.world.resume("n3")
        fleet.world.run_for(15.0)
        assert fleet.converged()
        dead = [event for name in fleet.up for event in fleet.nodes[name].events.since(kind="member.dead")]
        assert not dead, dead[0]


def leave_the_dead_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PushPulls, "_reconnect", lambda self: None)


def refute_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rumors, "_answer", lambda self, rumor, via: False)


SAFEGUARDS = [
    Safeguard(
        "the dead are tried again",
        "The sides of a partition that healed find each other, although each took the other for dead.",
        leave_the_dead_alone,
        both_sides_of_a_partition_gave_each_other_up,
    ),
    Safeguard(
        "a suspect refutes",
        "A live member that was suspected is not declared dead.",
        refute_nothing,
        a_suspect_goes_on,
    ),
    Safeguard(
        "a port is found closed again and again",
        "A killed process is declared dead within five seconds, also when nobody is left to confirm it.",
        count_the_first_refusal_only,
        two_of_three_are_killed,
    ),
]
