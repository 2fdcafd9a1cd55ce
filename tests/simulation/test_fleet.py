"""Whole simulated fleets: one seed is one run to the last event, and a hundred nodes find each other and a crash."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from cluster.config import node_settings
from cluster.simulation.fleet import Fleet
from cluster.wire.handshake import LANE_BACKGROUND
from cluster.wire.kv import PutDone

ROOT = Path(__file__).resolve().parents[2]
RUN = """
import sys
from random import Random
from cluster.config import node_settings
from cluster.simulation.fleet import Fleet
from tests.simulation.account import Account
from tests.simulation.nemesis import Nemesis
seed = int(sys.argv[1])
with Fleet(seed, 5) as fleet:
    fleet.start()
    fleet.until(fleet.converged)
    random = Random(f"{seed}/nemesis")
    nemesis, account = Nemesis(fleet, random, down_max=2), Account(fleet)
    for _ in range(8):
        nemesis.act()
        for _ in range(6):
            up = nemesis.running
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


def receipts(fleet: Fleet, id: str) -> dict[str, int]:
    """What a fault touched, over all nodes that run."""
    links: dict[str, int] = {}
    for node in fleet.nodes.values():
        links |= node.faults.receipts().get(id, {})
    return links


def test_faults_are_those_of_the_users(seed: int) -> None:
    """A partition is a document that the nodes read; it holds for who boots meanwhile, and is counted by link."""
    with Fleet.running(seed, 5) as fleet:
        alone, *others = fleet.owners("cart")
        rest = [name for name in fleet.names if name != alone]
        cut = fleet.fault("partition", groups=[[alone], rest])
        fleet.until(lambda: all(fleet.believes(name, alone) == "dead" for name in rest), 60.0)
        fleet.crash(alone)
        fleet.start(alone)
        fleet.world.run_for(1.0)
        assert not fleet.converged()
        answer = fleet.wait(fleet.put(alone, "cart", b"x", strict=True)).answer
        assert answer is None or (isinstance(answer, PutDone) and answer.outcome == "maybe")
        assert set(receipts(fleet, cut.id)) & {f"{alone}->{name}" for name in others}
        fleet.heal(cut.id)
        fleet.until(fleet.settled, 60.0)


def test_a_slow_link_is_late_in_one_direction(seed: int) -> None:
    with Fleet.running(seed, 3, settings=node_settings(replication="3/3/3")) as fleet:
        fleet.fault("slow", source="n2", target="n1", delay_ms=300.0)
        fleet.world.run_for(0.01)
        start = fleet.world.now
        fleet.wait(fleet.put("n1", "cart", b"x"))
        assert 0.3 <= fleet.world.now - start < 0.45
        fleet.heal()
        fleet.world.run_for(0.5)
        start = fleet.world.now
        fleet.wait(fleet.put("n1", "cart", b"y"))
        assert fleet.world.now - start < 0.1


def test_kills_and_pauses_are_recorded_and_end_with_the_return(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        fleet.kill("n3")
        fleet.pause("n2")
        assert [(fault.kind, fault.active) for fault in fleet.faults.faults] == [("kill", True), ("pause", True)]
        fleet.world.run_for(0.5)
        fleet.start("n3")
        fleet.resume("n2")
        assert [fault.active for fault in fleet.faults.faults] == [False, False]
        fleet.until(fleet.settled, 60.0)
        assert sum(sum(receipts(fleet, fault.id).values()) for fault in fleet.faults.faults) > 0


def test_a_connection_that_a_node_lets_go_says_nothing_of_the_peer(seed: int) -> None:
    """Owners compare with all others at the same moment, so that they let go of them at the same moment, too. With both
    others left out, writes would be refused."""
    settings = node_settings()
    short = replace(settings, transport=replace(settings.transport, idle_close_s=1.0))
    with Fleet.running(seed, 3, settings=short) as fleet:
        lanes = {name: node.transport._lanes for name, node in fleet.nodes.items()}

        def open_lanes() -> set[tuple[str, str]]:
            found = {(name, peer) for name in lanes for (peer, lane) in lanes[name] if lane == LANE_BACKGROUND}
            return {(name, peer) for name, peer in found if lanes[name][peer, LANE_BACKGROUND].connection is not None}

        fleet.wait(fleet.put("n1", "cart", b"book"))
        fleet.until(lambda: len(open_lanes()) == 6)
        nodes = fleet.nodes.values()
        fleet.world.run_until_true(
            lambda: not open_lanes() or not all(node.reach.all_well() for node in nodes), timeout=60.0, step=0
        )
        assert not open_lanes() and all(node.reach.all_well() for node in nodes)
        assert fleet.wait(fleet.put("n1", "cart", b"book")).error is None
