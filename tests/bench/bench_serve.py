"""Requests to a service in a process of its own beside nats-py with nats-server: the same hops, as ratios.

`python -m tests.bench.bench_serve`, nats-server in PATH and nats-py installed. Echo is hosted by `serve`, beside n2,
and by a nats-py responder at the second of three servers; the client is at n1, and at the first. So every request
goes client -> server -> server -> process, and back. RUNS turns, each of one after the other; last, echo in n3
itself, which has no such process beside it. FLIGHTS as in bench_requests.
"""

import asyncio
import multiprocessing
import os
import time
from typing import Any

import nats
import uvloop

import cluster
from cluster.client.aio import Outcome
from cluster.emulator import workers
from cluster.wire.requests import Call, CallDone
from tests.bench.bench_nats import nats_servers, process, respond
from tests.bench.harness import RUNS, SECONDS, fresh_cluster, percentile, rate, show, spread

TEXT = b"x" * 112
PAYLOAD = b'{"text":"' + TEXT + b'"}'
Figures = tuple[float, float]
"""Requests a second, and the median of one in ms."""


async def ours(slots: int, endpoint: str) -> Figures:
    """So many requests in flight, all to one endpoint."""
    latencies: list[float] = []
    loop = asyncio.get_running_loop()
    async with cluster.connect("bench", via="n1") as client:
        router, done = client.router, loop.create_future()
        end, left = time.perf_counter() + SECONDS, slots

        def start() -> None:
            nonlocal left
            began = time.perf_counter()
            if began >= end:
                left -= 1
                if left == 0:
                    done.set_result(None)
                return

            def ended(outcome: Outcome) -> None:
                assert type(outcome) is CallDone, outcome
                latencies.append(time.perf_counter() - began)
                start()

            router.call(Call("echo", "echo", PAYLOAD, only=endpoint), loop.time() + 5.0, ended)

        for _ in range(slots):
            start()
        await done
    return len(latencies) / SECONDS, percentile(sorted(latencies), 0.5) * 1e3


async def theirs(slots: int, url: str) -> Figures:
    """The same through nats-py."""
    latencies: list[float] = []
    client: Any = await nats.connect(url)
    end = time.perf_counter() + SECONDS

    async def ask() -> None:
        while (began := time.perf_counter()) < end:
            await client.request("bench", PAYLOAD, timeout=5)
            latencies.append(time.perf_counter() - began)

    await asyncio.gather(*(ask() for _ in range(slots)))
    await client.close()
    return len(latencies) / SECONDS, percentile(sorted(latencies), 0.5) * 1e3


def main() -> None:
    """The table."""
    with nats_servers() as servers, fresh_cluster(3) as report:
        (endpoint,) = workers.serve(report.files, "cluster.requests.demo:Echo", ["n2"], 1, 30.0)
        with cluster.connect_blocking("bench", via="n1") as client:
            while endpoint not in [end["endpoint"] for one in client.admin.services() for end in one["endpoints"]]:
                time.sleep(0.01)  # until n1 knows it, too
        here, there = multiprocessing.Pipe()
        responder = multiprocessing.Process(target=process, args=(respond, there, servers[1]))
        responder.start()
        assert here.recv() == "ready"
        for slots in [int(text) for text in os.environ.get("FLIGHTS", "1,256").split(",")]:
            turns = [
                (
                    uvloop.run(ours(slots, endpoint)),
                    uvloop.run(theirs(slots, servers[0])),
                    uvloop.run(ours(slots, "n3")),
                )
                for _ in range(RUNS)
            ]
            for place, who in enumerate(("serve", "nats", "node")):
                speeds, medians = zip(*(turn[place] for turn in turns), strict=True)
                show(f"{who:5} in flight {slots:3}: {rate(list(speeds))} /s  p50 {spread(list(medians), 3)} ms")
            for place, who in ((0, "serve"), (2, "node")):
                faster = [turn[place][0] / turn[1][0] for turn in turns]
                later = [turn[place][1] / turn[1][1] for turn in turns]
                show(f"ratio {who} : nats, in flight {slots:3}: requests {spread(faster)}  p50 {spread(later)}")
        here.send("end")
        responder.join()


if __name__ == "__main__":
    main()
