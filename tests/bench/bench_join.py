"""A sixth node joins five while kv load runs at half the peak: latencies before, during and after, and what moved.

Values of 1 KiB, VALUES of them (1,000,000), three copies each. First the peak of a closed loop (IN_FLIGHT operations,
half reads, half writes), then an open loop at half of it, whose latencies count from when an operation was due. The
limit of the design is a p99 during the join of at most three times that before. JSON comes last, on one line.

`VALUES=20000 python -m tests.bench.bench_join` for a quick look.
"""

import asyncio
import gc
import json
import os
import statistics
import sys
from bisect import bisect_left
from collections import Counter
from itertools import pairwise
from random import Random
from time import perf_counter
from typing import Any

import uvloop

import cluster
from cluster.client.aio import Calls, Client, Outcome
from cluster.errors import ClusterError
from cluster.wire.kv import PutDone
from tests.bench.harness import cpu_s, fresh_cluster, percentile, show

VALUES = int(os.environ.get("VALUES", "1000000"))
SHARE = float(os.environ.get("SHARE", "0.5"))
"""Of the peak, that is offered."""
NODES = 5
IN_FLIGHT = 64
FILL_IN_FLIGHT = 256
WRITTEN = 10_000
"""Keys that the load writes, of those that it reads: it has to remember the context of each."""
VALUE = bytes(33 + at % 94 for at in range(1024))
PEAK_S, WARM_S, BEFORE_S, AFTER_S = 5.0, 2.0, 15.0, 10.0
TICK_S = 0.001


class Offered:
    """Reads and writes, half and half, over the keys that were filled."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.random = Random(7)
        self.contexts: dict[int, bytes] = {}
        self.outcomes: Counter[str] = Counter()
        self.latencies: list[tuple[float, float]] = []
        """When each was due, and how long it took from then."""
        self.in_flight = 0

    async def fill(self, values: int) -> None:
        """Each key once."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        left = iter(range(values))
        running = 0

        def next_one() -> None:
            nonlocal running
            index = next(left, None)
            if index is None:
                if not running and not ended.done():
                    ended.set_result(None)
                return
            running += 1

            def done(outcome: Outcome) -> None:
                nonlocal running
                running -= 1
                self.note(index, outcome)
                next_one()

            self.calls.put(f"key-{index:08d}", VALUE, None, done)

        for _ in range(FILL_IN_FLIGHT):
            next_one()
        await ended

    def note(self, index: int, outcome: Outcome) -> None:
        """Count what came of a write or a read."""
        if type(outcome) is PutDone:
            if index < WRITTEN:
                self.contexts[index] = outcome.context
            self.outcomes[outcome.outcome] += 1
        else:
            self.outcomes[outcome.code if isinstance(outcome, ClusterError) else "read"] += 1

    def start(self, due: float, ended: Any) -> None:
        """One operation; `ended` is called with nothing."""
        self.in_flight += 1
        writes = self.random.random() < 0.5
        index = int(self.random.random() * (min(WRITTEN, VALUES) if writes else VALUES))

        def done(outcome: Outcome) -> None:
            self.in_flight -= 1
            self.latencies.append((due, perf_counter() - due))
            self.note(index, outcome)
            ended()

        if writes:
            self.calls.put(f"key-{index:08d}", VALUE, self.contexts.get(index), done)
        else:
            self.calls.get(f"key-{index:08d}", done)

    async def peak(self) -> float:
        """Operations a second of a closed loop."""
        until, count = perf_counter() + PEAK_S, 0

        def next_one() -> None:
            nonlocal count
            count += 1
            if perf_counter() < until:
                self.start(perf_counter(), next_one)

        for _ in range(IN_FLIGHT):
            next_one()
        await self.drained()
        self.latencies.clear()
        return (count - IN_FLIGHT) / PEAK_S

    async def drained(self) -> None:
        """Nothing is under way any more."""
        while self.in_flight:  # noqa: ASYNC110 - an event would cost each operation a check
            await asyncio.sleep(0.01)

    async def offer(self, rate: float) -> None:
        """An open loop, until it is cancelled."""
        began, count = perf_counter(), 0
        while True:
            due = began + count / rate
            now = perf_counter()
            while due <= now:
                self.start(due, lambda: None)
                count += 1
                due = began + count / rate
            await asyncio.sleep(TICK_S)

    def between(self, since: float, until: float) -> dict[str, float]:
        """The latencies of what was due in that time."""
        self.latencies.sort()  # once: later there is nothing to do
        due_between = self.latencies[bisect_left(self.latencies, (since,)) : bisect_left(self.latencies, (until,))]
        taken = sorted(took for _, took in due_between)
        seconds: dict[int, list[float]] = {}
        for due, took in due_between:
            seconds.setdefault(int(due - since), []).append(took)
        usual = statistics.median([percentile(sorted(one), 0.99) for one in seconds.values()] or [0.0])
        return {
            "operations": len(taken),
            "p50_ms": round(percentile(taken or [0.0], 0.5) * 1e3, 2),
            "p99_ms": round(percentile(taken or [0.0], 0.99) * 1e3, 2),
            "usual_p99_ms": round(usual * 1e3, 2),
        }


