"""`up`: make a cluster or start a stopped one, and return when it is ready. Whatever stops this in the middle (a node
that fails, the deadline, Ctrl-C, SIGTERM), all that it started is ended, and a cluster that it made is removed.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from cluster.client.locate import check_reachable
from cluster.emulator.control import Control
from cluster.emulator.disk import locked
from cluster.emulator.faultsfile import clear_faults
from cluster.emulator.genesis import create, note_start
from cluster.emulator.home import LEASH_FILE, ClusterFiles, Home, is_cluster, node_folders
from cluster.emulator.inspect import NodeProcess, inspect_node, inspect_nodes
from cluster.emulator.interrupts import InterruptGuard
from cluster.emulator.launch import Launch, check_place
from cluster.emulator.leash import Leash
from cluster.emulator.members import tidy
from cluster.emulator.nodefiles import damaged_nodes, give_layouts
from cluster.emulator.spec import ClusterSpec, check_same
from cluster.emulator.sweep import remove_folder
from cluster.errors import AlreadyExists, ClusterError, Failed

BUSY_WAIT_S: Final = 1.0
"""How long `up` waits for another command on the same name, which is nearly always done by then."""
PORT_ATTEMPTS: Final = 5
"""How often other ports are chosen when another home's cluster takes one between the choice and the bind."""

Progress = Callable[[str, str], None]
"""Told (stage, node): `made`, `listening` for each node, `ready`."""


@dataclass(frozen=True)
class UpReport:
    """A cluster that is ready."""

    files: ClusterFiles
    created: bool
    ready_s: float
    nodes: dict[str, NodeProcess]
    failed: dict[str, ClusterError]
    """Nodes whose own files kept them down, while the others started; only for a cluster that existed."""
    leash: Leash | None
    """Held by this process: the nodes end when it is let go, or when this process ends."""


@dataclass
class _StartRollback:
    """What is there to undo."""

    files: ClusterFiles | None = None
    created: bool = False
    leash: Leash | None = None
    launch: Launch | None = None
    failed: dict[str, ClusterError] = field(default_factory=dict)


class Upper:
    """One `up`."""

    def __init__(
        self, home: Home, control: Control, child: str, asked: ClusterSpec, wait_s: float, progress: Progress
    ) -> None:
        self.home = home
        self.control = control
        self.child = child
        self.asked = asked
        self.progress = progress
        self.began = time.monotonic()
        self.deadline = self.began + wait_s

    def run(self, leashed: bool) -> UpReport:
        """See `cluster.emulator.cluster.up`."""
        check_reachable(str(self.home.cluster(self.asked.name)))
        check_place()
        busy = AlreadyExists(f"another command is working on cluster {self.asked.name!r}")
        with InterruptGuard() as interrupts, locked(self.home.lock(self.asked.name), BUSY_WAIT_S, busy):
            for attempt in range(PORT_ATTEMPTS):
                try:
                    return self._once(interrupts, leashed)
                except Failed as error:
                    made_before = self.home.cluster(self.asked.name).exists()
                    again = error.detail.get("address_taken") and not made_before and self.asked.base_port is None
                    if not again or attempt == PORT_ATTEMPTS - 1:
                        raise
            raise AssertionError("the last attempt raises or returns")

    def _once(self, interrupts: InterruptGuard, leashed: bool) -> UpReport:
        attempt = _StartRollback()
        try:
            with interrupts.shield():
                self._prepare(attempt, leashed)
            files = attempt.files
            assert files is not None
            self.progress("made", "")
            with interrupts.shield():
                whole = [name for name in files.nodes if name not in attempt.failed]
                attempt.launch = Launch(files.folder, whole, self.child)
                # What the wait below needs, loaded while the launcher loads. Shielded as well: what is raised while
                # Python lets go of a module's lock is ignored, and a Ctrl-C would be lost.
                import cluster.client.blocking  # noqa: F401

            attempt.launch.collect(
                self.deadline, lambda name: self.progress("listening", name), without_damaged=not attempt.created
            )
            failed = attempt.failed | attempt.launch.failed
            started = [name for name in files.nodes if name not in failed]
            self.control.wait_ready(files, started, max(0.0, self.deadline - time.monotonic()))
            self.progress("ready", "")
            nodes = inspect_nodes({name: files.node(name) for name in files.nodes})
            return UpReport(files, attempt.created, time.monotonic() - self.began, nodes, failed, attempt.leash)
        except BaseException:
            with interrupts.ignored():
                if attempt.launch is not None:
                    attempt.launch.abort()
                if attempt.leash is not None:
                    attempt.leash.take_off()
                if attempt.created:
                    remove_folder(self.home, self.asked.name)
            raise

    def _prepare(self, attempt: _StartRollback, leashed: bool) -> None:
        name = self.asked.name
        folder = self.home.cluster(name)
        if os.path.lexists(folder):
            if not is_cluster(folder):
                raise AlreadyExists(
                    f"{folder} is there and holds no cluster", help="Move it away, or choose another name with -C."
                )
            folders = node_folders(folder)
            alive = sum(inspect_node(node).alive for node in folders.values())
            if alive == len(folders) > 0:
                raise AlreadyExists(f"cluster {name!r} is up already")
            if alive:
                raise AlreadyExists(
                    f"cluster {name!r} is up already, with {alive} of {len(folders)} nodes",
                    help=f"`dsectl -C {name} restart --all` starts the others.",
                )
            files = tidy(self.home, name)
            check_same(self.asked, files.record)
            damaged = damaged_nodes(files, files.nodes)
            if len(damaged) == len(files.nodes):
                raise next(iter(damaged.values()))
            attempt.failed |= damaged
            attempt.files = files = note_start(files, self.asked.ttl_s)
            give_layouts(files, files.nodes)
            clear_faults(files.folder)
            (folder / LEASH_FILE).unlink(missing_ok=True)
        else:
            attempt.files = create(self.home, self.asked)
            attempt.created = True
        if leashed:
            attempt.leash = Leash(folder)
