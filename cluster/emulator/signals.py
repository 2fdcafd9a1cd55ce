"""Signals to nodes and workers, which never hit another process.

On Linux the process is first pinned by a pidfd (pidfd_open(2)), then its lock is verified, then the signal goes to the
pinned process: a pid that was reused in between cannot be hit. Elsewhere the lock is verified right before the signal.

The workers of a node end with it, as with the host that they share. What a worker has started is of its process group.
"""

import os
import select
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from cluster.emulator.home import NODE_LOCK_FILE, WORKERS_FOLDER, worker_folders
from cluster.emulator.inspect import is_stopped, live_holder
from cluster.emulator.nodelock import is_held
from cluster.errors import Failed

TERM_GRACE_S: Final = 2.0
KILL_WAIT_S: Final = 10.0  # the kernel ends a process at once, but a starved machine may take its time
END_SIGNALS: Final = (signal.SIGTERM, signal.SIGCONT)
"""In this order: a paused process meets the end first when it goes on."""
POLL_S: Final = 0.002
HELP_ELSEWHERE: Final = "Use dsectl where the cluster was started."
PINS: Final = hasattr(os, "pidfd_open") and hasattr(signal, "pidfd_send_signal")


class NodeHandle:
    """One live node, pinned."""

    def __init__(self, pid: int, pin: int, lock: Path) -> None:
        self.pid = pid
        self._pin = pin
        self._lock = lock

    def send(self, signum: int) -> bool:
        """Send a signal; False when the process is gone."""
        try:
            if self._pin >= 0:
                signal.pidfd_send_signal(self._pin, signum)
            elif live_holder(self._lock) is not None:
                os.kill(self.pid, signum)
            else:
                return False
        except ProcessLookupError:
            return False
        except PermissionError:
            raise Failed(f"process {self.pid} runs as another user", help="Work as that user.") from None
        return True

    def kill(self) -> None:
        """End it; a worker with all that it has started and that has not left its group. While the leader is stopped,
        and holds its lock, the group is its own."""
        is_worker = self._lock.parent.parent.name == WORKERS_FOLDER
        if is_worker and self.send(signal.SIGSTOP) and live_holder(self._lock) is not None:
            with suppress(ProcessLookupError, PermissionError):  # gone, by a signal of another's
                if os.getpgid(self.pid) == self.pid:
                    os.killpg(self.pid, signal.SIGKILL)
        self.send(signal.SIGKILL)

    def wait(self, timeout_s: float) -> bool:
        """Wait for the process's end; False when it lives on."""
        if self._pin >= 0:
            poller = select.poll()
            poller.register(self._pin, select.POLLIN)
            return bool(poller.poll(max(0.0, timeout_s) * 1000))
        deadline = time.monotonic() + timeout_s
        while live_holder(self._lock) is not None:
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_S)
        return True

    def close(self) -> None:
        """Let go of the process."""
        if self._pin >= 0:
            os.close(self._pin)


def open_node(folder: Path) -> NodeHandle | None:
    """The live node in `folder`; None when nobody holds its lock, or the holder has not said yet who it is. Raises
    Failed for one that no signal from here reaches."""
    lock = folder / NODE_LOCK_FILE
    holder = live_holder(lock)
    if holder is None:
        return None
    if not PINS:
        return NodeHandle(holder.pid, -1, lock)
    try:
        pin = os.pidfd_open(holder.pid)
    except ProcessLookupError:
        if live_holder(lock) != holder:
            return None
        raise Failed(f"node {folder.name} runs in another PID namespace", help=HELP_ELSEWHERE) from None
    if live_holder(lock) != holder:  # verified again, now that the process is pinned
        os.close(pin)
        return None
    return NodeHandle(holder.pid, pin, lock)


def signal_node(folder: Path, signum: int) -> bool:
    """Send a signal to the node in `folder`; False when no process lives there."""
    handle = open_node(folder)
    if handle is None:
        return False
    try:
        return handle.send(signum)
    finally:
        handle.close()


def pause_node(folder: Path) -> bool:
    """Stop the node's process, and wait until it stands still; False when there is none."""
    return _signal_and_see(folder, signal.SIGSTOP, stopped=True)


def resume_node(folder: Path) -> bool:
    """Let the node's process go on; False when there is none."""
    return _signal_and_see(folder, signal.SIGCONT, stopped=False)


def _signal_and_see(folder: Path, signum: int, stopped: bool) -> bool:
    handle = open_node(folder)
    if handle is None:
        return False
    try:
        sent = handle.send(signum)
        deadline = time.monotonic() + KILL_WAIT_S
        while sent and is_stopped(handle.pid) is not stopped and not handle.wait(POLL_S):
            if time.monotonic() >= deadline:
                raise Failed(f"process {handle.pid} does not react to signals")
        return sent
    finally:
        handle.close()


def kill_nodes(folders: Iterable[Path]) -> None:
    """End nodes with SIGKILL, and wait until their locks are free."""
    end_nodes(folders, grace_s=0.0)


def end_nodes(folders: Iterable[Path], grace_s: float = TERM_GRACE_S) -> None:
    """End nodes, each with its workers, or workers: SIGTERM (paused ones are resumed to hear it), after the grace
    SIGKILL. Returns when all locks are free; one that is just taking its lock is waited for and ended too."""
    left = [one for folder in folders for one in (*worker_folders(folder), folder)]
    began = time.monotonic()
    while left := [folder for folder in left if is_held(folder / NODE_LOCK_FILE)]:
        elapsed = time.monotonic() - began
        if elapsed > grace_s + KILL_WAIT_S:
            names = ", ".join(folder.name for folder in left)
            raise Failed(f"these nodes do not end: {names}", help=f"In another PID namespace? {HELP_ELSEWHERE}")
        kill = elapsed >= grace_s
        handles = [handle for folder in left if (handle := open_node(folder))]
        try:
            for handle in handles:
                if kill:
                    handle.kill()
                for signum in () if kill else END_SIGNALS:
                    handle.send(signum)
            deadline = time.monotonic() + KILL_WAIT_S if kill else began + grace_s
            for handle in handles:
                handle.wait(deadline - time.monotonic())
        finally:
            for handle in handles:
                handle.close()
        if len(handles) < len(left):
            time.sleep(POLL_S)
