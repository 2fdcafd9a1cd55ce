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
from cluster.simulation.world import LOOPBACK
from tests.bench.harness import show

SIZES = [int(text) for text in os.environ.get("SIZES", "8,16,32,64").split(",")]
STEP_S = 0.0002
HOP_S = LOOPBACK.delay + LOOPBACK.jitter / 2
"""The mean way from node to node."""
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
        crashed = fleet.world.now
        noticed = lambda: any(fleet.believes(name, victim) != "alive" for name in others)  # noqa: E731
        fleet.world.run_until_true(noticed, 60.0, step=STEP_S)
        first = fleet.world.now - crashed
        begun = fleet.world.now
        waiting = dict.fromkeys(others)

        def spread() -> bool:
            for name in list(waiting):
                if fleet.believes(name, victim) != "alive":
                    del waiting[name]
            return not waiting

        fleet.world.run_until_true(spread, 60.0, step=STEP_S)
        last = fleet.world.now - begun
        dead = [one for name in others for one in others if fleet.believes(name, one) == "dead"]
        return first, last, len(dead)


def row(size: int, profile: str, silent: bool) -> str:
    """One line of the table."""
    settings = node_settings(profile).membership
    runs = [measure(seed, size, profile, silent) for seed in SEEDS]
    firsts = [run[0] / settings.probe_interval_s for run in runs]
    spread_ms = statistics.median(run[1] for run in runs) * 1e3
    crash = "silent" if silent else "visible"
    cells = [profile, crash, size, f"{statistics.mean(firsts):.2f}", f"{statistics.median(firsts):.2f}"]
    cells += [
        f"{spread_ms:.1f}",
        way(spread_ms / 1e3, settings.gossip_interval_s),
        f"{math.log2(size):.1f}",
        sum(run[2] for run in runs),
    ]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def way(spread_s: float, gossip_interval_s: float) -> str:
    """How the news travelled: handed on at once, or in a later round of gossip as well."""
    if spread_s < gossip_interval_s / 10:
        return f"{spread_s / HOP_S:.1f} hops"
    return f"{spread_s / gossip_interval_s:.1f} rounds"


HEADINGS = [
    "preset", "crash", "nodes", "first suspicion, periods: mean", "median", "from there to the last, ms", "which is",
    "log2 n", "live ones called dead",
]  # fmt: skip


def main() -> None:
    """The table."""
    show("| " + " | ".join(HEADINGS) + " |")
    show("|" + " --- |" * len(HEADINGS))
    for profile, silent in (("lan", True), ("local", False)):
        for size in SIZES:
            show(row(size, profile, silent))


if __name__ == "__main__":
    main()
