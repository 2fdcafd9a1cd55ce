"""Small requests beside large replies, and rows of a stream: a second, p50 and p99, over one connection.

The client talks to n1 only and each call names n2's endpoint, so that all share one lane between the two nodes. `beside
0` is the same without large replies.
"""

import asyncio
import time

import uvloop

import cluster
from cluster.client.aio import Outcome
from cluster.wire.requests import Call, CallDone
from tests.bench.harness import RUNS, SECONDS, fresh_cluster, percentile, rate, show, spread

SMALL = b'{"text":"' + b"x" * 112 + b'"}'
LARGE = b'{"text":"' + b"x" * 1000 + b'","times":1000}'
SLOTS = 16


async def measure(large_slots: int) -> tuple[float, float, float, float]:
    """Small requests a second, their p50 and p99 in ms, and large replies a second."""
    latencies: list[float] = []
    large = 0
    loop = asyncio.get_running_loop()
    async with cluster.connect("bench", via="n1") as client:
        router, done, end = client.router, loop.create_future(), time.perf_counter() + SECONDS
        left = SLOTS + large_slots

        def start(is_large: bool) -> None:
            nonlocal left
            began = time.perf_counter()
            if began >= end:
                left -= 1
                if left == 0:
                    done.set_result(None)
                return

            def ended(outcome: Outcome) -> None:
                nonlocal large
                assert type(outcome) is CallDone, outcome
                if is_large:
                    large += 1
                else:
                    latencies.append(time.perf_counter() - began)
                start(is_large)

            call = Call("echo", "repeat", LARGE, only="n2") if is_large else Call("echo", "echo", SMALL, only="n2")
            router.call(call, loop.time() + 5.0, ended)

        started = time.perf_counter()
        for _ in range(SLOTS):
            start(False)
        for _ in range(large_slots):
            start(True)
        await done
        took = time.perf_counter() - started
    latencies.sort()
    return len(latencies) / took, percentile(latencies, 0.5) * 1e3, percentile(latencies, 0.99) * 1e3, large / took


async def rows() -> tuple[float, float]:
    """Rows of one stream a second, and MB."""
    count = 200_000
    async with cluster.connect("bench", via="n1") as client:
        started, size = time.perf_counter(), 0
        stream = client.requests.stream("echo.count", {"from": 1, "to": count}, deadline=60.0, only="n2")
        async for _ in stream:
            size += 1
        took = time.perf_counter() - started
    assert size == count
    return count / took, took


def main() -> None:
    """The table."""
    with fresh_cluster(2):
        for slots in (0, 1, 4, 16):
            runs = [uvloop.run(measure(slots)) for _ in range(RUNS)]
            speed, p50 = rate([run[0] for run in runs]), spread([run[1] for run in runs])
            p99, large = spread([run[2] for run in runs]), rate([run[3] for run in runs])
            show(f"small requests beside {slots:2} of 1 MB: {speed} /s  p50 {p50} ms  p99 {p99} ms  large {large} /s")
        show(f"rows of one stream: {rate([uvloop.run(rows())[0] for _ in range(RUNS)])} /s")


if __name__ == "__main__":
    main()
