"""Publish to one subscriber on another node: 128-byte messages, delivered a second, one publisher and one subscriber
process.

The publisher sends one way and keeps its queue bounded by asking for an answer every 500 messages.
"""

import multiprocessing
import time
from multiprocessing.connection import Connection

import uvloop

import cluster
from cluster.wire.topics import Publish
from tests.bench.harness import RUNS, fresh_cluster, rate, show, spread

PAYLOAD = b"x" * 128
MESSAGES = 100_000
BATCH = 500


async def subscribe(pipe: Connection) -> None:
    """Count what arrives until the last message or two seconds of silence."""
    count, first, last = 0, 0.0, 0.0
    async with (
        cluster.connect("bench", via="n2") as client,
        client.topics.subscribe("bench.>", buffer=MESSAGES) as messages,
    ):
        pipe.send("ready")
        while count < MESSAGES and await messages.next(2.0) is not None:
            last = time.perf_counter()
            first = first or last
            count += 1
    pipe.send((count, first, last))


def subscriber(pipe: Connection) -> None:
    """The other process."""
    uvloop.run(subscribe(pipe))


async def publish() -> float:
    """Publish everything; seconds that it took."""
    async with cluster.connect("bench", via="n1") as client:
        router, started = client.router, time.perf_counter()
        for _ in range(MESSAGES // BATCH):
            for _ in range(BATCH - 1):
                router.oneway(Publish("bench.a", PAYLOAD))
            await client.topics.publish("bench.a", PAYLOAD)
        return time.perf_counter() - started


def measure() -> tuple[float, float, float]:
    """Published a second, delivered a second, share delivered."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=subscriber, args=(theirs,))
    process.start()
    assert ours.recv() == "ready"
    took = uvloop.run(publish())
    count, first, last = ours.recv()
    process.join()
    return MESSAGES / took, count / max(last - first, 1e-9), count / MESSAGES


def main() -> None:
    """One line."""
    with fresh_cluster(3):
        runs = [measure() for _ in range(RUNS)]
        show(
            f"publish {rate([run[0] for run in runs])} /s   delivered {rate([run[1] for run in runs])} /s"
            f"   share delivered {spread([run[2] for run in runs])}"
        )


if __name__ == "__main__":
    main()
