"""`up` in company and in a hurry: two at once, Ctrl-C and SIGTERM at any moment."""

import signal
import time
from typing import Any

import pytest

from cluster.emulator import cluster as emulator
from cluster.emulator.cluster import LocalMachine
from cluster.emulator.spec import ClusterSpec


def test_of_many_at_once_exactly_one_wins(world: LocalMachine, drive: Any) -> None:
    drivers = [drive("c") for _ in range(4)]
    last = []
    for driver in drivers:
        output, _ = driver.communicate(timeout=30)
        last.append((output.splitlines()[-1], driver.returncode))
    assert sorted(last) == [("error exists", 1)] * 3 + [("up", 0)]
    assert emulator.clusters(world=world)[0].alive == 3


def test_different_names_at_once_all_win(world: LocalMachine, drive: Any) -> None:
    drivers = [drive(f"c{index}") for index in range(4)]
    for driver in drivers:
        output, _ = driver.communicate(timeout=30)
        assert output.splitlines()[-1] == "up"
    assert [listed.alive for listed in emulator.clusters(world=world)] == [3] * 4


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, -2), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("when", ["made", "listening", "waiting"])
def test_a_signal_undoes_all(world: LocalMachine, drive: Any, signum: int, code: int, when: str) -> None:
    driver = drive("c", "--never-ready", "--nodes", "5")
    for line in driver.stdout:
        if line.strip() == when:
            break
    driver.send_signal(signum)
    driver.communicate(timeout=20)
    assert driver.returncode in (code, 130)
    assert world.home.entries() == []


def test_a_signal_at_any_moment_leaves_nothing(world: LocalMachine, drive: Any) -> None:
    for step in range(12):
        driver = drive("c", "--never-ready")
        time.sleep(0.05 + 0.05 * step)  # not for a condition: the moments are what is tried
        driver.send_signal(signal.SIGTERM)
        driver.communicate(timeout=20)
        assert driver.returncode in (143, -15)
        assert world.home.names() == []


def test_a_stopped_cluster_survives_an_interrupted_up(world: LocalMachine, drive: Any) -> None:
    emulator.up(ClusterSpec(name="c", nodes=3), world=world)
    emulator.down("c", world=world)
    driver = drive("c", "--never-ready")
    for line in driver.stdout:
        if line.strip() == "waiting":
            break
    driver.send_signal(signal.SIGINT)
    driver.communicate(timeout=20)
    (listed,) = emulator.clusters(world=world)
    assert (listed.nodes, listed.alive) == (3, 0)


def test_a_killed_up_leaves_no_half_started_node(world: LocalMachine, drive: Any, eventually: Any) -> None:
    """SIGKILL cannot be handled; a node that was not listening yet ends when nobody hears its report."""
    driver = drive("c", "--child", "stand_in:run_slow")
    for line in driver.stdout:
        if line.strip() == "made":
            break
    driver.kill()
    driver.wait()
    eventually(lambda: emulator.clusters(world=world)[0].alive == 0, "all nodes ended")
