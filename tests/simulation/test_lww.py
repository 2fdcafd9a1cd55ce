"""Buckets in which the last writer wins: by clocks that differ, and that are wrong."""

import pytest

from cluster.errors import WrongClock
from cluster.simulation.fleet import Fleet
from tests.simulation.safeguards.scenes import boot
from tests.simulation.test_buckets import created


def lww(seed: int, count: int = 5) -> Fleet:
    fleet = Fleet.running(seed, count)
    created(fleet, "n1", "last", resolver="lww")
    fleet.world.run_for(0.2)
    return fleet


def ahead_s(fleet: Fleet) -> dict[str, int]:
    return {name: round(node.peer_clocks.ahead_s) for name, node in fleet.nodes.items()}


def test_each_node_has_the_median_of_its_peers_clocks(seed: int) -> None:
    with lww(seed) as fleet:
        assert set(ahead_s(fleet).values()) == {0}
        fleet.world.set_clock("n3", skew=90.0)
        assert ahead_s(fleet) == {"n1": 0, "n2": 0, "n3": 90, "n4": 0, "n5": 0}, "its own jump shows at once"
        fleet.world.set_clock("n1", skew=-30.0)
        fleet.world.run_for(5.0)
        assert ahead_s(fleet) == {"n1": -30, "n2": 0, "n3": 90, "n4": 0, "n5": 0}
        for name, node in fleet.nodes.items():
            if name == "n3":
                with pytest.raises(WrongClock, match=r"the clock of n3 is .* s ahead of those of its peers"):
                    node.peer_clocks.check()
            else:
                node.peer_clocks.check()
        fleet.crash("n3")
        boot(fleet, "n3")
        fleet.until(lambda: fleet.converged(), 5.0)
        fleet.world.run_for(0.2)
        with pytest.raises(WrongClock):
            fleet.nodes["n3"].peer_clocks.check()
        fleet.world.set_clock("n3", skew=0.0)
        fleet.nodes["n3"].peer_clocks.check()


def test_nobody_reads_a_clock_that_no_bucket_needs(seed: int) -> None:
    """A fault of a clock counts what it touched."""
    with Fleet.running(seed, 3) as fleet:
        created(fleet, "n1", "orders")
        fleet.world.set_clock("n3", skew=90.0)
        fleet.world.run_for(5.0)
        assert set(ahead_s(fleet).values()) == {0}
