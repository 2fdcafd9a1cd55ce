"""`restart` drains what runs, ends it, starts it, and returns when the cluster knows all that it offers; `drain` alone
is kept until `undrain`.
"""

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from cluster.emulator import cluster as emulator
from cluster.emulator.home import ClusterFiles
from cluster.emulator.known import Knowledge, wait_known
from cluster.emulator.linkfaults import readable_faults, separated
from cluster.emulator.workers import revive
from cluster.errors import ClusterError, DeadlinePassed, Failed

if TYPE_CHECKING:
    from cluster.client.blocking import BlockingCluster


DRAIN_S: Final = 5.0
"""How long a node may take to finish what it has: as long as a client waits unless it says otherwise."""


def drain(
    client: "BlockingCluster", files: ClusterFiles, nodes: list[str], wait_s: float = DRAIN_S, *, keep: bool
) -> dict[str, ClusterError]:
    """Make those of `nodes` that run take nothing new, and wait until they have finished what they have. `keep`: until
    `undrain`, through restarts. Returns why, for those that have not; they go on draining."""
    running = [name for name in _running(files) if name in nodes]
    if not running:
        return {}
    said = client.ask_all(running, "drain", {"keep": keep}, wait_s)
    return {name: answer for name, answer in said.items() if isinstance(answer, ClusterError)}


def restart(client: "BlockingCluster", files: ClusterFiles, nodes: list[str], wait_s: float) -> dict[str, int]:
    """Drain and end those of `nodes` that run, start them all, and wait until every node that runs, and that no
    partition separates from them, holds what they announced in their new boot, and they what it did; then bring
    back their workers. Returns the pids. Raises DeadlinePassed, with who lacks what, or Failed for a worker; the nodes
    run then."""
    began = time.monotonic()
    drain(client, files, nodes, wait_s / 2, keep=False)
    pids = emulator.restart(files.name, nodes, max(0.1, began + wait_s - time.monotonic()))
    behind = None
    while behind is None:
        with suppress(_OtherNodes):
            behind = _wait_known(client, files, nodes, began + wait_s)
    if behind:
        name, other = behind[0]
        raise DeadlinePassed(
            f"{', '.join(nodes)} started, but {name} has not received all services of {other} after {wait_s:.1f} s",
            help="`dsectl members --matrix` shows who reaches whom; `dsectl faults --active` what may cut them off.",
            restarted=nodes,
        )
    failed = revive(files, nodes, max(1.0, began + wait_s - time.monotonic()))
    if failed:
        endpoint, why = next(iter(failed.items()))
        raise Failed(
            f"{', '.join(nodes)} started, but not {why}",
            help=f"`dsectl logs {endpoint}` says more; `dsectl restart {endpoint}` tries again.",
            restarted=nodes,
        )
    return pids


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
