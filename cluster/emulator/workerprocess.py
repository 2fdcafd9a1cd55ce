"""What runs in a worker's process: `serve` starts it with the folder of its cluster, its node and its number.

It takes the worker's lock, imports the service and serves it on uvloop until SIGTERM, upon which it drains. A thread
watches over it, since the service's code may keep the loop: it ends the process, and its whole group, with the leash,
the time to live, the folder or the node. The code cannot harm a node: it has its own process and the key of a worker,
the kernel takes its memory before a node's, and its log is cut. It may print, fork and start programs; a fork ends with
this process (on Linux, prctl(2)) and takes no call of its own.

What ends by itself or crashes stays down until `restart`: whoever started it has a reason in its log to look at. With
--reload the process drains and becomes its own new version when a file changes, and one that cannot be imported waits
for the next change.
"""

import asyncio
import ctypes
import importlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
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
from cluster.emulator.workerspec import KEY_FILE, WorkerSpec, note_service, read_spec, worker_command
from cluster.env.real import real_env, sleep
from cluster.errors import ClusterError, Usage

WATCH_S: Final = 0.25
LOG_BYTES_MAX: Final = 64 * 1024 * 1024
"""A log that grows beyond is begun anew: a full disk would harm the nodes."""
OOM_SCORE: Final = 1000
"""When the machine runs out of memory, the kernel ends a worker and no node (proc(5), oom_score_adj)."""
PR_SET_PDEATHSIG: Final = 1
LOADING: Final = (str(Path(__file__).parents[1]) + os.sep, str(Path(importlib.__file__).parent), "<frozen ")
"""Where the frames are that load a service."""
WATCHED_MAX: Final = 2000
"""Files that are watched for a reload."""


def main() -> None:
    """Be the worker that the arguments name."""
    cluster, node, number, held = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
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
        code = _WorkerProcess(cluster, folder, node, number, line, held).run()
    except BaseException as error:
        say_why(error)
        said = error.message if isinstance(error, ClusterError) else f"{type(error).__name__}: {error}"
        line.say("failed", error.code if isinstance(error, ClusterError) else ClusterError.code, said)
    finally:
        line.close()
        end_group(code)


def say_why(error: BaseException) -> None:
    """Write to the log what a person can use who has just started this: of an error of the service's own code the
    frames of that code, and of a wrong name what helps."""
    cause = error.__cause__ if isinstance(error, Usage) else error
    if cause is not None:
        frames = cause.__traceback__
        while frames is not None and frames.tb_frame.f_code.co_filename.startswith(LOADING):
            frames = frames.tb_next
        said = "".join(traceback.format_exception(type(cause), cause, frames))
        sys.stderr.write("".join(line for line in said.splitlines(keepends=True) if line.strip(" ^~\n")))
    if isinstance(error, ClusterError) and error.help != error.help_text:
        sys.stderr.write(f"{error.help}\n")


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

    def __init__(self, cluster: Path, folder: Path, node: str, number: int, line: ReportLine, held: int) -> None:
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
        self.changed = threading.Event()
        """A file of the service has changed."""
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
        files = watched_files(self.spec.folder) if self.spec.reload else {}
        threading.Thread(target=self._watch, args=(files,), daemon=True).start()
        try:
            service: object = load_service(self.spec.target)()
        except Exception as error:
            if not self.spec.reload or self.line.is_open:
                raise
            say_why(error)
            log("waits for the next change of a file")
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

        def look_for_changes() -> None:
            if self.changed.is_set():
                end(reload=True)
            else:
                loop.call_later(WATCH_S, look_for_changes)

        loop.add_signal_handler(signal.SIGTERM, end)
        for ignored in (signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(ignored, lambda: None)
        if self.spec.reload:
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
        os.set_inheritable(self.lock.descriptor, True)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        command = worker_command(self.cluster, self.node, self.number, self.lock.descriptor)
        os.execv(command[0], command)

    # -- from a thread of its own

    def _watch(self, files: dict[Path, float]) -> None:
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
            if self.spec.reload and not self.changed.is_set():
                now = watched_files(self.spec.folder)
                if now != files:
                    named = sorted(str(path) for path in {**files, **now} if files.get(path) != now.get(path))
                    log(f"changed: {', '.join(named[:3])}")
                    self.changed.set()
            time.sleep(WATCH_S)

    # -- forks

    def _adopt_forks(self) -> None:
        """A fork of this process ends with it, holds neither its lock nor its line, and serves nothing."""
        parent = os.getpid()
        libc: Any = ctypes.CDLL(None) if sys.platform == "linux" else None

        def in_child() -> None:
            if libc is not None:
                libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            with suppress(OSError):
                os.close(self.lock.descriptor)
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


def watched_files(folder: str) -> dict[Path, float]:
    """The Python files below a folder, with the times of their last changes."""

    def below(path: str) -> Iterator[os.DirEntry[str]]:
        with suppress(OSError), os.scandir(path) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name in ("__pycache__", "node_modules", "site-packages"):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    yield from below(entry.path)
                elif entry.name.endswith(".py"):
                    yield entry

    found: dict[Path, float] = {}
    for entry in below(folder):
        with suppress(OSError):
            found[Path(entry.path)] = entry.stat().st_mtime
        if len(found) >= WATCHED_MAX:
            break
    return found
