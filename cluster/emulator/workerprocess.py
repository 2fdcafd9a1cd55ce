"""What runs in a worker's process: `serve` starts it with the folder of its cluster, its node and its number.

It takes the worker's lock, imports the service and serves it on uvloop until SIGTERM, upon which it drains. A thread
watches over it, since the service's code may keep the loop: it ends the process, and its whole group, with the leash,
the time to live, the folder or the node. The code cannot harm a node: it has its own process and the key of a worker,
the kernel takes its memory before a node's, and its log is cut. It may print, fork and start programs; a fork ends with
this process (on Linux, prctl(2)) and takes no call of its own.

What ends by itself or crashes stays down until `restart`: whoever started it has a reason in its log to look at. With
--reload the process drains and becomes its own new version when a file has changed (`workerreload`).
"""

import asyncio
import os
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import uvloop
from setproctitle import setproctitle

from cluster.client.loading import load_service
from cluster.client.serving import DRAIN_S, Serving
from cluster.emulator.disk import read
from cluster.emulator.home import NODE_LOCK_FILE, NODES_FOLDER, RECORD_FILE, WORKER_LOG_FILE, WORKERS_FOLDER
from cluster.emulator.leash import NO_LEASH, has_ended, is_leashed, open_leash
from cluster.emulator.nodelock import NodeLock, is_held
from cluster.emulator.process import log, raise_descriptor_limit
from cluster.emulator.spec import ClusterRecord, decode_record
from cluster.emulator.start import ReportLine, detach
from cluster.emulator.workerreload import TURN_S, Changes, Turn, end_with_parent, say_why
from cluster.emulator.workerspec import KEY_FILE, WorkerSpec, note_service, read_spec, worker_command
from cluster.env.real import real_env, sleep
from cluster.errors import ClusterError, Usage

WATCH_S: Final = 0.25
LOG_BYTES_MAX: Final = 64 * 1024 * 1024
"""A log that grows beyond is begun anew: a full disk would harm the nodes."""
OOM_SCORE: Final = 1000
"""When the machine runs out of memory, the kernel ends a worker and no node (proc(5), oom_score_adj)."""


def main() -> None:
    """Be the worker that the arguments name."""
    cluster, node = Path(sys.argv[1]), sys.argv[2]
    number, held, turn = map(int, sys.argv[3:])
    endpoint = f"{node}/{number}"
    folder = cluster / NODES_FOLDER / node / WORKERS_FOLDER / str(number)
    if held >= 0:  # this process is the worker already, and has just become its new version
        os.set_inheritable(held, False)
        line = ReportLine(-1, endpoint)
    else:
        if os.fork():  # orphaned, so that no shell and no program waits for it
            os._exit(0)
        os.umask(0o077)
        line = detach(folder / WORKER_LOG_FILE, endpoint)
    sys.argv = [endpoint]
    code = 1
    try:
        code = _WorkerProcess(cluster, folder, node, number, line, held, turn).run()
    except BaseException as error:
        say_why(error)
        said = error.message if isinstance(error, ClusterError) else f"{type(error).__name__}: {error}"
        line.say("failed", error.code if isinstance(error, ClusterError) else ClusterError.code, said)
    finally:
        line.close()
        end_group(code)


