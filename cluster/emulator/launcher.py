"""The program that makes the nodes' processes: `python -m cluster.emulator.launcher CLUSTER_DIR n1 n2…`.

A fresh interpreter with one thread that has never made an event loop, so that forking it is safe. It imports everything
once and computes the placement once; `gc.freeze` keeps the collector from touching (and so copying) what the children
share. Each child is a session of its own, keeps no descriptor but null, its log and the report line, and is orphaned
when the launcher ends right after: the launcher is the first fork of the double fork.

Where forking is not safe (macOS: its frameworks keep threads), each node is a new interpreter instead.
"""

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from cluster.client.locate import SECRET_FILE
from cluster.emulator.disk import read
from cluster.emulator.home import NODE_LAYOUT_FILE, NODE_LOG_FILE, RECORD_FILE
from cluster.emulator.spec import ClusterRecord, decode_record
from cluster.emulator.start import NodeStart, ReportLine, detach
from cluster.errors import ClusterError, Damaged, Usage
from cluster.layout import LayoutEntry, decode_entry, placement

CHILD = "cluster.emulator.realnode:run_node"
"""What runs in a child, unless told otherwise: takes a NodeStart, returns the exit code."""
FORKS = sys.platform != "darwin"

Child = Callable[[NodeStart], int]

# The very code that runs here, wherever it lies, and nothing from the folder that the user happens to stand in (-P).
START = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); import cluster; del sys.path[0]; "
    "from cluster.emulator.launcher import run; run()"
)


def launcher_command(how: str, child: str, folder: Path, names: list[str]) -> list[str]:
    """The command line of a launcher."""
    root = str(Path(__file__).parents[2])
    return [sys.executable, "-P", "-c", START, root, how, "--child", child, str(folder), *names]


GC_THRESHOLD = (20_000, 50, 100)
"""A node makes few cycles and many short-lived objects: collecting as rarely as this gained 8 % on the hot paths."""


class Launcher:
    """Everything that the children share."""

    def __init__(self, folder: Path, names: list[str], child: str) -> None:
        self.folder = folder
        self.child_name = child
        module, _, function = child.partition(":")
        self.child: Child = getattr(import_module(module), function)
        self.record: ClusterRecord = decode_record(read(folder / RECORD_FILE))
        self.secret = read(folder / SECRET_FILE)
        self.entries: dict[str, LayoutEntry] = {}
        blobs: dict[bytes, LayoutEntry] = {}
        for name in names:
            path = folder / "nodes" / name / NODE_LAYOUT_FILE
            try:
                blob = read(path)
                if blob not in blobs:
                    blobs[blob] = _entry(path, blob)
            except Damaged as error:  # this node's failure, and no other's
                ReportLine(1, name).say("failed", error.code, error.message)
            else:
                self.entries[name] = blobs[blob]
        for entry in blobs.values():
            placement(entry)

    def fork_all(self) -> None:
        """Fork each node from here."""
        gc.collect()
        gc.freeze()
        for name in self.entries:
            if os.fork() == 0:
                os._exit(self.become(name))

    def exec_all(self) -> None:
        """Start each node as a program of its own, which inherits the report line as its standard output."""
        for name in self.entries:
            command = launcher_command("--become", self.child_name, self.folder, [name])
            subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    def become(self, name: str) -> int:
        """Be the node from now on; returns the exit code of the process. Never raises."""
        try:
            line = detach(self.folder / "nodes" / name / NODE_LOG_FILE, name)
            os.chdir("/")
            gc.enable()
            gc.set_threshold(*GC_THRESHOLD)
            start = NodeStart(
                self.folder,
                self.folder / "nodes" / name,
                name,
                self.entries[name],
                self.record,
                self.secret,
                line,
            )
            return self.child(start)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            return 1
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()


def _entry(path: Path, blob: bytes) -> LayoutEntry:
    try:
        return decode_entry(blob)
    except Damaged as error:
        raise Damaged(f"{path}: {error.message}") from error


def main(arguments: list[str]) -> int:
    """`[--exec|--fork|--become] [--child MODULE:FUNCTION] CLUSTER_DIR NODE…`."""
    gc.disable()
    os.umask(0o077)
    words = list(arguments)
    how = "--fork" if FORKS else "--exec"
    child = CHILD
    while words and words[0].startswith("--"):
        option = words.pop(0)
        if option == "--child" and words:
            child = words.pop(0)
        elif option in ("--exec", "--fork", "--become"):
            how = option
        else:
            raise Usage(f"unknown option {option}")
    launcher = Launcher(Path(words[0]), words[1:], child)
    if how == "--fork":
        launcher.fork_all()
    elif how == "--exec":
        launcher.exec_all()
    else:
        os._exit(launcher.become(words[1]))
    return 0


def run() -> None:
    """`main` with the arguments of this process; ends it."""
    try:
        sys.exit(main(sys.argv[1:]))
    except ClusterError as error:
        ReportLine(1, "").say("failed", error.code, error.message)
        sys.exit(1)


if __name__ == "__main__":
    run()