async def join() -> dict[str, Any]:
    """`dsectl add`, in a process of its own."""
    env = {**os.environ, "DSECTL_CLUSTER": "bench"}
    command = (sys.executable, "-m", "dsectl", "add", "--json", "--wait", "10m")
    process = await asyncio.create_subprocess_exec(*command, env=env, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0, output
    answer: dict[str, Any] = json.loads(output)
    return answer


async def watch(client: Client, seen: list[tuple[float, dict[str, Any]]]) -> None:
    """Note once a second how fast nodes may move data, until cancelled."""
    while True:
        answers = await client.ask_all(None, "vitals", timeout=2.0)
        rates = {name: answer["throttle"] for name, answer in answers.items() if not isinstance(answer, ClusterError)}
        seen.append((perf_counter(), rates))
        await asyncio.sleep(1.0)


async def moved(client: Client) -> dict[str, int]:
    """What nodes were sent of partitions that they lacked, together."""
    answers = await client.ask_all(None, "vitals")
    totals = [answer["totals"] for answer in answers.values() if not isinstance(answer, ClusterError)]
    return {key: sum(one.get(key, 0) for one in totals) for key in ("moved_bytes", "moved_rows", "moved_partitions")}


async def measure() -> dict[str, Any]:
    """All phases."""
    async with cluster.connect("bench") as client:
        offered = Offered(Calls(client, 5.0))
        began = perf_counter()
        await offered.fill(VALUES)
        filled_s = perf_counter() - began
        show(f"filled {VALUES:,} values in {filled_s:.1f} s, {dict(offered.outcomes)}")
        offered.outcomes.clear()
        gc.collect()
        gc.freeze()
        peak = await offered.peak()
        rate = peak * SHARE
        show(f"peak {peak:,.0f} operations/s, {IN_FLIGHT} in flight; offered from now on {rate:,.0f}/s")
        load = asyncio.ensure_future(offered.offer(rate))
        await asyncio.sleep(WARM_S)
        used = [cpu_s()]
        await asyncio.sleep(BEFORE_S)
        used.append(cpu_s())
        seen: list[tuple[float, dict[str, Any]]] = []
        watching = asyncio.ensure_future(watch(client, seen))
        joined = perf_counter()
        answer = await join()
        over = perf_counter()
        used.append(cpu_s())
        await asyncio.sleep(AFTER_S)
        used.append(cpu_s())
        load.cancel()
        watching.cancel()
        await offered.drained()
        phases = {
            "before": offered.between(joined - BEFORE_S, joined),
            "during": offered.between(joined, over),
            "after": offered.between(over, over + AFTER_S),
        }
        for (before, after), figures in zip(pairwise(used), phases.values(), strict=True):
            figures["node_cpu_us"] = round(1e6 * (after - before) / figures["operations"], 1)
        outcomes = dict(offered.outcomes)
        if os.environ.get("TIMELINE"):
            for at, rates in seen:
                figures = offered.between(at - 1.0, at)
                each = [f"{one['rate'] / 2**20:.1f}({one['p99_ms']}/{one['base_ms']})" for one in rates.values()]
                show(f"{at - joined:5.1f} s  p99 {figures['p99_ms']:7.2f} ms  MiB/s {' '.join(each)}")
    async with cluster.connect("bench") as client:
        totals = await moved(client)
    return {
        "values": VALUES,
        "filled_s": round(filled_s, 1),
        "peak_per_s": round(peak),
        "offered_per_s": round(rate),
        "join_s": answer["s"],
        "copies_moved": answer["copies_moved"],
        **totals,
        "latencies": phases,
        "p99_factor": round(phases["during"]["p99_ms"] / phases["before"]["p99_ms"], 2),
        "outcomes": outcomes,
    }


def main() -> None:
    """The table, and the same as JSON."""
    with fresh_cluster(NODES):
        found = uvloop.run(measure())
    show("| phase | p50 | p99 | p99 of a usual second | operations | CPU of the nodes |")
    show("| --- | --- | --- | --- | --- | --- |")
    for phase, figures in found["latencies"].items():
        times = " | ".join(f"{figures[name]:.2f} ms" for name in ("p50_ms", "p99_ms", "usual_p99_ms"))
        show(f"| {phase} | {times} | {figures['operations']:,} | {figures['node_cpu_us']:.0f} us |")
    show(
        f"joined in {found['join_s']:.1f} s: {found['copies_moved']} copies of partitions,"
        f" {found['moved_rows']:,} rows, {found['moved_bytes'] / 2**20:,.1f} MiB sent"
    )
    show(f"p99 during the join is {found['p99_factor']} times that before (at most 3 wanted); {found['outcomes']}")
    show(json.dumps(found))


if __name__ == "__main__":
    main()
