"""One publisher to a hundred subscribers, beside nats-server and nats-py, three nodes each, as ratios.

`python -m tests.bench.bench_fanout`, with nats-server in PATH and nats-py installed. 128-byte messages; the subscribers
are in PROCESSES processes, a connection each, at all nodes in turn. RUNS turns, each of one after the other.
"""

import asyncio
import multiprocessing
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from typing import Any

import uvloop

import cluster
from tests.bench.bench_nats import NODES, PAYLOAD, connect, flush, nats_servers
from tests.bench.harness import RUNS, fresh_cluster, rate, show, spread

SUBSCRIBERS, PROCESSES = 100, 4
MESSAGES, WINDOW = 2_000, 50
"""The publisher waits for an answer after so many messages."""

Subscriber = Callable[[list[str], "Tally"], Awaitable[None]]


class Tally:
    """What one process got."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe
        self.wanted = MESSAGES * SUBSCRIBERS // PROCESSES
        self.count = 0
        self.first = self.last = 0.0
        self.over = asyncio.Event()

    def take(self) -> None:
        """One message more."""
        self.last = time.perf_counter()
        self.first = self.first or self.last
        self.count += 1
        if self.count == self.wanted:
            self.over.set()

    async def finish(self) -> None:
        """Say that all are there, and in the end what came."""
        self.pipe.send("ready")
        try:
            await asyncio.wait_for(self.over.wait(), 60.0)
        except TimeoutError:
            pass
        self.pipe.send((self.count, self.first, self.last))


async def subscribe_ours(nodes: list[str], tally: Tally) -> None:
    """Each on a connection of its own."""
    clients = [await cluster.connect("bench", via=node).__aenter__() for node in nodes]
    subscriptions = [client.topics.subscribe("bench.>", buffer=MESSAGES) for client in clients]

    async def read(subscription: Any) -> None:
        while await subscription.next() is not None:
            tally.take()

    for subscription in subscriptions:
        await subscription.start()
    readers = [asyncio.ensure_future(read(subscription)) for subscription in subscriptions]
    await tally.finish()
    for reader in readers:
        reader.cancel()
    for client in clients:
        await client.__aexit__(None, None, None)


async def publish_ours(node: str) -> None:
    async with cluster.connect("bench", via=node) as client:
        for _ in range(MESSAGES // WINDOW):
            await asyncio.gather(*(client.topics.publish("bench.a", PAYLOAD) for _ in range(WINDOW)))


async def subscribe_theirs(urls: list[str], tally: Tally) -> None:
    """Each on a connection of its own."""
    clients = [await connect(url) for url in urls]

    async def take(message: Any) -> None:
        tally.take()

    for client in clients:
        await client.subscribe("bench.>", cb=take, pending_msgs_limit=MESSAGES, pending_bytes_limit=1 << 30)
        await flush(client)
    await tally.finish()
    for client in clients:
        await client.close()


async def publish_theirs(url: str) -> None:
    client = await connect(url)
    for _ in range(MESSAGES // WINDOW):
        for _ in range(WINDOW):
            await client.publish("bench.a", PAYLOAD)
        await client.flush(60)
    await client.close()


def process(subscribe: Subscriber, addresses: list[str], pipe: Connection) -> None:
    """Some of the subscribers."""

    async def main() -> None:
        await subscribe(addresses, Tally(pipe))

    uvloop.run(main())


def measure(subscribe: Subscriber, publish: Callable[[str], Any], addresses: list[str]) -> tuple[float, float]:
    """Deliveries a second of all, and the share that was delivered."""
    pipes = []
    for place in range(PROCESSES):
        ours, theirs = multiprocessing.Pipe()
        mine = [addresses[number % NODES] for number in range(place, SUBSCRIBERS, PROCESSES)]
        multiprocessing.Process(target=process, args=(subscribe, mine, theirs)).start()
        pipes.append(ours)
    for pipe in pipes:
        assert pipe.recv() == "ready"
    uvloop.run(publish(addresses[0]))
    counts, firsts, lasts = zip(*(pipe.recv() for pipe in pipes), strict=True)
    for child in multiprocessing.active_children():
        child.join()
    return sum(counts) / (max(lasts) - min(firsts)), sum(counts) / MESSAGES / SUBSCRIBERS


def main() -> None:
    """The table."""
    with nats_servers() as theirs, fresh_cluster(NODES):
        nodes = [f"n{number + 1}" for number in range(NODES)]
        turns = [
            (measure(subscribe_ours, publish_ours, nodes), measure(subscribe_theirs, publish_theirs, theirs))
            for _ in range(RUNS)
        ]
    for who, side in (("dsectl", 0), ("nats", 1)):
        delivered, shares = zip(*(turn[side] for turn in turns), strict=True)
        show(f"{who:6}: delivered to all {rate(list(delivered))} /s  share {spread(list(shares))}")
    show(f"ratio: {spread([here[0] / there[0] for here, there in turns])}")


if __name__ == "__main__":
    main()
