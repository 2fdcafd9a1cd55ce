"""Workers: processes beside a node that host services, started by `serve` from what stands in their folders.

Each has a lock, a log and the file that says what it serves in its node's folder, so that signals find it as they find
a node, and a restart of the node brings it back. One that ends by itself stays down, with its reason in its log, until
it is restarted or removed.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from cluster.emulator.cluster import LOCK_WAIT_S, LocalMachine, change
from cluster.emulator.disk import disk_errors, locked, tail
from cluster.emulator.home import WORKER_LOG_FILE, WORKERS_FOLDER, ClusterFiles, worker_folders
from cluster.emulator.inspect import NodeProcess, inspect_node
from cluster.emulator.interrupts import InterruptGuard
from cluster.emulator.signals import end_nodes, kill_nodes, pause_node, resume_node
from cluster.emulator.spec import timestamp
from cluster.emulator.start import StartReport
from cluster.emulator.workerspec import WorkerSpec, read_spec, worker_command, write_spec
from cluster.errors import ClusterError, Damaged, DeadlinePassed, Failed, LimitReached, NotFound, from_code
from cluster.faults import Fault, add_fault, mark_left, mark_returned
from cluster.limits import WORKERS_MAX
from cluster.wire.rights import ROLE_WORKER, role_key

DRAIN_S: Final = 12.0
"""A worker that is told to end has ten seconds for what it has in flight."""
POLL_S: Final = 0.01
LAST_LINES: Final = 12
"""Of the log of a worker that does not start: the end of a traceback."""

_decode_report = msgspec.json.Decoder(StartReport).decode


@dataclass(frozen=True)
class ListedWorker:
    """One worker that `serve` started."""

    endpoint: str
    target: str
    service: str
    version: int
    process: NodeProcess
    damaged: str = ""


def workers(files: ClusterFiles) -> list[ListedWorker]:
    """All of a cluster, those that do not run too."""
    found = []
    for endpoint, folder in files.workers().items():
        try:
            spec, damaged = read_spec(folder), ""
        except Damaged as error:
            spec, damaged = WorkerSpec("", ""), error.message
        process = inspect_node(folder)
        found.append(ListedWorker(endpoint, spec.target, spec.service, spec.version, process, damaged))
    return found


def serve(
    files: ClusterFiles,
    target: str,
    nodes: list[str],
    copies: int,
    wait_s: float,
    *,
    reload: bool = False,
    taken: Iterable[str] = (),
    world: LocalMachine | None = None,
) -> list[str]:
    """Start `copies` workers of a service beside each of `nodes`; returns their endpoints once all are registered.
    `target` is looked for in the working directory. `taken` are endpoints that others have. Raises Failed with the last
    words of the one that failed; then none of them is left."""
    where = world or LocalMachine()
    spec = WorkerSpec(target, os.getcwd(), reload)
    key = role_key(files.secret, ROLE_WORKER)
    used = {*taken, *files.workers()}
    made: dict[str, Path] = {}
    with InterruptGuard() as interrupts, locked(where.home.lock(files.name), LOCK_WAIT_S):
        try:
            for node in nodes:
                check_runs(files, node)
                free = [number for number in range(1, WORKERS_MAX + 1) if f"{node}/{number}" not in used][:copies]
                if len(free) < copies:
                    has = sum(endpoint.startswith(f"{node}/") for endpoint in used)
                    raise LimitReached(f"{node} may have {WORKERS_MAX} workers, and has {has}: {copies} are too many")
                for number in free:
                    made[f"{node}/{number}"] = folder = files.node(node) / WORKERS_FOLDER / str(number)
                    write_spec(folder, spec, key)
            _start(files, made, time.monotonic() + wait_s)
        except BaseException:
            with interrupts.ignored():
                kill_nodes(made.values())
                for folder in made.values():
                    _remove(folder)
            raise
    return list(made)


def start(files: ClusterFiles, endpoints: list[str], wait_s: float, *, world: LocalMachine | None = None) -> None:
    """Start those workers that do not run; returns once they are registered, which ends the kills and pauses whose
    processes are all back. Raises as `serve` does."""
    where = world or LocalMachine()
    with locked(where.home.lock(files.name), LOCK_WAIT_S):
        for endpoint in endpoints:
            check_runs(files, endpoint.partition("/")[0])
        missing = {one: folder for one in endpoints if not inspect_node(folder := files.worker(one)).alive}
        _start(files, missing, time.monotonic() + wait_s)
    change(files.name, lambda document: mark_returned(document, list(missing), timestamp()), world=where)


def restart(files: ClusterFiles, endpoints: list[str], wait_s: float, *, world: LocalMachine | None = None) -> None:
    """Drain and end those that run, and start them all."""
    end_nodes([files.worker(endpoint) for endpoint in endpoints], DRAIN_S)
    start(files, endpoints, wait_s, world=world)


def revive(
    files: ClusterFiles, nodes: list[str], wait_s: float, *, world: LocalMachine | None = None
) -> dict[str, str]:
    """Bring back the workers of nodes that have just been started. Returns why, for those that do not start."""
    failed: dict[str, str] = {}
    for node in nodes:
        for folder in worker_folders(files.node(node)):
            endpoint = f"{node}/{folder.name}"
            try:
                start(files, [endpoint], wait_s, world=world)
            except ClusterError as error:
                failed[endpoint] = error.message
    return failed


def unserve(files: ClusterFiles, name: str, wait_s: float = DRAIN_S, *, world: LocalMachine | None = None) -> list[str]:
    """Drain, end and remove the workers of a service, or one by its endpoint, and end the faults that only these met;
    returns those. Raises NotFound."""
    where = world or LocalMachine()
    found = [one.endpoint for one in workers(files) if name in (one.endpoint, one.service)]
    if not found:
        what = f"worker {name!r}" if "/" in name else f"worker of a service {name!r}"
        raise NotFound(f"cluster {files.name!r} has no {what}", help="`dsectl status` lists the workers.")
    folders = [files.worker(endpoint) for endpoint in found]
    end_nodes(folders, wait_s)
    with locked(where.home.lock(files.name), LOCK_WAIT_S):
        for folder in folders:
            kill_nodes([folder])  # somebody may have started it meanwhile
            _remove(folder)
    left = [*files.nodes, *files.workers()]
    change(files.name, lambda document: mark_left(document, left, timestamp()), world=where)
    return found


def kill(files: ClusterFiles, endpoints: list[str], *, world: LocalMachine | None = None) -> Fault:
    """End workers with SIGKILL; returns the fault. Their nodes know of it before it happens, as with the kill of a
    node. Raises Failed for one that does not run."""
    _check_state(files, endpoints, ("running", "paused", "starting"))
    fault = _record(files, Fault(kind="kill", at=timestamp(), nodes=endpoints), world)
    kill_nodes(files.worker(endpoint) for endpoint in endpoints)
    return fault


def pause(files: ClusterFiles, endpoints: list[str], *, world: LocalMachine | None = None) -> Fault:
    """Stop the processes of workers; returns the fault once they stand still."""
    _check_state(files, endpoints, ("running",))
    fault = _record(files, Fault(kind="pause", at=timestamp(), nodes=endpoints), world)
    for endpoint in endpoints:
        pause_node(files.worker(endpoint))
    return fault


def resume(files: ClusterFiles, endpoints: list[str], *, world: LocalMachine | None = None) -> None:
    """Let paused workers go on."""
    _check_state(files, endpoints, ("paused",))
    for endpoint in endpoints:
        resume_node(files.worker(endpoint))
    change(files.name, lambda document: mark_returned(document, endpoints, timestamp()), world=world)


def _record(files: ClusterFiles, fault: Fault, world: LocalMachine | None) -> Fault:
    return change(files.name, lambda document: add_fault(document, fault), world=world).faults[-1]


def check_runs(files: ClusterFiles, node: str) -> None:
    """Raises Failed when a worker could not reach its node."""
    state = inspect_node(files.node(node)).state
    if state != "running":
        cure = "resume" if state == "paused" else "restart"
        raise Failed(f"node {node} is {state}", help=f"A worker needs its node: `dsectl {cure} {node}`.")


def _check_state(files: ClusterFiles, endpoints: list[str], wanted: tuple[str, ...]) -> None:
    for endpoint in endpoints:
        state = inspect_node(files.worker(endpoint)).state
        if state not in wanted:
            cure = {"paused": f"`dsectl resume {endpoint}`", "stopped": f"`dsectl restart {endpoint}`"}
            help = cure.get(state, "`dsectl status` shows the states.")
            raise Failed(f"worker {endpoint} is {state}", help=help)


def _remove(folder: Path) -> None:
    with disk_errors(f"remove {folder}"):
        shutil.rmtree(folder, ignore_errors=True)


class _Launched:
    """One process that was started, and what it has said."""

    def __init__(self, files: ClusterFiles, endpoint: str, folder: Path) -> None:
        self.endpoint = endpoint
        self.folder = folder
        self._log_began = log_size(folder)
        node, _, number = endpoint.partition("/")
        with disk_errors(f"start worker {endpoint}"), (folder / WORKER_LOG_FILE).open("ab") as log:
            self._process = subprocess.Popen(
                worker_command(files.folder, node, int(number)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=log, start_new_session=True,
            )  # fmt: skip

    def wait(self, deadline: float) -> None:
        """Until it is registered. Raises what it failed with."""
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        said = b""
        while True:
            chunk = self._process.stdout.read()
            if chunk:
                said += chunk
            elif chunk == b"":
                break
            elif time.monotonic() >= deadline:
                raise DeadlinePassed(f"worker {self.endpoint} is not registered in time", help=self._last_words())
            else:
                time.sleep(POLL_S)
        self.close()
        reports = [_decode_report(line) for line in said.splitlines()]
        for report in reports:
            if report.said == "failed":
                error = from_code(report.code, f"worker {self.endpoint}: {report.message}")
                error.help = self._last_words() or error.help
                raise error
        if not any(report.said == "listening" for report in reports):
            raise Failed(f"worker {self.endpoint} ended while it was starting", help=self._last_words())

    def close(self) -> None:
        """Listen no more."""
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process.wait()

    def _last_words(self) -> str | None:
        """What this start has written to the log."""
        return tail(self.folder / WORKER_LOG_FILE, LAST_LINES, self._log_began).strip() or None


def log_size(folder: Path) -> int:
    """How long a worker's log is."""
    try:
        return (folder / WORKER_LOG_FILE).stat().st_size
    except OSError:
        return 0


def _start(files: ClusterFiles, folders: dict[str, Path], deadline: float) -> None:
    launched: list[_Launched] = []
    try:
        for endpoint, folder in folders.items():
            launched.append(_Launched(files, endpoint, folder))
        for one in launched:
            one.wait(deadline)
    finally:
        for one in launched:
            one.close()
