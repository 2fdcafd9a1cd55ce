"""Hints: what was acknowledged for an owner that is away reaches it."""

from collections.abc import Callable
from typing import Any

import pytest

from cluster.replication.hints import HintStore
from cluster.simulation.fleet import Fleet
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.scenes import acknowledged, boot, crash_and_wait, read, settle


def the_owner_that_was_away_remains_alone(seed: int) -> None:
    """A write is acknowledged without one owner; that one returns, all settles, and the other two owners go."""
    with Fleet.running(seed, 5) as fleet:
        first, second, away = fleet.owners("cart")
        crash_and_wait(fleet, away)
        acknowledged(fleet, first, "cart", b"book")
        fleet.world.run_for(1.5)
        boot(fleet, away)
        settle(fleet)
        crash_and_wait(fleet, first, second)
        assert read(fleet, away, "cart", r=1) == [b"book"]


def keep_no_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    def add(self: HintStore, hint: Any, blob: bytes, done: Callable[[None], None]) -> None:
        done(None)

    monkeypatch.setattr(HintStore, "add", add)


SAFEGUARDS = [
    Safeguard(
        "hints are kept",
        "After settling every owner holds what was acknowledged while it was away.",
        keep_no_hints,
        the_owner_that_was_away_remains_alone,
    ),
]
