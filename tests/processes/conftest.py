"""Real processes with stand-ins for nodes, a home of its own for each test, and a check that nothing is left over."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.emulator import cluster as emulator
from cluster.emulator.cluster import LocalMachine
from cluster.emulator.home import ClusterFiles, Home

HERE = Path(__file__).parent
STAND_IN = "stand_in:run_stand_in"
DEADLINE_S = 20.0


class Mute:
    """Stands in for the questions to nodes: all are ready, and what is reloaded is noted."""

    def __init__(self) -> None:
        self.reloaded: list[list[str]] = []

    def wait_ready(self, files: ClusterFiles, names: list[str], timeout_s: float) -> None:
        """They are."""

    def reload_faults(self, files: ClusterFiles, names: list[str]) -> None:
        """Note it."""
        self.reloaded.append(names)


Eventually = Callable[[Callable[[], object], str], None]


@pytest.fixture
def eventually() -> Eventually:
    """Wait for a condition, with a deadline."""

    def wait(condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, f"never: {what}"
            time.sleep(0.005)

    return wait


def processes_under(folder: Path) -> list[int]:
    """The living processes that have a file open below `folder`, but for this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            links = [os.readlink(link) for link in (entry / "fd").iterdir()]
        except OSError:
            continue
        if any(link.startswith(str(folder)) for link in links):
            found.append(int(entry.name))
    return found


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A state directory; at the end no process may have anything open in it."""
    folder = tmp_path / "home"
    monkeypatch.setenv("DSECTL_HOME", str(folder))
    monkeypatch.setenv("PYTHONPATH", f"{HERE}{os.pathsep}{HERE.parent.parent}")
    yield Home(folder)
    for name in Home(folder).names():
        emulator.remove(name)
    deadline = time.monotonic() + DEADLINE_S
    while left := processes_under(folder):
        assert time.monotonic() < deadline, f"processes left behind: {left}"
        time.sleep(0.01)


@pytest.fixture
def world(home: Home) -> LocalMachine:
    """Stand-ins instead of nodes."""
    return LocalMachine(home, Mute(), STAND_IN)


Drive = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def drive(home: Home) -> Iterator[Drive]:
    """Run `driver.py` as a program of its own."""
    started = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(HERE / "driver.py"), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            assert stream is not None
            stream.close()
