"""Workers forked from a program that already used its client: every increment counts."""

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

import cluster
from tests.processes.fleet import real

WORKERS = 5
CLIENTS: list[cluster.BlockingCluster] = []
"""What the workers of a pool find in their memory."""

# From 3.12 on Python warns of a fork beside threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")


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


def write_as_a_worker(number: int) -> str:
    return CLIENTS[0].kv.put(f"job-{number}", b"%d" % number).outcome


def test_pools_that_are_forked_in_the_middle_of_traffic() -> None:
    """The client that a pool inherits is used by its parent's thread meanwhile: no reply goes to the wrong process."""
    with real(3) as fleet, cluster.connect_blocking(fleet.files.name) as client:
        CLIENTS[:] = [client]
        stop, said = threading.Event(), list[bytes | None]()

        def traffic() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                client.kv.put("mine", b"%d" % number)
                said.append(client.kv.get("mine").value)

        thread = threading.Thread(target=traffic)
        thread.start()
        try:
            with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("fork")) as pool:
                outcomes = list(pool.map(write_as_a_worker, range(30)))
            with multiprocessing.get_context("fork").Pool(2) as pool_too:
                outcomes += pool_too.map(write_as_a_worker, range(30, 40))
        finally:
            stop.set()
            thread.join()
            CLIENTS.clear()
        assert outcomes == ["ok"] * 40
        assert said == [b"%d" % number for number in range(1, len(said) + 1)]
        with cluster.connect_blocking(fleet.files.name) as another:
            assert all(another.kv.get(f"job-{n}", strict=True).value == b"%d" % n for n in range(40))
