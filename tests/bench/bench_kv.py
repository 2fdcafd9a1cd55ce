"""put W=2 and get R=2 over three nodes: operations a second, p50 and p99, by number in flight.

`DURABILITY=always python -m tests.bench.bench_kv` for another durability than interval. 64-byte keys, 100-byte values.
The load is one process on the client's callback core; each slot in flight has its own keys and writes with the context
of its last write, as so many sessions would.
"""

import asyncio
import gc
import os
import time
from collections import Counter

import uvloop

import cluster
from cluster.client.aio import Client, Outcome
from cluster.errors import ClusterError
from cluster.wire.kv import Get, Got, Put, PutDone
from tests.bench.harness import RUNS, SECONDS, fresh_cluster, percentile, rate, show, spread

KEYS_PER_SLOT = 40
VALUE = b"v" * 100


class Load:
    """A closed loop of `slots` operations in flight."""

    def __init__(self, client: Client, slots: int, write: bool, contexts: dict[str, bytes], seconds: float) -> None:
        self.router = client.router
        self.write = write
        self.contexts = contexts
        self.latencies: list[float] = []
        self.outcomes: Counter[str] = Counter()
        self.end = time.perf_counter() + seconds
        self.left = slots
        self.done = asyncio.get_running_loop().create_future()
        self.operations = 0
        self.run_id = os.urandom(4).hex()
        for slot in range(slots):
            self.next([f"{'k' * 52}{slot:04d}{number:08d}" for number in range(KEYS_PER_SLOT)], 0)

    def next(self, keys: list[str], turn: int) -> None:
        """Start the slot's next operation, or end the slot."""
        started = time.perf_counter()
        if started >= self.end:
            self.left -= 1
            if self.left == 0:
                self.done.set_result(None)
            return
        key = keys[turn % len(keys)]
        self.operations += 1
        if self.write:
            body: Put | Get = Put(key, VALUE, f"{self.run_id}-{self.operations}", self.contexts.get(key))
        else:
            body = Get(key)

        def ended(outcome: Outcome) -> None:
            self.latencies.append(time.perf_counter() - started)
            if type(outcome) is PutDone:
                self.contexts[key] = outcome.context
                self.outcomes[outcome.outcome] += 1
            elif type(outcome) is Got:
                self.outcomes["found" if outcome.siblings else "missing"] += 1
            else:
                self.outcomes[outcome.code if isinstance(outcome, ClusterError) else "wrong"] += 1
            self.next(keys, turn + 1)

        self.router.call(body, self.router.now() + 5.0, ended, key)


async def measure(slots: int, write: bool, contexts: dict[str, bytes]) -> tuple[float, float, float, Counter[str]]:
    """Operations a second, p50 and p99 in ms, outcomes."""
    async with cluster.connect("bench") as client:
        started = time.perf_counter()
        load = Load(client, slots, write, contexts, SECONDS)
        await load.done
        took = time.perf_counter() - started
    load.latencies.sort()
    latencies = load.latencies
    return len(latencies) / took, percentile(latencies, 0.5) * 1e3, percentile(latencies, 0.99) * 1e3, load.outcomes


def main() -> None:
    """The table."""
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
    flights = [int(text) for text in os.environ.get("FLIGHTS", "1,16,64,256").split(",")]
    with fresh_cluster(3, durability=os.environ.get("DURABILITY", "interval")):
        contexts: dict[str, bytes] = {}
        for slots in flights:
            for write in (True, False):
                runs = [uvloop.run(measure(slots, write, contexts)) for _ in range(RUNS)]
                outcomes: Counter[str] = sum((run[3] for run in runs), Counter())
                what, speed = "put W=2" if write else "get R=2", rate([run[0] for run in runs])
                p50, p99 = spread([run[1] for run in runs]), spread([run[2] for run in runs])
                show(f"{what} in flight {slots:3}: {speed} /s  p50 {p50} ms  p99 {p99} ms  {dict(outcomes)}")


if __name__ == "__main__":
    main()
