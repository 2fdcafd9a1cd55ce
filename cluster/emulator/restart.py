"""`restart`: end what runs, start it, and return when the cluster knows all that it offers."""

import time
from typing import TYPE_CHECKING

from cluster.emulator import cluster as emulator
from cluster.emulator.home import ClusterFiles
from cluster.emulator.known import Knowledge, wait_known
from cluster.emulator.linkfaults import readable_faults, separated
from cluster.errors import DeadlinePassed

if TYPE_CHECKING:
    from cluster.client.blocking import BlockingCluster


def restart(client: "BlockingCluster", files: ClusterFiles, nodes: list[str], wait_s: float) -> dict[str, int]:
    """End those of `nodes` that run, start them all, and wait until every node that runs, and that no partition
    separates from them, holds what they announced in their new boot, and they what it did. Returns the pids. Raises
    DeadlinePassed, with who lacks what; the nodes run then."""
    began = time.monotonic()
    pids = emulator.restart(files.name, nodes, wait_s)
    behind = _behind(client, files, nodes, began + wait_s)
    if behind:
        name, other = behind[0]
        raise DeadlinePassed(
            f"{', '.join(nodes)} started, but {name} does not know all that {other} offers after {wait_s:.1f} s",
            help="`dsectl members --matrix` shows who hears whom; `dsectl faults --active` what may stand between.",
            restarted=nodes,
        )
    return pids


def _behind(
    client: "BlockingCluster", files: ClusterFiles, started: list[str], deadline: float
) -> list[tuple[str, str]]:
    while True:
        try:
            return _wait_known(client, files, started, deadline)
        except _OtherNodes:
            continue


def _wait_known(
    client: "BlockingCluster", files: ClusterFiles, started: list[str], deadline: float
) -> list[tuple[str, str]]:
    running, cuts = _running(files), readable_faults(files.name)

    def check(late: list[str]) -> None:
        if _running(files) != running or readable_faults(files.name) != cuts:
            raise _OtherNodes

    knowledge = Knowledge(started, running, lambda one, other: separated(cuts, one, other))
    return wait_known(client, knowledge, deadline, check)


class _OtherNodes(Exception):
    """Other nodes run than those that were asked, or other faults hold: somebody kills, restarts or heals beside us."""


def _running(files: ClusterFiles) -> list[str]:
    return [name for name, process in emulator.processes(files).items() if process.state == "running"]
