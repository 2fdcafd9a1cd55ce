"""The enemy of the other tests does something with each step, and leaves a way back."""

from collections import Counter
from random import Random

from cluster.simulation.fleet import Fleet
from tests.simulation.nemesis import STEPS, Nemesis

ALL = [
    *STEPS,
    Nemesis.power_loss,
    Nemesis.outage,
    Nemesis.damage,
    Nemesis.wipe,
    Nemesis.fill_disk,
    Nemesis.empty_disk,
    Nemesis.slow_disk,
    Nemesis.set_clock,
]


def state(nemesis: Nemesis) -> tuple[object, ...]:
    """All that a step can change at once, or is sure to change soon."""
    fleet = nemesis.fleet
    skews = [fleet.world.env(name).clock.wall() for name in fleet.up]
    faults = [fault.id for fault in fleet.faults.faults if fault.active]
    logs = [[fleet.world.disk(name).read(path) for path in nemesis._logs(name)] for name in nemesis.down]
    return (
        logs,
        nemesis.running,
        nemesis.down,
        list(nemesis.paused),
        list(nemesis._doomed),
        list(nemesis.full),
        skews,
        faults,
    )


def run(seed: int) -> Nemesis:
    with Fleet.running(seed, 5) as fleet:
        nemesis = Nemesis(fleet, Random(seed), down_max=2, steps=ALL)
        for _ in range(40):
            before, steps = state(nemesis), sum(nemesis.done.values())
            nemesis.act()
            assert sum(nemesis.done.values()) == steps + 1
            assert state(nemesis) != before, f"{nemesis.log[-1]} did nothing"
            for number in range(3):
                if nemesis.running:
                    fleet.put(nemesis.running[0], f"key-{number}", b"x")
                fleet.world.run_for(0.2)
        nemesis.end()
        assert fleet.settled() and not nemesis.down and not nemesis.paused
        links = [fault for fault in fleet.faults.faults if fault.of.scope == "link"]
        assert links and any(nemesis.touched().get(fault.id) for fault in links)
        return nemesis


def test_each_step_changes_something_and_the_end_undoes_all(seed: int) -> None:
    run(seed)


def test_a_few_runs_take_every_step() -> None:
    done: Counter[str] = Counter()
    for seed in range(1, 7):
        done += run(seed).done
    assert set(done) == {step.__name__ for step in ALL}
