"""How a worker with --reload begins anew: it looks for changes of its files, tries what they make in a process of its
own, and waits for its turn.

What cannot be loaded is said in the worker's log and harms nobody: the version before goes on. The service is imported
there and not made, since making one may take what the running one has, a port for example. Copies begin anew one after
another, so that somebody answers meanwhile: a lock in the cluster's folder, which the kernel drops with the process,
is held from the drain until the new version is registered.
"""

import ctypes
import fcntl
import importlib
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from cluster.client.loading import load_service
from cluster.emulator.disk import FILE_MODE
from cluster.emulator.process import log
from cluster.emulator.workerspec import trial_command
from cluster.errors import ClusterError, Usage

TURN_FILE: Final = "reload.lock"
TURN_S: Final = 5.0
"""How long a new version that does not come to be registered keeps the other copies waiting."""
WATCHED_MAX: Final = 2000
"""Files that are watched."""
PR_SET_PDEATHSIG: Final = 1
LIBC: Final[Any] = ctypes.CDLL(None) if sys.platform == "linux" else None
OURS: Final = (str(Path(__file__).parents[1]) + os.sep, str(Path(importlib.__file__).parent), "<frozen ")
"""Where the frames are that load and define a service, and that help nobody."""


def main() -> None:
    """Be the process that tries to load a service, from the folder that it stands in; 0 says that it can be."""
    end_with_parent()
    endpoint, target = sys.argv[1:]
    sys.argv = [endpoint]
    code = 1
    try:
        load_service(target)
        code = 0
    except BaseException as error:
        say_why(error)
    finally:
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(code)  # whatever threads the service's code has begun


class Turn:
    """The right to begin anew, which one worker of a cluster has at a time."""

    def __init__(self, cluster: Path, held: int = -1) -> None:
        """`held`: the descriptor of the lock that this process took before it became its new version."""
        self._path = cluster / TURN_FILE
        self.descriptor = held
        """-1: not held."""
        if held >= 0:
            os.set_inheritable(held, False)

    def take(self) -> bool:
        """Take it, unless another has it. A folder where it cannot be made keeps nobody from it."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, FILE_MODE)
        except OSError:
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self.descriptor = descriptor
        return True

    def release(self) -> None:
        """It is the next one's turn. May be repeated."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class Changes:
    """The changes of a service's files since the process began."""

    def __init__(self, endpoint: str, target: str, folder: str, turn: Turn) -> None:
        self._command = trial_command(endpoint, target)
        self._folder = folder
        self._turn = turn
        self._files = watched_files(folder)
        self._trial: subprocess.Popen[bytes] | None = None
        self._loads = False
        """What the files make now can be loaded, and is not what runs."""

    def look(self) -> bool:
        """Whether it is time to begin anew; does not wait, and is called until it is."""
        now = watched_files(self._folder)
        if now != self._files:
            before, self._files = self._files, now
            named = sorted(str(path) for path in {**before, **now} if before.get(path) != now.get(path))
            log(f"changed: {', '.join(named[:3])}")
            if self._trial is not None:
                self._trial.kill()
                self._trial.wait()
            self._loads, self._trial = False, self._try()
        elif self._trial is not None and (code := self._trial.poll()) is not None:
            self._loads, self._trial = code == 0, None
            if not self._loads:
                log("cannot be loaded as it is now: goes on as before, and waits for the next change of a file")
        return self._loads and self._turn.take()

    def _try(self) -> subprocess.Popen[bytes] | None:
        null = subprocess.DEVNULL  # what it prints is in the log once it runs
        try:
            return subprocess.Popen(self._command, cwd=self._folder, stdin=null, stdout=null)
        except OSError as error:
            log(f"cannot be tried, and waits for the next change of a file: {error}")
            return None


def end_with_parent() -> None:
    """End this process when its parent ends (prctl(2); Linux only)."""
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def say_why(error: BaseException) -> None:
    """Write to the log what a person can use who has just started this: of an error of the service's own code the
    frames of that code, and of a wrong name what helps."""
    cause = error.__cause__ if isinstance(error, Usage) else error
    if cause is not None:
        said = traceback.TracebackException.from_exception(cause)
        said.stack = traceback.StackSummary.from_list([one for one in said.stack if not one.filename.startswith(OURS)])
        lines = "".join(said.format()).splitlines(keepends=True)
        sys.stderr.write("".join(line for line in lines if line.strip(" ^~\n")))
    if isinstance(error, ClusterError) and error.own_help:
        sys.stderr.write(f"{error.help}\n")


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
