"""Requests to a service on another node: operations a second, p50 and p99, by number in flight.

The client talks to n1 only and each call names n2's endpoint, so every request crosses client -> n1 -> n2 -> n1 ->
client, as with a NATS responder on another server.
"""

import asyncio
import os
import time

import uvloop

import cluster
from cluster.client.aio import Outcome
from cluster.wire.requests import Call, CallDone
from tests.bench.harness import RUNS, SECONDS, fresh_cluster, percentile, rate, show, spread

PAYLOAD = b'{"text":"' + b"x" * 112 + b'"}'


async def measure(slots: int) -> tuple[float, float, float, float]:
    """Requests a second, p50, p99 in ms, share that another node answered."""
    latencies: list[float] = []
    elsewhere = 0
    loop = asyncio.get_running_loop()
    async with cluster.connect("bench", via="n1") as client:
        router, done, end = client.router, loop.create_future(), time.perf_counter() + SECONDS
        left = slots

        def start() -> None:
            nonlocal left
            began = time.perf_counter()
            if began >= end:
                left -= 1
                if left == 0:
                    done.set_result(None)
                return

            def ended(outcome: Outcome) -> None:
                nonlocal elsewhere
                assert type(outcome) is CallDone, outcome
                latencies.append(time.perf_counter() - began)
                elsewhere += outcome.node != "n1"
                start()

            router.call(Call("echo", "echo", PAYLOAD, only="n2"), loop.time() + 5.0, ended)

        started = time.perf_counter()
        for _ in range(slots):
            start()
        await done
        took = time.perf_counter() - started
    latencies.sort()
    return (
        len(latencies) / took,
        percentile(latencies, 0.5) * 1e3,
        percentile(latencies, 0.99) * 1e3,
        elsewhere / len(latencies),
    )


def main() -> None:
    """The table."""
    with fresh_cluster(3):
        for slots in [int(text) for text in os.environ.get("FLIGHTS", "1,16,64,256").split(",")]:
            runs = [uvloop.run(measure(slots)) for _ in range(RUNS)]
            speed, p50 = rate([run[0] for run in runs]), spread([run[1] for run in runs])
            p99, elsewhere = spread([run[2] for run in runs]), spread([run[3] * 100 for run in runs], 0)
            show(f"request in flight {slots:3}: {speed} /s  p50 {p50} ms  p99 {p99} ms  on another node {elsewhere} %")


if __name__ == "__main__":
    main()
