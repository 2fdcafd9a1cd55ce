"""SIGSTOP of one of five nodes under a load: its clients leave it, and no operation waits longer than its second."""

import asyncio
import time
from itertools import pairwise
from pathlib import Path

import pytest
import uvloop

import cluster
from cluster.emulator import cluster as emulator
from cluster.limits import CLIENT_TIMEOUT_S
from tests.processes.fleet import real

WRITERS = 8
BEFORE_S, AFTER_S = 0.5, 2.5
GAP_S = 0.3
OPERATION_S = 1.15
"""The second that an operation has, the client's grace, and a beat or two."""
NOISE = 4.0
"""So many times the longest pause before the stop are added: a busy machine has them after it, too."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path))


async def work(name: str, write: bool) -> tuple[float, float, float, int]:
    """The longest time without a success before n3 is stopped and after, the longest operation, how many failed."""
    successes: list[float] = []
    longest, failed = 0.0, 0
    async with cluster.connect(name) as client:
        ends = time.monotonic() + BEFORE_S + AFTER_S

        async def worker(number: int) -> None:
            nonlocal longest, failed
            turn = 0
            while (began := time.monotonic()) < ends:
                try:
                    if write:
                        await client.kv.put(f"{number}-{turn % 50}", b"v")
                    else:
                        await client.kv.get(f"{number}-{turn % 50}")
                    successes.append(time.monotonic())
                except cluster.Maybe:
                    failed += 1
                longest = max(longest, time.monotonic() - began)
                turn += 1
                await asyncio.sleep(0.002)

        workers = [asyncio.create_task(worker(number)) for number in range(WRITERS)]
        await asyncio.sleep(BEFORE_S)
        noise = longest_gap(successes)
        await asyncio.to_thread(emulator.pause, name, ["n3"])
        await asyncio.gather(*workers)
    return noise, longest_gap(successes), longest, failed


def longest_gap(times: list[float]) -> float:
    return max(later - earlier for earlier, later in pairwise(times))


@pytest.mark.parametrize("write", [True, False], ids=["writers", "readers"])
def test_clients_leave_a_stopped_node(write: bool) -> None:
    with real(5) as fleet:
        noise, gap, longest, failed = uvloop.run(work(fleet.files.name, write))
        emulator.resume(fleet.files.name, ["n3"])
    assert gap < GAP_S + NOISE * noise and longest < OPERATION_S + NOISE * noise
    assert failed <= 2 * WRITERS if write else failed == 0


def test_the_blocking_client_leaves_a_stopped_node() -> None:
    with real(5) as fleet, cluster.connect_blocking(fleet.files.name) as client:
        client.kv.put("cart", b"book")
        first = next(iter(client.location.nodes))  # the one that it is connected to
        emulator.pause(fleet.files.name, [first])
        began = time.monotonic()
        assert client.kv.get("cart").value == b"book"
        assert time.monotonic() - began < CLIENT_TIMEOUT_S, "it had no limit but the client's own"
        began = time.monotonic()
        try:
            assert client.kv.put("cart", b"pen").coordinator != first
        except cluster.Maybe:  # another node, which had not noticed yet, had sent it there
            pass
        assert time.monotonic() - began < CLIENT_TIMEOUT_S, "it had no limit but the client's own"
        assert client.kv.put("cart", b"pen").coordinator != first
        emulator.resume(fleet.files.name, [first])
