"""What the emulator asks the nodes over their own protocol: whether they are ready, and to reread the faults."""

import time
from typing import TYPE_CHECKING, Protocol

from cluster.client.locate import Location
from cluster.emulator.disk import tail
from cluster.emulator.home import ClusterFiles
from cluster.emulator.inspect import inspect_node
from cluster.emulator.known import Knowledge, wait_known
from cluster.errors import DeadlinePassed, Failed

if TYPE_CHECKING:
    from cluster.client.blocking import BlockingCluster

RELOAD_S = 0.5
NAMED_MAX = 10
"""Nodes that a message names."""


class Control(Protocol):
    """Questions to nodes."""

    def wait_ready(self, files: ClusterFiles, names: list[str], timeout_s: float) -> None:
        """Return when each of `names` holds what all of them announced in this boot, and runs the layout. Raises
        DeadlinePassed, or Failed for one that ended."""

    def reload_faults(self, files: ClusterFiles, names: list[str]) -> None:
        """Make the nodes reread the faults. One that does not answer is passed over: it rereads them by itself."""


class ClientControl:
    """Asked with the blocking client, each node directly."""

    def wait_ready(self, files: ClusterFiles, names: list[str], timeout_s: float) -> None:
        """See Control."""
        with _client(files) as client:
            knowledge = Knowledge(names, names)
            if wait_known(client, knowledge, time.monotonic() + timeout_s, lambda late: check_alive(files, late)):
                late = knowledge.late()
                more = f" and {len(late) - NAMED_MAX} more" if len(late) > NAMED_MAX else ""
                raise DeadlinePassed(
                    f"not ready after {timeout_s:.1f} s: {', '.join(late[:NAMED_MAX])}{more}",
                    help="Allow more time with --wait; the machine may be busy, or too small for so many nodes.",
                )

    def reload_faults(self, files: ClusterFiles, names: list[str]) -> None:
        """See Control."""
        if names:
            with _client(files) as client:
                client.ask_all(names, "reload-faults", timeout=RELOAD_S)


def _client(files: ClusterFiles) -> "BlockingCluster":
    from cluster.client.blocking import BlockingCluster  # only what talks to nodes pays for it

    return BlockingCluster(Location(files.name, files.secret, files.addresses))


def check_alive(files: ClusterFiles, names: list[str]) -> None:
    """Raise Failed, with the end of its log, for a node whose process is gone."""
    for name in names:
        if not inspect_node(files.node(name)).alive:
            raise Failed(f"node {name} ended while it was starting", help=tail(files.log(name)) or None)
