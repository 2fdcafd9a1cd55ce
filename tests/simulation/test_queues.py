"""Work queues under faults: nothing acknowledged is lost, nothing done with comes back, and empty means empty."""

from collections import Counter
from collections.abc import Sequence
from random import Random

from cluster.config import NodeSettings, node_settings
from cluster.queues.rows import KIND_BLOCK, KIND_NOTES
from cluster.simulation.fleet import Fleet
from tests.simulation.growth import Growth
from tests.simulation.nemesis import LOSSES, STEPS, Nemesis, Step
from tests.simulation.queues import PROMISED, Workload, rows
from tests.simulation.safeguards.queuescene import Scene
from tests.simulation.safeguards.scenes import settle

STEPS_OF_NEMESIS = 12
ILL: Sequence[Step] = (
    *STEPS,
    Nemesis.fill_disk,
    Nemesis.fill_disk,
    Nemesis.empty_disk,
    Nemesis.slow_disk,
    Nemesis.set_clock,
)
KILLS_AND_PAUSES: Sequence[Step] = (
    Nemesis.crash,
    Nemesis.pause,
    Nemesis.stall,
    Nemesis.restart,
    Nemesis.resume,
    Nemesis.rest,
)
LINKS: Sequence[Step] = (Nemesis.rest, Nemesis.partition, Nemesis.partition, Nemesis.slow, Nemesis.heal)


def run(
    seed: int,
    *,
    down_max: int,
    steps: Sequence[Step] | None = None,
    exact: bool = False,
    promised: Sequence[str] = PROMISED,
    grows: bool = False,
    zones: int = 1,
    nodes: int = 5,
    settings: NodeSettings | None = None,
) -> Workload:
    with Fleet(seed, nodes, zones=zones, settings=settings) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        random = Random(f"{seed}/queues")
        workload = Workload(fleet, random, exact=exact, promised=promised)
        nemesis = (Growth if grows else Nemesis)(fleet, random, down_max=down_max, steps=steps)
        for _ in range(STEPS_OF_NEMESIS):
            nemesis.act()
            for _ in range(14):
                if up := nemesis.running:
                    workload.act(random.choice(up))
                fleet.world.run_for(random.choice((0.0, 0.01, 0.05, 0.3)))
        nemesis.end()
        fleet.world.run_for(1.5)  # every send has met its deadline
        fleet.until(fleet.settled, timeout=120.0)
        workload.check()
        assert not fleet.fatal
        fleet.until(lambda: not any(rows(fleet, KIND_BLOCK, KIND_NOTES).values()), 30.0)
    return workload


def test_a_full_queue_is_full_whichever_node_is_asked(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        scene = Scene(fleet, max_depth=2)
        for via in scene.owners[:2]:
            scene.send(via, b"one")
        settle(fleet)
        for via in fleet.names:
            error = fleet.wait(fleet.send(via, "jobs", [b"too many"])).error
            assert error is not None and error.code == "queue-full" and error.definite, (via, error)
        message = scene.receive(scene.others[0], max=1)[0]
        assert scene.ack(scene.others[0], message) == "ok"
        scene.send(scene.others[0], b"three")


def test_a_giver_that_has_nothing_at_all_is_not_taken_for_one_that_has_the_same(seed: int) -> None:
    """Its disk was full when the first message came; another owner is asked whether there is any."""
    with Fleet.running(seed, 5) as fleet:
        scene = Scene(fleet)
        name, other, _ = scene.owners
        fleet.fault("disk-full", nodes=[name])
        fleet.world.run_for(0.1)
        scene.send(other, b"one")
        answer = scene.look(other)
        assert answer.messages or answer.shards_unreachable, "said empty, and has a message itself"


def test_a_giver_does_not_give_what_another_gave_meanwhile(seed: int) -> None:
    """It is silent for a while, in the middle of a block, of which its successor leases the rest."""
    with Fleet.running(seed, 5) as fleet:
        scene = Scene(fleet, visibility_s=60.0)
        name, other, _ = scene.owners
        scene.send(other, *(b"%d" % number for number in range(8)))
        settle(fleet)
        came = [one.body for one in scene.receive(other, max=2)]
        fleet.pause(name)
        scene.noticed(name)
        came += [one.body for one in scene.receive(other, max=4, wait_s=2.0)]
        assert len(came) == 6
        fleet.resume(name)
        settle(fleet)
        fleet.world.run_for(1.0)
        came += [one.body for one in scene.receive(name, max=10, wait_s=2.0)]
        assert sorted(came) == [b"%d" % number for number in range(8)]


def test_without_faults(seed: int) -> None:
    workload = run(seed, down_max=0, steps=[Nemesis.rest], exact=True)
    assert len(workload.acked) > 50 and workload.situations["empty is said"] > 0, (
        "the run did too little to prove anything"
    )


def test_kills_and_pauses_of_one_node_at_a_time(seed: int) -> None:
    workload = run(seed, down_max=1, steps=KILLS_AND_PAUSES, exact=True)
    assert len(workload.acked) > 20, "the run did too little to prove anything"


def test_faults_on_one_node_at_a_time(seed: int) -> None:
    run(seed, down_max=1)


def test_faults_on_many_nodes(seed: int) -> None:
    run(seed, down_max=5)


def test_partitions_and_slow_links(seed: int) -> None:
    run(seed, down_max=0, steps=LINKS)


def test_a_zone_at_a_time(seed: int) -> None:
    """Three zones of two nodes."""
    run(seed, down_max=2, steps=[Nemesis.kill_zone, Nemesis.restart, Nemesis.rest], zones=3, nodes=6)


def test_while_nodes_join_and_leave(seed: int) -> None:
    run(seed, down_max=1, grows=True)


def test_full_and_slow_disks_and_wrong_clocks(seed: int) -> None:
    run(seed, down_max=1, steps=ILL)


def test_one_node_loses_data_again_and_again(seed: int) -> None:
    """Flipped bytes, wiped disks, power lost. What ended ok is at two owners."""
    run(seed, down_max=1, steps=LOSSES, promised=("ok",))


def test_power_loss_of_all_where_every_write_is_synced(seed: int) -> None:
    steps = [*STEPS, Nemesis.power_loss, Nemesis.power_loss]
    run(seed, down_max=5, steps=steps, settings=node_settings(durability="always"))


SITUATIONS = (
    "send: ok",
    "send: ok-sloppy",
    "send: maybe",
    "send: no",
    "acknowledgement: ok",
    "acknowledgement: ok-sloppy",
    "delivered again",
    "dead letter",
    "empty is said",
    "empty is not known",
)


def test_the_runs_reach_what_they_claim_to_have_tried() -> None:
    found: Counter[str] = Counter()
    for seed in (1, 2, 3):
        found += run(seed, down_max=5).situations + run(seed, down_max=0, steps=LINKS).situations
    missed = [name for name in SITUATIONS if found[name] < 2]
    assert not missed, f"the runs never came to {missed}; they found {dict(sorted(found.items()))}"
