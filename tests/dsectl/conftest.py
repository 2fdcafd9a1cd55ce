"""Running `dsectl` in this process, against nodes that say what a test tells them to."""

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cluster.emulator.spec import ClusterRecord, ClusterSpec, Place, encode_record
from cluster.layout import encode_entry
from dsectl.cli.app import invoke
from dsectl.cli.invocation import Session
from tests.client.fake_node import CLUSTER, SECRET, FakeNode, Script, location
from tests.client.scripts import healthy


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@dataclass
class Ran:
    """What one invocation did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The only line of stdout, as JSON."""
        assert self.out.count("\n") == 1, self.out
        return msgspec.json.decode(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Run = Callable[..., Ran]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory without clusters, and an environment that says nothing else."""
    for name in ("DSECTL_CLUSTER", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def run(home: Path) -> Run:
    """Invoke `dsectl` with some words; `terminal` makes both streams one."""

    def invoked(*words: str, terminal: bool = False, session: Session | None = None) -> Ran:
        out = Terminal() if terminal else io.StringIO()
        err = Terminal() if terminal else io.StringIO()
        code = invoke(words, session, out, err)
        return Ran(code, out.getvalue(), err.getvalue())

    return invoked


Serve = Callable[..., list[FakeNode]]


@pytest.fixture
def serve(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """A cluster of fake nodes n1, n2…, one for each script, that `dsectl` finds by default."""
    running: list[FakeNode] = []

    def start(*scripts: Script) -> list[FakeNode]:
        for number, script in enumerate(scripts or (healthy(),), 1):
            running.append(FakeNode(f"n{number}", script))
        entry = location(*running).entry
        assert entry is not None
        folder = home / "clusters" / CLUSTER
        folder.mkdir(parents=True)
        (folder / "layout.json").write_bytes(encode_entry(entry))
        (folder / "secret").write_bytes(SECRET)
        places = [Place(node.name, "z1", node.address[1]) for node in running]
        spec = ClusterSpec(name=CLUSTER, nodes=len(running), replication="1/1/1").resolved()
        record = ClusterRecord(name=CLUSTER, spec=spec, places=places, created="2026-03-01T12:00:00.000Z")
        (folder / "cluster.json").write_bytes(encode_record(record))
        monkeypatch.setenv("DSECTL_CLUSTER", CLUSTER)
        return running

    yield start
    for node in running:
        node.stop()


@pytest.fixture
def environment(home: Path) -> Callable[[], dict[str, str]]:
    """The environment for `python -m dsectl` in a process of its own."""
    root = str(Path(__file__).parent.parent.parent)
    return lambda: {**os.environ, "PYTHONPATH": root}
