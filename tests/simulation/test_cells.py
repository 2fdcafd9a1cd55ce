"""Counters and sets under faults: nothing acknowledged is lost or counted twice, and nothing removed comes back."""

from collections.abc import Sequence
from random import Random

from cluster.replication.mergeable import TABLE_KV
from cluster.simulation.fleet import Fleet
from cluster.wire.kv import AddItems, Increment, Remove, Updated
from tests.simulation.growth import Growth
from tests.simulation.nemesis import LOSSES, STEPS, Nemesis, Step
from tests.simulation.safeguards.cells import changed, shown
from tests.simulation.safeguards.collecting import go_on, lost_all_but
from tests.simulation.safeguards.scenes import settle
from tests.simulation.tallies import ACKNOWLEDGED, COUNTERS, SETS, Tallies

SOON_S = 30.0
STEPS_OF_NEMESIS = 12
ILL: Sequence[Step] = (
    *STEPS,
    Nemesis.fill_disk,
    Nemesis.fill_disk,
    Nemesis.empty_disk,
    Nemesis.slow_disk,
    Nemesis.set_clock,
)


def run(
    seed: int,
    *,
    down_max: int,
    steps: Sequence[Step] | None = None,
    promised: tuple[str, ...] = ACKNOWLEDGED,
    grows: bool = False,
) -> Tallies:
    with Fleet(seed, 5) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        random = Random(f"{seed}/cells")
        nemesis = (Growth if grows else Nemesis)(fleet, random, down_max=down_max, steps=steps)
        tallies = Tallies(fleet, random, promised=promised)
        for _ in range(STEPS_OF_NEMESIS):
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


def test_full_and_slow_disks_and_wrong_clocks(seed: int) -> None:
    run(seed, down_max=1, steps=ILL)


def test_one_node_loses_data_again_and_again(seed: int) -> None:
    """What ended ok is at two owners; what is sloppy may be with the one that loses it."""
    run(seed, down_max=1, steps=LOSSES, promised=("ok",))


def test_a_node_that_lost_data_adds_to_what_it_has(seed: int) -> None:
    """What it has was deleted and collected, and it cannot be completed yet."""
    with Fleet.running(seed, 5) as fleet:
        changed(fleet, "n1", "cart", AddItems([b"old"]))
        settle(fleet)
        lost, *others = fleet.owners("cart")
        before = fleet.stored(lost, "cart")
        assert before is not None
        changed(fleet, "n1", "cart", Remove(), strict=True)
        fleet.until(lambda: not any(fleet.stored(name, "cart") for name in (lost, *others)), SOON_S)
        lost_all_but(fleet, lost, before)
        changed(fleet, lost, "cart", AddItems([b"new"]))
        go_on(fleet, lost)
        settle(fleet)
        fleet.world.run_for(8.0)
        assert shown(fleet, "cart") == [b"new"]
