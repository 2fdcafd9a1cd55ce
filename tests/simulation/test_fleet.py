"""Whole simulated fleets: one seed is one run to the last event, and a hundred nodes find each other and a crash."""

import os
import subprocess
import sys
from pathlib import Path

from cluster.simulation.fleet import Fleet

ROOT = Path(__file__).resolve().parents[2]
RUN = """
import sys
from random import Random
from cluster.simulation.fleet import Fleet
from tests.simulation.nemesis import Account, Nemesis
seed = int(sys.argv[1])
with Fleet(seed, 5) as fleet:
    fleet.start()
    fleet.until(fleet.converged)
    random = Random(f"{seed}/nemesis")
    nemesis, account = Nemesis(fleet, random, down_max=2), Account(fleet)
    for _ in range(8):
        nemesis.act()
        for _ in range(6):
            up = [name for name in fleet.up if name not in nemesis.paused]
            account.write(random.choice(up))
            fleet.world.run_for(random.choice((0.0, 0.05, 0.3)))
    print(fleet.world.trace_digest())
"""


def digest(seed: int, hash_seed: str) -> str:
    """The trace of a run in an interpreter of its own."""
    command = [sys.executable, "-c", RUN, str(seed)]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_same_seed_is_the_same_run_in_another_interpreter() -> None:
    one = digest(11, "1")
    assert len(one) >= 32 and one == digest(11, "2")
    assert one != digest(12, "1")


def test_a_hundred_nodes_converge_and_notice_a_crash() -> None:
    with Fleet(5, 100) as fleet:
        fleet.start()
        # Three push-pulls at the start, gossip to 3 nodes each 100 ms: log4(100) is 3.3 rounds, twice that is ample.
        assert fleet.until(fleet.converged, 5.0) < 1.0
        fleet.crash("n42")
        others = [name for name in fleet.names if name != "n42"]
        # A watcher sees the closed port at once; the rest is dissemination, again about log4(100) gossip rounds.
        assert fleet.until(lambda: all(fleet.believes(name, "n42") != "alive" for name in others), 5.0) < 1.5
        # Suspicion lasts from 4 x log10(100) x 0.4 s = 3.2 s (confirmed) to six times that.
        assert fleet.until(lambda: all(fleet.believes(name, "n42") == "dead" for name in others), 30.0) < 20.0
