"""Starting nodes: run the launcher, and listen to what its children say until each listens or has failed.

The report pipe is held by the launcher and by every child that is not ready, so its end of file means that nobody is
left in between: each child either holds its lock, and can be ended by it, or is gone.
"""

import os
import select
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from cluster.emulator.disk import FILE_MODE, disk_errors, tail
from cluster.emulator.home import NODE_LOG_FILE, node_folders
from cluster.emulator.launcher import FORKS, launcher_command
from cluster.emulator.nodefiles import cure
from cluster.emulator.signals import kill_nodes
from cluster.emulator.start import ADDRESS_TAKEN, StartReport
from cluster.errors import ClusterError, Damaged, DeadlinePassed, Failed, StorageFull, from_code

LAUNCHER_LOG: Final = "launcher.log"
DISCARD_PORT: Final = 9
"""Any port: connecting a datagram socket sends nothing, it only asks for a route."""
ABORT_S: Final = 10.0
ABORT_POLL_S: Final = 0.02

_decode = msgspec.json.Decoder(StartReport).decode


def check_place() -> None:
    """Raises Failed where no node could live: without a loopback interface, or where the first process that is started
    takes all others with it at its end."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("127.0.0.1", DISCARD_PORT))
        except OSError as error:
            raise Failed(
                f"the loopback interface is down here: {(error.strerror or '').lower()}",
                help="Nodes use 127.0.0.1. `ip link set lo up` brings it up, as after `unshare --net`.",
            ) from None
    namespace = Path("/proc/self/ns/pid")
    of_children = namespace.with_name("pid_for_children")  # no link yet where the first child is still to come
    if namespace.exists() and not (of_children.exists() and of_children.samefile(namespace)):
        raise Failed(
            "processes that are started here end with the first of them, in a PID namespace without an init",
            help="`unshare --pid --fork` gives the new namespace one.",
        )


class Launch:
    """One run of the launcher."""

    def __init__(self, cluster: Path, names: list[str], child: str, forks: bool = FORKS) -> None:
        """Start the launcher; it is not waited for here."""
        self.cluster = cluster
        self.names = names
        self.listening: dict[str, int] = {}
        """The pids of the nodes that listen."""
        self.failed: dict[str, ClusterError] = {}
        """Why a node does not run whose own files are at fault, while others start: see `collect`."""
        self._failures: dict[str, StartReport] = {}
        self._buffer = b""
        command = launcher_command("--fork" if forks else "--exec", child, cluster, names)
        with disk_errors("start the launcher"):
            log = os.open(cluster / LAUNCHER_LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
            try:
                self._launcher = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True
                )
            finally:
                os.close(log)
        assert self._launcher.stdout is not None
        self._pipe = self._launcher.stdout.fileno()

    def collect(self, deadline: float, heard: Callable[[str], None], *, without_damaged: bool = False) -> None:
        """Wait until all nodes listen; `heard` is called with each name. Raises what the first one failed with, Failed
        for one that ended silently, DeadlinePassed at `deadline` (monotonic).

        `without_damaged`: a node whose own files keep it down (damaged, or no room) is noted in `failed` and the others
        go on, as long as one does.
        """
        while not self._failures:
            if not self._readable(deadline - time.monotonic()):
                late = [name for name in self.names if name not in self.listening and name not in self.failed]
                raise DeadlinePassed(f"these nodes do not start: {', '.join(late)}", help=self._logs(late) or None)
            more = self._take(heard)
            for node, report in list(self._failures.items()) if without_damaged else ():
                error = self._failure(report)
                if node and isinstance(error, Damaged | StorageFull):
                    self.failed[node] = error
                    del self._failures[node]
            if not more:
                break
        if self._failures:
            raise self._failure(next(iter(self._failures.values())))
        self.close()
        if self.failed and not self.listening:
            raise next(iter(self.failed.values()))
        silent = [name for name in self.names if name not in self.listening and name not in self.failed]
        if silent:
            said = tail(self.cluster / LAUNCHER_LOG) or self._logs(silent)
            raise Failed(f"node {silent[0]} ended while it was starting", help=said or None)

    def _readable(self, timeout_s: float) -> bool:
        poll = select.poll()  # `select` takes no descriptor above 1,023, and a program may have opened so many
        poll.register(self._pipe, select.POLLIN)
        return bool(poll.poll(1000 * max(0.0, timeout_s)))

    def _take(self, heard: Callable[[str], None]) -> bool:
        """Read what was said; False at the end of file."""
        chunk = os.read(self._pipe, 65536)
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        for line in lines:
            report = _decode(line)
            if report.said == "failed":
                self._failures[report.node] = report
            elif report.said == "listening":
                self.listening[report.node] = report.pid
                heard(report.node)
        return bool(chunk)

    def _failure(self, report: StartReport) -> ClusterError:
        message = f"node {report.node}: {report.message}" if report.node else report.message
        if report.code == ADDRESS_TAKEN:
            return Failed(
                message,
                help="Another program has the port; the cluster starts when it is free again.",
                address_taken=True,
            )
        error = from_code(report.code, message)
        if isinstance(error, Damaged) and report.node:
            error.help = cure(self.cluster.name, report.node, len(node_folders(self.cluster)))
        return error

    def _logs(self, names: list[str]) -> str:
        said = [
            f"{name}: {text}" for name in names[:3] if (text := tail(self.cluster / "nodes" / name / NODE_LOG_FILE))
        ]
        return "\n".join(said)

    def close(self) -> None:
        """Let go of the launcher and of the pipe; children that do not listen yet end when they notice."""
        assert self._launcher.stdout is not None
        self._launcher.stdout.close()
        self._launcher.wait()

    def abort(self) -> None:
        """End the launcher and all that it started, whatever they are at."""
        if self._launcher.stdout is None or self._launcher.stdout.closed:
            kill_nodes(self._folders())
            return
        self._launcher.kill()
        deadline = time.monotonic() + ABORT_S
        while time.monotonic() < deadline:
            kill_nodes(self._folders())
            if self._readable(ABORT_POLL_S) and not self._take(lambda _: None):
                break
        self.close()
        kill_nodes(self._folders())

    def _folders(self) -> list[Path]:
        return [self.cluster / "nodes" / name for name in self.names]