def end_group(code: int) -> None:
    """End this process, and with it what it has started."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    if os.getpgid(0) == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(code)


class _WorkerProcess:
    """One run."""

    def __init__(
        self, cluster: Path, folder: Path, node: str, number: int, line: ReportLine, held: int, turn: int
    ) -> None:
        self.cluster = cluster
        self.folder = folder
        self.node = node
        self.number = number
        self.line = line
        self.lock = NodeLock(folder / NODE_LOCK_FILE, held)
        self.has_lock = held >= 0
        self.spec: WorkerSpec = read_spec(folder)
        self.record: ClusterRecord = decode_record(read(cluster / RECORD_FILE))
        self.serving: Serving | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.turn = Turn(cluster, turn)
        self.changed = threading.Event()
        """It is time to begin anew."""
        self.reload = False

    def run(self) -> int:
        """Serve until the end; returns the exit code, or does not return."""
        setproctitle(f"dsectl worker {self.record.name}/{self.node}/{self.number}")
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        raise_descriptor_limit()
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE))
        if not self.has_lock and not self.lock.take():
            raise Usage(f"worker {self.node}/{self.number} runs already")
        self.line.say("locked")
        self._adopt_forks()
        os.chdir(self.spec.folder)
        changes = None
        if self.spec.reload:
            changes = Changes(f"{self.node}/{self.number}", self.spec.target, self.spec.folder, self.turn)
        threading.Thread(target=self._watch, args=(changes,), daemon=True).start()
        try:
            service: object = load_service(self.spec.target)()
        except Exception as error:
            if not self.spec.reload or self.line.is_open:
                raise
            say_why(error)
            log("waits for the next change of a file")
            self.turn.release()
            self.changed.wait()
            self._become_new()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            code = runner.run(self._serve(service))
        if self.reload:
            self._become_new()
        return code

    async def _serve(self, service: object) -> int:
        self.loop = loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        code = 0
        place = next(place for place in self.record.places if place.name == self.node)
        key = read(self.folder / KEY_FILE)
        self.serving = serving = Serving(
            real_env(str(self.folder)), sleep, loop.create_future, self.record.name, self.node,
            ("127.0.0.1", place.port), key, service, record_error,
            number=self.number,
        )  # fmt: skip

        def changed() -> None:
            nonlocal code
            if serving.refused is not None:
                code = 1
                ended.set()
            elif serving.registered:
                note_service(self.folder, serving.definition.name, serving.definition.version)
                if not self.line.say("listening"):
                    log("the command that started this worker is gone")
                    ended.set()
                self.line.close()
                self.turn.release()
                log(f"hosts version {serving.definition.version} of {serving.definition.name} as {serving.endpoint}")
            elif not ended.is_set():
                log(f"{self.node} is gone: {serving.error}")

        def end(reload: bool = False) -> None:
            if self.reload or ended.is_set():
                ended.set()
                return
            log("drains, to begin anew" if reload else "drains, to end")
            self.reload = reload
            loop.call_later(DRAIN_S, ended.set)
            serving.drain(ended.set)
            loop.add_signal_handler(signal.SIGTERM, ended.set)  # whoever says it twice does not wait

        def release_turn() -> None:
            if not self.changed.is_set():
                self.turn.release()

        def look_for_changes() -> None:
            if self.changed.is_set():
                end(reload=True)
            else:
                loop.call_later(WATCH_S, look_for_changes)

        loop.add_signal_handler(signal.SIGTERM, end)
        for ignored in (signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(ignored, lambda: None)
        if self.spec.reload:
            loop.call_later(TURN_S, release_turn)
            look_for_changes()
        serving.on_change = changed
        serving.start()
        await ended.wait()
        if serving.refused is not None:
            raise serving.refused
        serving.stop()
        return code

    def _become_new(self) -> None:
        """The same process runs the files as they are now; it keeps the lock."""
        for descriptor in (self.lock.descriptor, self.turn.descriptor):
            if descriptor >= 0:
                os.set_inheritable(descriptor, True)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        command = worker_command(self.cluster, self.node, self.number, self.lock.descriptor, self.turn.descriptor)
        os.execv(command[0], command)

    # -- from a thread of its own

    def _watch(self, changes: Changes | None) -> None:
        """End the process when it has lost its reason, whatever its loop is at."""
        leash = open_leash(self.cluster)
        node_lock = self.cluster / NODES_FOLDER / self.node / NODE_LOCK_FILE
        while True:
            why = ""
            if leash != NO_LEASH and has_ended(leash):
                if is_leashed(self.cluster):
                    why = "the leash was let go"
                leash = NO_LEASH
            if not self.lock.in_place():
                why = "its folder was deleted"
            elif self.record.expires_at is not None and time.time() >= self.record.expires_at:
                why = "the time to live has passed"
            elif not is_held(node_lock):
                why = f"{self.node} has ended"
            if why:
                log(f"ends: {why}")
                end_group(0)
            with suppress(OSError):
                if os.fstat(2).st_size > LOG_BYTES_MAX:
                    os.ftruncate(2, 0)
                    log(f"the log grew beyond {LOG_BYTES_MAX // 1024 // 1024} MiB, and was begun anew")
            if changes is not None and not self.changed.is_set() and changes.look():
                self.changed.set()
            time.sleep(WATCH_S)

    # -- forks

    def _adopt_forks(self) -> None:
        """A fork of this process ends with it, holds neither its lock nor its line, and serves nothing."""
        parent = os.getpid()

        def in_child() -> None:
            end_with_parent()
            with suppress(OSError):
                os.close(self.lock.descriptor)
            self.turn.release()
            self.line.close()
            if self.serving is not None and self.loop is not None and os.getppid() == parent:
                self.serving.abandon()
                self.loop.call_soon(os._exit, 0)  # whoever comes back into the loop is no worker

        os.register_at_fork(after_in_child=in_child)


def record_error(kind: str, cause: str, **fields: Any) -> None:
    """What the service raised and did not declare: in the log, with where it came from."""
    log(f"{kind}: {' '.join(f'{name}={value}' for name, value in fields.items())} {cause}".strip())
    if sys.exc_info()[0] is not None:
        traceback.print_exc()
