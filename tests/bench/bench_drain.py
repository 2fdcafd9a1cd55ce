"""A rolling drain and restart of all five nodes under load: how many requests fail. None may.

Two loads at a time: `load request`, and asyncio clients that repeat nothing, so that whatever a restart cuts off at the
entry nodes is counted.
"""

import asyncio
import os
import signal
import sys
import time
from collections import Counter

import msgspec
import uvloop

import cluster
from cluster.client.aio import Outcome
from cluster.emulator.home import find_home, load_cluster
from cluster.emulator.restart import restart
from cluster.errors import ClusterError
from cluster.wire.requests import Call
from tests.bench.harness import RUNS, fresh_cluster, show

RATE = int(os.environ.get("RATE", "5000"))
"""Requests a second, half of them from each load."""
CLIENTS = 4
TICK_S = 0.002
RESTART_S = 30.0
LOAD = ("-m", "dsectl", "-C", "bench", "--json", "load", "request", "--rate", str(RATE // 2), "--for", "90s")


class NothingLearned(dict[tuple[str, str], None]):
    """For a client that repeats no call, as if none might be."""

    def __setitem__(self, key: tuple[str, str], value: None) -> None:
        pass


class Calls:
    """Calls at a rate, through several clients in turn, and what the failures said."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.count = 0
        self.failed: Counter[str] = Counter()
        self.stopped = False
        self.all_ended = asyncio.Event()
        self._open = 0

    async def run(self) -> None:
        """Until it is stopped and all have ended."""
        clients = [cluster.connect("bench") for _ in range(CLIENTS)]
        for client in clients:
            await client.__aenter__()
            client.router.repeatable_calls = NothingLearned()
        began = time.monotonic()
        while not self.stopped:
            for _ in range(int((time.monotonic() - began) * self.rate) - self.count):
                self.count += 1
                self._open += 1
                body = Call("echo", "echo", b'{"text":"x"}')
                clients[self.count % CLIENTS].router.call(body, time.monotonic() + 5.0, self._ended)
            await asyncio.sleep(TICK_S)
        await self.all_ended.wait()
        for client in clients:
            await client.close()

    def _ended(self, outcome: Outcome) -> None:
        self._open -= 1
        if isinstance(outcome, ClusterError):
            self.failed[f"{outcome.code}: {outcome.message}"] += 1
        if self.stopped and not self._open:
            self.all_ended.set()


def roll() -> None:
    """Restart one node after the other."""
    files = load_cluster("bench", find_home())
    with cluster.connect_blocking("bench") as client:
        for name in files.nodes:
            restart(client, files, [name], RESTART_S)


async def measure() -> tuple[Calls, dict[str, int], float]:
    """One rolling restart."""
    load = await asyncio.create_subprocess_exec(sys.executable, *LOAD, stdout=asyncio.subprocess.PIPE)
    calls = Calls(RATE / 2)
    running = asyncio.create_task(calls.run())
    await asyncio.sleep(2.0)
    began = time.monotonic()
    await asyncio.to_thread(roll)
    took_s = time.monotonic() - began
    await asyncio.sleep(1.0)
    calls.stopped = True
    await running
    load.send_signal(signal.SIGINT)
    out, _ = await load.communicate()
    report = msgspec.json.decode(out.splitlines()[-1])
    return calls, {key: report[key] for key in ("ok", "failed", "maybe", "unexpected")}, took_s


def main() -> None:
    """The table."""
    for _ in range(RUNS):
        with fresh_cluster(5):
            calls, report, took_s = uvloop.run(measure())
        failed = sum(calls.failed.values())
        show(f"{RATE}/s, restarted in {took_s:.1f} s: asyncio {failed} of {calls.count:,} failed; load {report}")
        for text, number in calls.failed.most_common(8):
            show(f"    {number} x {text}")


if __name__ == "__main__":
    main()
