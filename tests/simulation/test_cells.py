"""Counters and sets under faults: nothing acknowledged is lost or counted twice, and nothing removed comes back."""

from random import Random

from cluster.replication.mergeable import TABLE_KV
from cluster.simulation.fleet import Fleet
from cluster.wire.kv import AddItems, Increment, Updated
from tests.simulation.growth import Growth
from tests.simulation.nemesis import Nemesis
from tests.simulation.tallies import COUNTERS, SETS, Tallies

SOON_S = 30.0


def run(seed: int, *, down_max: int, steps: int = 12, grows: bool = False) -> Tallies:
    with Fleet(seed, 5) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        random = Random(f"{seed}/cells")
        nemesis = (Growth if grows else Nemesis)(fleet, random, down_max=down_max)
        tallies = Tallies(fleet, random)
        for _ in range(steps):
            nemesis.act()
            for _ in range(12):
                if up := nemesis.running:
                    tallies.act(random.choice(up))
                fleet.world.run_for(random.choice((0.0, 0.01, 0.05, 0.3)))
        nemesis.end()
        fleet.world.run_for(1.5)  # every write has met its deadline
        fleet.until(fleet.settled, timeout=120.0)
        tallies.check()
        assert not fleet.fatal
        collected(fleet, tallies)
    return tallies


def rows(fleet: Fleet) -> int:
    """How many copies of keys there are."""
    return sum(node.store.count(TABLE_KV, partition) for node in fleet.nodes.values() for partition in range(256))


def collected(fleet: Fleet, tallies: Tallies) -> None:
    """What is deleted goes from all owners, and what begins anew has nothing of what was before."""
    tallies.delete_all()
    fleet.until(lambda: rows(fleet) == 0, SOON_S)
    for key in COUNTERS:
        answer = fleet.wait(fleet.update(fleet.up[0], key, Increment(3))).answer
        assert isinstance(answer, Updated) and answer.value == b"3", answer
    for key in SETS:
        answer = fleet.wait(fleet.update(fleet.up[0], key, AddItems([b"new"]))).answer
        assert isinstance(answer, Updated) and answer.changed == 1, answer


def test_faults_on_one_node_at_a_time(seed: int) -> None:
    tallies = run(seed, down_max=1)
    done = [one for changes in tallies.counted.values() for one in changes if one.acknowledged]
    assert len(done) > 20, "the run counted too little to prove anything"


def test_faults_on_many_nodes(seed: int) -> None:
    run(seed, down_max=5)


def test_while_nodes_join_and_leave(seed: int) -> None:
    run(seed, down_max=1, grows=True)
