"""What the processes of a cluster's nodes are doing, told by their locks and by /proc."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from cluster.emulator.home import NODE_LOCK_FILE
from cluster.emulator.nodelock import Holder, is_held, process_start, read_holder, stat_fields

ProcessState = Literal["stopped", "starting", "running", "paused"]


class NodeProcess(NamedTuple):
    """One node's process; `starting` has taken the lock and not yet written who it is."""

    state: ProcessState
    pid: int | None = None
    rss_mb: float = 0.0

    @property
    def alive(self) -> bool:
        """Whether there is a process."""
        return self.state != "stopped"


STOPPED = NodeProcess("stopped")


def inspect_nodes(folders: Mapping[str, Path]) -> dict[str, NodeProcess]:
    """The process of each node, by name."""
    return {name: inspect_node(folder) for name, folder in folders.items()}


def inspect_node(folder: Path) -> NodeProcess:
    """The process of the node in `folder`."""
    lock = folder / NODE_LOCK_FILE
    if not is_held(lock):
        return STOPPED
    holder = live_holder(lock)
    if holder is None:
        return NodeProcess("starting")
    state: ProcessState = "paused" if is_stopped(holder.pid) else "running"
    return NodeProcess(state, holder.pid, rss_mb(holder.pid))


def live_holder(lock: Path) -> Holder | None:
    """Who holds `lock`, checked from both sides: the lock is held, and the process that wrote the file still is the one
    it says. None when nobody does, or the holder has not written yet."""
    holder = read_holder(lock)
    if holder is None or process_start(holder.pid) != holder.started:
        return None
    if not holder.started:  # when it began cannot be seen, so it must do that there is such a process
        try:
            os.kill(holder.pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            pass  # it is there, and another user's
    return holder if is_held(lock) and read_holder(lock) == holder else None


def is_stopped(pid: int) -> bool:
    """Whether the process is stopped by a signal."""
    return process_state(pid) == "T"


def process_state(pid: int) -> str:
    """The letter of proc(5): R, S, D, T, Z…; empty when there is no such process."""
    if sys.platform == "linux":
        fields = stat_fields(pid)
        return fields[0] if fields else ""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.strip()[:1]


def rss_mb(pid: int) -> float:
    """Resident memory, shared pages included; 0.0 where it is not known."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0.0
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def cpu_s(pid: int) -> float:
    """Processor time that the process has used, in seconds; 0.0 where it is not known."""
    fields = stat_fields(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if len(fields) > 12 else 0.0
