"""Overload and metastable failure, at one node whose service has a known capacity.

Overload: twice what the service can do, for SECONDS. Of handlers that sleep 20 ms the capacity is concurrency / 20 ms;
of those that compute, what one processor does. Goodput is what was answered in time, as a share of the capacity.

Metastable failure (Bronson et al., "Metastable Failures in Distributed Systems", HotOS 2021): at 80 % of the capacity
handlers take ten times as long for some seconds. Clients that try again at once, without a bound, keep the service
down when the trigger is over; a budget of retries, and shedding, do not.
"""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import uvloop

import cluster
from cluster.client.aio import CallDone, Client, Outcome
from cluster.emulator import cluster as emulator
from cluster.emulator.spec import ClusterSpec
from cluster.errors import ClusterError
from cluster.wire.requests import Call
from tests.bench.harness import fresh_home, percentile, show
from tests.bench.slow_node import CONCURRENCY, WORK_S

SECONDS = float(os.environ.get("SECONDS", "30"))
CAPACITY = CONCURRENCY / WORK_S
TICK_S = 0.001
DEADLINE_S = 0.5
TRIGGER_S = 3.0
BEFORE_S, AFTER_S = 3.0, 10.0
RETRIES = 3
BUDGET_SHARE, BUDGET_PER_S = 0.2, 10.0


class Offered:
    """Calls at a rate, each tried again up to `retries` times; `budget` bounds these to a share of the calls."""

    def __init__(
        self, client: Client, operation: str, deadline_s: float, retries: int = 0, budget: bool = False
    ) -> None:
        self.client = client
        self.operation = operation
        self.deadline_s = deadline_s
        self.retries = retries
        self.budget = BUDGET_PER_S if budget else float("inf")
        self.good: list[tuple[float, float]] = []
        """When each began that succeeded, and how long it took."""
        self.failed: dict[str, int] = {}
        self.sent = 0
        self.over = False
        self.calls = 0

    async def run(self, rate: float, seconds: float) -> None:
        """Offer them; those under way go on afterwards."""
        began, count = time.monotonic(), 0
        while (now := time.monotonic()) < began + seconds:
            for _ in range(int((now - began) * rate) - count):
                count += 1
                self.calls += 1
                if self.budget < 1000.0:
                    self.budget += BUDGET_SHARE
                self._send(now, 0)
            await asyncio.sleep(TICK_S)
        self.over = True

    def _send(self, began: float, attempt: int) -> None:
        self.sent += 1
        sent = time.monotonic()

        def ended(outcome: Outcome) -> None:
            now = time.monotonic()
            if type(outcome) is CallDone:
                self.good.append((began, now - sent))
                return
            assert isinstance(outcome, ClusterError)
            self.failed[outcome.code] = self.failed.get(outcome.code, 0) + 1
            if attempt < self.retries and self.budget >= 1.0 and not self.over:
                self.budget -= 1.0
                self._send(began, attempt + 1)

        body = Call("slow", self.operation, b"{}", attempt=1)  # the layer above, this one, tries again
        self.client.router.call(body, sent + self.deadline_s, ended)

    def goodput(self, since: float, until: float) -> float:
        """Calls a second that began in a time and were answered."""
        return sum(since <= began < until for began, _ in self.good) / (until - since)


async def overload(operation: str, capacity: float) -> None:
    """Twice the capacity."""
    async with cluster.connect("bench") as client:
        offered = Offered(client, operation, 5.0)
        began = time.monotonic()
        await offered.run(2 * capacity, SECONDS)
        ended = time.monotonic()
        await asyncio.sleep(1.0)
        took = sorted(seconds for _, seconds in offered.good)
        goodput = offered.goodput(began, ended) / capacity
        show(
            f"overload, {operation:8} offered {offered.calls / (ended - began):,.0f}/s of {capacity:,.0f}/s: "
            f"goodput {goodput:.1%}, p50 {percentile(took, 0.5) * 1e3:.1f} ms, "
            f"p99 {percentile(took, 0.99) * 1e3:.1f} ms, refused {offered.failed}"
        )


async def compute_capacity() -> float:
    """Calls a second that one processor does, measured in a closed loop of 3."""
    async with cluster.connect("bench") as client:
        done, ends = 0, time.monotonic() + 2.0

        async def loop() -> None:
            nonlocal done
            while time.monotonic() < ends:
                await client.requests.call("slow.compute")
                done += 1

        await asyncio.gather(*(loop() for _ in range(3)))
        return done / 2.0


async def storm(budget: bool) -> list[float]:
    """Goodput by second, as a share of what is offered."""
    rate = 0.8 * CAPACITY
    async with cluster.connect("bench") as client:
        offered = Offered(client, "sleep", DEADLINE_S, RETRIES, budget)
        began = time.monotonic()
        running = asyncio.create_task(offered.run(rate, BEFORE_S + TRIGGER_S + AFTER_S))
        await asyncio.sleep(BEFORE_S)
        await client.requests.call("slow.trouble", {"factor": 10.0})
        await asyncio.sleep(TRIGGER_S)
        await client.requests.call("slow.trouble", {"factor": 1.0}, deadline=30.0)
        await running
        await asyncio.sleep(1.0)
        return [offered.goodput(began + n, began + n + 1) / rate for n in range(int(BEFORE_S + TRIGGER_S + AFTER_S))]


def up(shedding: bool) -> Any:
    """A cluster of one node, which hosts the service."""
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    os.environ["SHEDDING"] = str(int(shedding))
    world = emulator.LocalMachine(child="tests.bench.slow_node:run_node")
    return emulator.up(ClusterSpec(name="bench", nodes=1, replication="1/1/1"), 60.0, leashed=True, world=world)


def main() -> None:
    """The table."""
    for shedding in (True, False):
        with fresh_home():
            report = up(shedding)
            try:
                if shedding:
                    uvloop.run(overload("sleep", CAPACITY))
                    uvloop.run(overload("compute", uvloop.run(compute_capacity())))
                shares = uvloop.run(storm(budget=shedding))
                how = "shedding and a budget" if shedding else "neither shedding nor a budget"
                show(f"retry storm, {how}: goodput by second {' '.join(f'{share:.0%}' for share in shares)}")
            finally:
                emulator.remove("bench")
                assert report.leash is not None


if __name__ == "__main__":
    main()
