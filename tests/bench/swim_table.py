"""The SWIM table: how long until a crash is first suspected, and until everybody knows, by the size of the group.

`python -m tests.bench.swim_table` simulates it and prints a Markdown table. The lan preset has no watch links, and the
crash is silent (the machine is gone: no refusals), so what is measured is SWIM alone. SWIM (Das, Gupta, Motivala, DSN
2002), section 3.1: the expected time to first detection is e/(e-1), about 1.58 periods, whatever the size; section 4.1:
an update reaches everybody within O(log n) rounds of dissemination.
"""

import math
import os
import statistics
from random import Random

from cluster.config import node_settings
from cluster.simulation.fleet import Fleet
from tests.bench.harness import show

SIZES = [int(text) for text in os.environ.get("SIZES", "8,16,32,64").split(",")]
SEEDS = range(1, int(os.environ.get("SEEDS", "15")) + 1)


def measure(seed: int, size: int, profile: str, silent: bool) -> tuple[float, float, int]:
    """Seconds from the crash to the first suspicion, from there to the last member's, and false deaths."""
    with Fleet(seed, size, settings=node_settings(profile)) as fleet:
        fleet.start()
        fleet.until(fleet.converged, 60.0)
        random = Random(f"{seed}/{size}")
        fleet.world.run_for(5.0 + random.random() * 3)
        victim = random.choice(fleet.names)
        others = [name for name in fleet.names if name != victim]
        fleet.nodes.pop(victim)
        fleet.world.power_loss(victim, silent=silent)
        first = fleet.until(lambda: any(fleet.believes(name, victim) != "alive" for name in others), 60.0)
        last = fleet.until(lambda: all(fleet.believes(name, victim) != "alive" for name in others), 60.0)
        dead = [
            subject for name in others for subject in others if fleet.believes(name, subject) == "dead"
        ]  # fmt: skip
        return first, last, len(dead)


def row(size: int, profile: str, silent: bool) -> str:
    """One line of the table."""
    settings = node_settings(profile).membership
    runs = [measure(seed, size, profile, silent) for seed in SEEDS]
    firsts = [run[0] / settings.probe_interval_s for run in runs]
    rounds = statistics.median(run[1] for run in runs) / settings.gossip_interval_s
    crash = "silent" if silent else "visible"
    cells = [profile, crash, size, f"{statistics.mean(firsts):.2f}", f"{statistics.median(firsts):.2f}"]
    cells += [f"{rounds:.1f}", f"{math.log2(size):.1f}", sum(run[2] for run in runs)]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def main() -> None:
    """The table."""
    show(
        "| preset | crash | nodes | first detection, mean | median | gossip rounds to the last | log2 n | false deaths |"
    )
    show("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for profile, silent in (("lan", True), ("local", False)):
        for size in SIZES:
            show(row(size, profile, silent))


if __name__ == "__main__":
    main()
