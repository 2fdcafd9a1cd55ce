"""How many operations a second one process offers, by callbacks and by coroutines. `pytest -m bench` shows it."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from time import perf_counter

import pytest
import uvloop

from cluster.client.aio import Calls, Client
from cluster.client.blocking import BlockingCluster
from cluster.client.locate import Location
from cluster.layout.entry import LayoutEntry, LayoutMember
from tests.client.fake_node import CLUSTER, SECRET

pytestmark = pytest.mark.bench

IN_FLIGHT = 256
SECONDS = 2.0
NAMES = ("n1", "n2", "n3")


@pytest.fixture
def place() -> Iterator[Location]:
    """Three nodes in processes of their own."""
    command = [sys.executable, "-m", "tests.client.answering"]
    running = [
        subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for name in NAMES
    ]
    ports = [int(process.stdout.readline()) for process in running if process.stdout is not None]
    members = tuple(LayoutMember(name, "z1", "127.0.0.1", port) for name, port in zip(NAMES, ports, strict=True))
    nodes = {member.name: (member.host, member.port) for member in members}
    yield Location(CLUSTER, SECRET, nodes, LayoutEntry(1, CLUSTER, members, 3, 2, 2))
    for process in running:
        process.communicate()


async def by_callbacks(place: Location) -> float:
    """Each reply starts the next write."""
    async with Client(place, seed=1) as c:
        calls = Calls(c, 1.0)
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        stop_at = perf_counter() + SECONDS
        count = 0

        def next_one(outcome: object = None) -> None:
            nonlocal count
            count += 1
            if perf_counter() < stop_at:
                calls.put(f"k{count & 1023}", b"v" * 100, None, next_one)
            elif not ended.done():
                ended.set_result(None)

        for _ in range(IN_FLIGHT):
            next_one()
        await ended
        return (count - IN_FLIGHT) / SECONDS


async def by_coroutines(place: Location) -> float:
    """Many tasks, each writing one after the other."""
    async with Client(place, seed=1) as c:
        stop_at = perf_counter() + SECONDS

        async def write(worker: int) -> int:
            done = 0
            while perf_counter() < stop_at:
                await c.kv.put(f"k{worker}-{done & 7}", b"v" * 100)
                done += 1
            return done

        return sum(await asyncio.gather(*(write(worker) for worker in range(IN_FLIGHT)))) / SECONDS


def test_speed(place: Location, capsys: pytest.CaptureFixture[str]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        callbacks = runner.run(by_callbacks(place))
        coroutines = runner.run(by_coroutines(place))
    with BlockingCluster(place) as c:
        began, count = perf_counter(), 0
        while perf_counter() < began + SECONDS:
            c.kv.put("k", b"v" * 100)
            count += 1
    with capsys.disabled():
        sys.stdout.write(
            f"\ncallbacks {callbacks:,.0f}/s, coroutines {coroutines:,.0f}/s, blocking {count / SECONDS:,.0f}/s\n"
        )
    assert callbacks > coroutines > count / SECONDS
