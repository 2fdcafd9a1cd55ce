"""What calls notice of one bad endpoint among five: one that is slow, one that is killed, one that is stopped.

Calls come at a fixed rate, whatever becomes of them, through all nodes. `slow`: each node's handler waits 20 ms, then
one of them 400 ms; round robin, which names the endpoints in turn, shows what the slow one costs whoever does not route
around it. `kill` and `stop`: 5,000 calls a second of a readonly operation that each node hosts; and then of one that
may not be repeated, of workers beside the nodes, which this process serves itself.
"""

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Callable

import msgspec
import uvloop
from msgspec import Struct

import cluster
from cluster.client.aio import Client, Outcome
from cluster.emulator import cluster as emulator
from cluster.errors import ClusterError
from cluster.requests import operation, service
from cluster.wire.requests import Call, CallDone
from tests.bench.harness import RUNS, SECONDS, fresh_cluster, percentile, show, spread

NODES = 5
BAD = "n3"
RATE_PER_S = float(os.environ.get("RATE", "5000"))
SLOW_RATE_PER_S = 500.0
DEADLINE_S = 1.0
BEFORE_S = 3.0
STOPPED_S = 4.0


class Charge(Struct):
    """What is charged."""

    number: int = 0


@service(name="pay")
class Pay:
    """Changes something with each call."""

    @operation()
    def charge(self, request: Charge) -> Charge:
        """Charge it."""
        return request


class Load:
    """Calls at a fixed rate; what became of each."""

    def __init__(self, client: Client, make: Callable[[int], Call]) -> None:
        self.client = client
        self.make = make
        self.seconds: list[float] = []
        self.failed: Counter[str] = Counter()
        self.failed_after_s = 0.0
        self.begun = 0

    async def run(self, rate_per_s: float, seconds: float) -> None:
        """Until all have ended."""
        loop, router = asyncio.get_running_loop(), self.client.router
        under_way, done = 0, asyncio.Event()

        def start() -> None:
            nonlocal under_way
            under_way += 1
            began = loop.time()

            def ended(outcome: Outcome) -> None:
                nonlocal under_way
                under_way -= 1
                took = loop.time() - began
                self.seconds.append(took)
                if not isinstance(outcome, CallDone):
                    assert isinstance(outcome, ClusterError)
                    self.failed[outcome.code] += 1
                    self.failed_after_s = max(self.failed_after_s, took)
                if not under_way:
                    done.set()

            router.call(self.make(self.begun), began + DEADLINE_S, ended)
            self.begun += 1

        begins, total = loop.time(), int(rate_per_s * seconds)
        while self.begun < total:
            due = min(total, int((loop.time() - begins) * rate_per_s) + 1)
            while self.begun < due:
                start()
            await asyncio.sleep(0.001)
        while under_way:
            done.clear()
            await done.wait()

    def p(self, share: float) -> float:
        """A percentile in ms."""
        return percentile(sorted(self.seconds), share) * 1000

    def told(self) -> str:
        """What failed."""
        failed = self.failed.total()
        codes = ", ".join(f"{code} {times}" for code, times in sorted(self.failed.items()))
        after = f" after at most {self.failed_after_s * 1000:.0f} ms" if failed else ""
        return (
            f"{failed} of {self.begun} failed ({failed / self.begun:.3%}{f'; {codes}' if codes else ''}){after}; "
            f"p50 {self.p(0.5):.2f} ms  p99 {self.p(0.99):.2f} ms  max {max(self.seconds) * 1000:.0f} ms"
        )


async def slow() -> list[float]:
    """p99 of five healthy ones, of five with a slow one, and of these by round robin; in ms."""
    async with cluster.connect("bench") as client:

        async def latency(node: str, ms: float) -> None:
            await client.requests.call("flaky.set", {"latency_ms": ms}, only=node)

        async def p99(make: Callable[[int], Call]) -> float:
            load = Load(client, make)
            await load.run(SLOW_RATE_PER_S, SECONDS)
            assert not load.failed, load.failed
            return load.p(0.99)

        names = [f"n{number + 1}" for number in range(NODES)]
        for name in names:
            await latency(name, 20.0)
        healthy = await p99(lambda number: Call("flaky", "work", b"{}"))
        await latency(BAD, 400.0)
        routed = await p99(lambda number: Call("flaky", "work", b"{}"))
        in_turn = await p99(lambda number: Call("flaky", "work", b"{}", only=names[number % NODES]))
        return [healthy, routed, in_turn]


async def struck(strike: Callable[[], object], *, repeatable: bool) -> Load:
    """A load while `strike` does something to a node."""
    payload = msgspec.json.encode({"text": "x" * 112})
    async with cluster.connect("bench") as client:
        workers: list[asyncio.Future[None]] = []
        if not repeatable:
            names = [f"n{number + 1}" for number in range(NODES)]
            workers = [asyncio.ensure_future(client.requests.serve(Pay(), on=name)) for name in names]
            for name in names:
                await all_known(client, name)
        load = Load(
            client, lambda number: Call("echo", "echo", payload) if repeatable else Call("pay", "charge", b"{}")
        )
        task = asyncio.ensure_future(load.run(RATE_PER_S, BEFORE_S + STOPPED_S + 2.0))
        await asyncio.sleep(BEFORE_S)
        await asyncio.to_thread(strike)
        await task
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        return load


async def all_known(client: Client, via: str) -> None:
    """Wait until a node knows all workers."""
    while True:
        found = [one for one in await client.admin.services(node=via) if one["service"] == "pay"]
        if sum(len(one["endpoints"]) for one in found) == NODES:
            return
        await asyncio.sleep(0.05)


def stop_for_a_while() -> None:
    """SIGSTOP, and later SIGCONT."""
    emulator.pause("bench", [BAD])
    time.sleep(STOPPED_S)
    emulator.resume("bench", [BAD])


def main() -> None:
    """The parts that are named, or all."""
    parts = sys.argv[1:] or ["slow", "kill", "stop"]
    if "slow" in parts:
        with fresh_cluster(NODES):
            runs = [uvloop.run(slow()) for _ in range(RUNS)]
        for what, values in zip(
            ("five healthy", "one slow", "one slow, round robin"), zip(*runs, strict=True), strict=True
        ):
            show(f"{what:22} p99 {spread(list(values), 1)} ms")
        show(f"one slow : five healthy {spread([run[1] / run[0] for run in runs])}")
    strikes = {"kill": lambda: emulator.kill("bench", [BAD]), "stop": stop_for_a_while}
    for name, strike in strikes.items():
        for repeatable in (True, False):
            for _ in range(RUNS * (name in parts)):
                with fresh_cluster(NODES):
                    what = "readonly" if repeatable else "may not be repeated"
                    show(f"{name}, {what}: {uvloop.run(struck(strike, repeatable=repeatable)).told()}")


if __name__ == "__main__":
    main()
