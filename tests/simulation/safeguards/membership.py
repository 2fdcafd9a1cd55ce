"""Membership: the dead are noticed, and the living are not declared dead."""

import pytest

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


SAFEGUARDS = [
    Safeguard(
        "a port is found closed again and again",
        "A killed process is declared dead within five seconds, also when nobody is left to confirm it.",
        count_the_first_refusal_only,
        two_of_three_are_killed,
    ),
]
