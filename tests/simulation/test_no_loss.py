"""No acknowledged write is lost, whatever the seed does: kills, pauses, partitions and slow links, alone and
together."""

from random import Random

from cluster.config import NodeSettings
from cluster.simulation.fleet import Fleet
from tests.simulation.account import Account
from tests.simulation.nemesis import Nemesis


def run(seed: int, *, down_max: int, settings: NodeSettings | None = None, steps: int = 12, nodes: int = 5) -> Account:
    with Fleet(seed, nodes, settings=settings) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        random = Random(f"{seed}/nemesis")
        nemesis, account = Nemesis(fleet, random, down_max=down_max), Account(fleet)
        for _ in range(steps):
            nemesis.act()
            for _ in range(8):
                up = nemesis.running
                if up:
                    account.write(random.choice(up))
                fleet.world.run_for(random.choice((0.0, 0.01, 0.1, 0.4)))
        nemesis.end()
        fleet.world.run_for(1.5)  # every write has met its deadline
        fleet.until(fleet.settled, timeout=120.0)
        account.check()
        assert not fleet.fatal
    return account


def test_faults_on_one_node_at_a_time(seed: int) -> None:
    account = run(seed, down_max=1)
    assert len(account.acknowledged()) > 20, "the run wrote too little to prove anything"


def test_faults_on_many_nodes(seed: int) -> None:
    run(seed, down_max=5)
