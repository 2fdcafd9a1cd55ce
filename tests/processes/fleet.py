"""Real clusters for the fault tests: writers that remember what was acknowledged, and the check that must find it
again."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cluster
from cluster.client.blocking import BlockingCluster
from cluster.emulator import cluster as emulator
from cluster.emulator.disk import tail
from cluster.emulator.home import NODE_LOG_FILE, ClusterFiles, find_home, load_cluster
from cluster.emulator.spec import ClusterSpec
from cluster.errors import ClusterError

ACKNOWLEDGED = ("ok", "ok-sloppy")


def until(what: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Wait for a condition; an error of the cluster means not yet."""
    deadline = time.monotonic() + timeout_s
    pause = 0.005
    while True:
        try:
            if what():
                return
        except ClusterError:
            pass
        assert time.monotonic() < deadline, "not within the time allowed"
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


@dataclass
class Ledger:
    """Keys, values, outcomes."""

    written: dict[str, bytes] = field(default_factory=dict)
    acknowledged: list[str] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=dict)
    padding: bytes = b""
    """Behind each value, for tests that want many bytes of few writes."""

    def write(self, client: BlockingCluster, **options: Any) -> str:
        """Write one fresh key; returns the outcome."""
        key = f"key-{len(self.written)}"
        value = self.written[key] = f"value of {key}".encode() + self.padding
        try:
            outcome = client.kv.put(key, value, blind=True, **options).outcome
        except ClusterError as error:
            outcome = "no" if error.definite else "maybe"
        if outcome in ACKNOWLEDGED:
            self.acknowledged.append(key)
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        return outcome

    def lost(self, client: BlockingCluster, *, strict: bool = True) -> list[str]:
        """Acknowledged keys that a read does not find. A wrong value is an assertion of its own."""
        missing = []
        for key in self.acknowledged:
            found = client.kv.get(key, strict=strict).siblings
            assert all(value == self.written[key] for value in found), f"{key} holds {found!r}"
            if not found:
                missing.append(key)
        return missing


class Real:
    """One cluster of real processes."""

    def __init__(self, files: ClusterFiles, client: BlockingCluster) -> None:
        self.files = files
        self.client = client
        self.name = files.name

    def kill(self, *nodes: str) -> None:
        """SIGKILL."""
        emulator.kill(self.name, list(nodes))

    def start(self, *nodes: str) -> None:
        """Start again, and wait until they vote and nothing waits for anybody."""
        emulator.start_nodes(self.name, list(nodes))
        until(self.settled)

    def ask(self, node: str, what: str, **arguments: Any) -> Any:
        """Ask one node directly."""
        return self.client.ask(node, what, arguments, timeout=2.0)

    def settled(self) -> bool:
        """Everybody runs, votes, sees all others alive, and no hint waits."""
        for node in self.files.nodes:
            status = self.ask(node, "status")
            if status["state"] != "running" or status["hints"] or len(status["alive"]) != len(self.files.nodes):
                return False
        return True

    def events(self, node: str, kind: str) -> list[dict[str, Any]]:
        """What a node decided in this boot."""
        found: list[dict[str, Any]] = self.ask(node, "events", kind=kind)
        return found

    def owners(self, key: str) -> list[str]:
        """Who owns a key."""
        node = next(iter(self.files.nodes))
        owners: list[str] = self.ask(node, "explain", key=key)["owners"]
        return owners

    def log(self, node: str) -> Path:
        """The last segment of a node's log that holds something."""
        return max(path for path in (self.files.node(node) / "log").glob("*.log") if path.stat().st_size)


@contextmanager
def last_words(name: str, lines: int = 25) -> Iterator[None]:
    """What fails inside tells what each node's process does and logged last: the cluster is gone when it is read."""
    try:
        yield
    except Exception as error:
        with suppress(ClusterError):
            files = load_cluster(name, find_home())
            for node, process in emulator.processes(files).items():
                said = tail(files.node(node) / NODE_LOG_FILE, lines)
                error.add_note(f"{node} ({process.state}):\n{said}")
        raise


@contextmanager
def real(nodes: int = 5, **options: Any) -> Iterator[Real]:
    """A cluster on a leash, below the DSECTL_HOME of the test; removed at the end."""
    report = emulator.up(ClusterSpec(name="real", nodes=nodes, **options), 30.0, leashed=True)
    try:
        with cluster.connect_blocking("real") as client:
            client.timeout = 3.0
            with last_words("real"):
                yield Real(report.files, client)
    finally:
        emulator.remove("real")
        assert emulator.clusters() == []
