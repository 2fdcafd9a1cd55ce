"""The clusters of this machine, for commands, recipes and tests: up, down, remove, list, and the faults of processes.

Everything here is synchronous and keeps no state of its own: each call reads the state directory and asks the locks.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cluster.emulator.control import ClientControl, Control
from cluster.emulator.disk import locked, read
from cluster.emulator.faultsfile import change_faults, read_faults
from cluster.emulator.home import (
    RECORD_FILE,
    ClusterFiles,
    Home,
    check_exists,
    find_home,
    load_cluster,
    node_folders,
    worker_folders,
)
from cluster.emulator.inspect import NodeProcess, inspect_node, inspect_nodes
from cluster.emulator.interrupts import InterruptGuard
from cluster.emulator.launch import Launch, check_place
from cluster.emulator.launcher import CHILD
from cluster.emulator.nodefiles import check_room, combined, cure, damaged_nodes, give_layouts, set_aside
from cluster.emulator.signals import end_nodes, kill_nodes, open_node, pause_node, resume_node
from cluster.emulator.spec import ClusterSpec, decode_record, timestamp
from cluster.emulator.sweep import remove_folder, sweep
from cluster.emulator.up import Progress, Upper, UpReport
from cluster.errors import ClusterError, Damaged, Failed, StorageFull
from cluster.faults import Fault, FaultDocument, add_fault, mark_returned

WAIT_S: Final = 30.0
LOCK_WAIT_S: Final = 20.0
"""How long a command waits for another one on the same cluster."""


@dataclass(frozen=True)
class LocalMachine:
    """Where clusters live and how their nodes are reached; tests put their own here."""

    home: Home = field(default_factory=find_home)
    control: Control = field(default_factory=ClientControl)
    child: str = CHILD


@dataclass(frozen=True)
class ListedCluster:
    """One line of `ps`. What a damaged cluster was made with is not known."""

    cluster: str
    nodes: int
    alive: int
    created: str
    damaged: str = ""
    workers: int = 0
    """Of those that `serve` started, how many run."""


def up(
    spec: ClusterSpec,
    wait_s: float = WAIT_S,
    progress: Progress = lambda stage, node: None,
    *,
    leashed: bool = False,
    world: LocalMachine | None = None,
) -> UpReport:
    """Make the cluster, or start it when it exists and is stopped; returns when all nodes are ready.

    `leashed`: the nodes end with this process (or when the report's leash is let go), and the next command removes what
    is left. Raises AlreadyExists for one that is up, Usage for options other than it was made with, Damaged,
    StorageFull, DeadlinePassed after `wait_s`, Failed with a node's last words. Then nothing runs, and what was made is
    gone.
    """
    where = world or LocalMachine()
    sweep(where.home)
    return Upper(where.home, where.control, where.child, spec, wait_s, progress).run(leashed)


@contextmanager
def fresh(spec: ClusterSpec, wait_s: float, *, keeps: bool = False) -> Iterator[UpReport]:
    """A cluster that ends with this process, whatever happens, and is removed at the end; unless it `keeps` and nothing
    was raised."""
    report = up(spec, wait_s, leashed=True)
    stays = False
    try:
        yield report
        if keeps and report.leash is not None:
            report.leash.take_off()
            stays = True
    finally:
        if not stays:
            remove(spec.name)


def down(name: str, *, world: LocalMachine | None = None) -> list[str]:
    """End the nodes and keep the data; returns those that ran. Works on damaged clusters. Raises UnknownCluster."""
    home = (world or LocalMachine()).home
    check_exists(home.cluster(name))
    with locked(home.lock(name), LOCK_WAIT_S):
        folders = node_folders(home.cluster(name))
        alive = [node for node, folder in folders.items() if inspect_node(folder).alive]
        end_nodes(folders.values())
    return alive


def remove(name: str, *, world: LocalMachine | None = None) -> None:
    """Delete a cluster and its data, ending its nodes first. Works on damaged clusters. Raises UnknownCluster."""
    home = (world or LocalMachine()).home
    check_exists(home.cluster(name))
    with locked(home.lock(name), LOCK_WAIT_S):
        check_exists(home.cluster(name))
        kill_nodes(node_folders(home.cluster(name)).values())  # no grace: what they would save is deleted next
        remove_folder(home, name)


def clusters(*, world: LocalMachine | None = None) -> list[ListedCluster]:
    """All clusters of this home, by name; damaged ones too."""
    home = (world or LocalMachine()).home
    sweep(home)
    return [_listed(home, name) for name in home.names()]


def _listed(home: Home, name: str) -> ListedCluster:
    folder = home.cluster(name)
    try:
        processes = inspect_nodes(node_folders(folder))
    except OSError as error:  # another user's node in a cluster of one's own
        return ListedCluster(name, 0, 0, "", f"{error.filename} cannot be read: {error.strerror}")
    alive = sum(process.alive for process in processes.values())
    try:
        record = decode_record(read(folder / RECORD_FILE))
    except Damaged as error:
        return ListedCluster(name, len(processes), alive, "", error.message)
    beside = [inspect_node(worker).alive for node in node_folders(folder).values() for worker in worker_folders(node)]
    return ListedCluster(name, len(record.places), alive, record.created, workers=sum(beside))


def processes(files: ClusterFiles) -> dict[str, NodeProcess]:
    """What each node's process does."""
    return inspect_nodes({name: files.node(name) for name in files.nodes})


def start_nodes(
    name: str, nodes: list[str], wait_s: float = WAIT_S, *, world: LocalMachine | None = None
) -> dict[str, int]:
    """Start those of `nodes` that do not run; returns their pids once they listen. Ends the kills and pauses whose
    processes are all back. Raises NotFound, Failed with a node's last words; and Damaged or StorageFull for nodes whose
    own files keep them down: the others of `nodes` have been started then."""
    where = world or LocalMachine()
    check_place()
    sweep(where.home)
    check_exists(where.home.cluster(name))
    with InterruptGuard() as interrupts, locked(where.home.lock(name), LOCK_WAIT_S):
        files = load_cluster(name, where.home)
        missing = [node for node in nodes if not inspect_node(files.node(node)).alive]
        failed: dict[str, ClusterError] = {**damaged_nodes(files, missing)}
        whole = [node for node in missing if node not in failed]
        give_layouts(files, whole)
        pids = {}
        if whole:
            launch = _launch(files, whole, wait_s, where.child, interrupts)
            pids = launch.listening
            failed |= launch.failed
    _change(files, where.control, lambda document: mark_returned(document, list(pids), timestamp()))
    if failed:
        raise combined(failed)
    return pids


def _launch(files: ClusterFiles, nodes: list[str], wait_s: float, child: str, interrupts: InterruptGuard) -> Launch:
    launch: Launch | None = None
    try:
        with interrupts.shield():
            launch = Launch(files.folder, nodes, child)
        launch.collect(time.monotonic() + wait_s, lambda _: None, without_damaged=True)
    except BaseException:
        with interrupts.ignored():
            if launch is not None:
                launch.abort()
        raise
    return launch


def restart(
    name: str, nodes: list[str], wait_s: float = WAIT_S, *, world: LocalMachine | None = None
) -> dict[str, int]:
    """End those of `nodes` that run (or are paused), then start them all; returns the pids. Raises StorageFull or
    Failed, and ends nobody, when there is no room to start them again, or no loopback interface."""
    where = world or LocalMachine()
    files = load_cluster(name, where.home)
    check_place()
    folders = [files.node(node) for node in nodes]
    for folder in folders:
        if folder.is_dir():
            check_room(folder)
    _check_no_full_disk(files, nodes)
    with locked(where.home.lock(name), LOCK_WAIT_S):
        end_nodes(folders)
    return start_nodes(name, nodes, wait_s, world=where)


def _check_no_full_disk(files: ClusterFiles, nodes: list[str]) -> None:
    """Raise StorageFull for a node that a fault leaves no room for its boot record: it would be ended for nothing."""
    try:
        faults = read_faults(files.folder).faults
    except Damaged:
        return
    for fault in faults:
        full = fault.active and (ailment := fault.of.ailment(fault)) is not None and ailment.full
        struck = [node for node in fault.nodes if node in nodes] if full else []
        if struck:
            help = f"Nothing was ended. `dsectl heal {fault.id}` ends the fault."
            raise StorageFull(f"the disk of {', '.join(struck)} is full, by fault {fault.id}", help=help)


def set_data_aside(name: str, node: str, *, world: LocalMachine | None = None) -> Path | None:
    """End a node and move what it holds into a folder beside it, so that it starts with an empty store, under a new id,
    and is completed from its peers. Returns the folder, None when there was nothing to move."""
    where = world or LocalMachine()
    files = load_cluster(name, where.home)
    folder = files.node(node)
    if len(files.nodes) == 1:
        raise Failed(f"node {node} is alone: no peer could complete it", help=cure(name, node, 1))
    with locked(where.home.lock(name), LOCK_WAIT_S):
        kill_nodes([folder])  # what it would save is set aside next
        return set_aside(folder)


def kill(name: str, nodes: list[str], *, world: LocalMachine | None = None) -> Fault:
    """End `nodes` with SIGKILL; returns the fault. The survivors know of it before it happens, so that what they count
    against the dead is complete. Raises NotFound, and Failed for one that does not run."""
    where = world or LocalMachine()
    files = _running(name, nodes, where, ("running", "paused", "starting"))
    fault = _record(files, where.control, Fault(kind="kill", at=timestamp(), nodes=nodes), nodes)
    kill_nodes(files.node(node) for node in nodes)
    return fault


def pause(name: str, nodes: list[str], *, world: LocalMachine | None = None) -> Fault:
    """Stop the processes of `nodes` (SIGSTOP); returns the fault once they stand still."""
    where = world or LocalMachine()
    files = _running(name, nodes, where, ("running",))
    fault = _record(files, where.control, Fault(kind="pause", at=timestamp(), nodes=nodes), nodes)
    for node in nodes:
        pause_node(files.node(node))
    return fault


def resume(name: str, nodes: list[str], *, world: LocalMachine | None = None) -> list[str]:
    """Let paused `nodes` go on; returns those that were paused."""
    where = world or LocalMachine()
    files = load_cluster(name, where.home)
    paused = [node for node in nodes if inspect_node(files.node(node)).state == "paused"]
    for node in paused:
        resume_node(files.node(node))
    _change(files, where.control, lambda document: mark_returned(document, paused, timestamp()))
    return paused


def change(
    name: str, edit: Callable[[FaultDocument], FaultDocument], *, world: LocalMachine | None = None
) -> FaultDocument:
    """Change the faults of a cluster and make its nodes reread them; returns the document that holds now."""
    where = world or LocalMachine()
    return _change(load_cluster(name, where.home), where.control, edit)


def _running(name: str, nodes: list[str], where: LocalMachine, wanted: tuple[str, ...]) -> ClusterFiles:
    files = load_cluster(name, where.home)
    for node in nodes:
        state = inspect_node(files.node(node)).state
        if state not in wanted:
            cure = "resume" if state == "paused" else "restart"
            raise Failed(f"node {node} is {state}", help=f"`dsectl {cure} {node}` brings it back.")
        if handle := open_node(files.node(node)):  # raises now, before a fault is recorded, when no signal reaches it
            handle.close()
    return files


def _record(files: ClusterFiles, control: Control, fault: Fault, struck: list[str]) -> Fault:
    document = change_faults(files.folder, lambda document: add_fault(document, fault))
    control.reload_faults(files, _alive(files, struck))
    return document.faults[-1]


def _change(files: ClusterFiles, control: Control, edit: Callable[[FaultDocument], FaultDocument]) -> FaultDocument:
    before: list[int] = []

    def noted(document: FaultDocument) -> FaultDocument:
        before.append(document.generation)
        return edit(document)

    after = change_faults(files.folder, noted)
    if after.generation != before[0]:
        control.reload_faults(files, _alive(files, []))
    return after


def _alive(files: ClusterFiles, struck: list[str]) -> list[str]:
    """The nodes that can be told to reload the faults."""
    return [name for name, process in processes(files).items() if name not in struck and process.state == "running"]
