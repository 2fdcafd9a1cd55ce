"""Power loss: with durability `always` nothing acknowledged is lost; with `interval` it may be, and a run shows it."""

from random import Random

import pytest

from cluster.config import node_settings
from cluster.simulation.fleet import Fleet
from cluster.wire.kv import Got
from tests.simulation.nemesis import Account


def all_lose_power(seed: int, durability: str) -> list[str]:
    """Write, cut the power of every node at once, start again; the acknowledged keys that are gone."""
    with Fleet(seed, 3, settings=node_settings(durability=durability)) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        random, account = Random(f"{seed}/writes"), Account(fleet)
        for _ in range(40):
            account.write(random.choice(fleet.up))
            fleet.world.run_for(0.02)
        acknowledged = account.acknowledged()
        assert len(acknowledged) >= 30, "too little was written to prove anything"
        for name in list(fleet.names):
            fleet.power_loss(name)
        fleet.start()
        fleet.until(fleet.settled, 60.0)
        gone = []
        for key in acknowledged:
            answer = fleet.wait(fleet.get("n1", key, r=3)).answer
            assert isinstance(answer, Got)
            assert all(value == account.writes[key][0] for value in answer.siblings)
            if not answer.siblings:
                gone.append(key)
        return gone


def test_always_loses_nothing(seed: int) -> None:
    assert all_lose_power(seed, "always") == []


def test_interval_may_lose_the_last_second_and_the_check_sees_it() -> None:
    assert all_lose_power(1, "interval") != []


@pytest.mark.parametrize("torn", [1, 2, 3])
def test_power_loss_of_one_node_at_a_time_with_always(torn: int) -> None:
    with Fleet(torn, 5, settings=node_settings(durability="always")) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        random, account = Random(torn), Account(fleet)
        for victim in fleet.names:
            for _ in range(10):
                account.write(random.choice(fleet.up))
                fleet.world.run_for(0.01)
            fleet.power_loss(victim)
            for _ in range(10):
                account.write(random.choice(fleet.up))
                fleet.world.run_for(0.05)
            fleet.start(victim)
            fleet.until(fleet.settled, 60.0)
        fleet.world.run_for(1.5)
        account.check()
