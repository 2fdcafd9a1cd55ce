"""Workers forked from a program that already used its client: every increment counts."""

import os
from pathlib import Path

import pytest

import cluster
from tests.processes.fleet import real

WORKERS = 5


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path))


def increment(client: cluster.BlockingCluster) -> bool:
    """Read and write once, in a process of its own."""
    child = os.fork()
    if child == 0:
        try:
            value = client.kv.get("count").value
            done = client.kv.put("count", b"%d" % (int(value or b"0") + 1))
            os._exit(0 if done.outcome == "ok" else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_forked_workers_count_what_they_acknowledged() -> None:
    with real(3) as fleet, cluster.connect_blocking(fleet.files.name) as client:
        client.kv.put("count", b"0")
        assert all(increment(client) for _ in range(WORKERS))
        with cluster.connect_blocking(fleet.files.name) as another:
            found = another.kv.get("count", strict=True)
        assert found.siblings == [b"%d" % WORKERS]
        assert client.kv.put("count", b"done").siblings <= 2, "the parent goes on, with what it knew"
