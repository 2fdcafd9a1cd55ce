"""Reads: what one quorum has been shown, the next one finds."""

import pytest

from cluster.replication.quorum import ReadVerdict
from cluster.replication.reader import ReadOperation
from cluster.simulation.fleet import Fleet
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.scenes import acknowledged, crash_and_wait, read


def a_value_of_one_owner_is_read(seed: int) -> None:
    """A coordinator dies when one copy has left. A read of both other owners shows the value; then the one that had it
    goes, too."""
    with Fleet.running(seed, 3) as fleet:
        first, *others = fleet.owners("cart")
        acknowledged(fleet, first, "warm", b"", w=3)
        fleet.crash_inside(first, "write", 1)
        fleet.put(first, "cart", b"book")
        fleet.until(lambda: first not in fleet.nodes)
        fleet.world.run_for(0.1)
        holders = [name for name in others if fleet.stored(name, "cart") is not None]
        assert len(holders) == 1, "one copy was to leave"
        (last,) = [name for name in others if name not in holders]
        assert read(fleet, holders[0], "cart") == [b"book"]
        crash_and_wait(fleet, holders[0])
        assert read(fleet, last, "cart", r=1) == [b"book"]


def answer_without_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    def repair(self: ReadOperation, verdict: ReadVerdict, blob: bytes) -> None:
        self._end(verdict, 0, None)

    monkeypatch.setattr(ReadOperation, "_repair", repair)


SAFEGUARDS = [
    Safeguard(
        "read repair",
        "A value that a quorum has been shown is found by the next one.",
        answer_without_repair,
        a_value_of_one_owner_is_read,
    ),
]
