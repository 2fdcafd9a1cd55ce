"""nats-py through the gateway beside nats-py through nats-server, three nodes each, as ratios.

`python -m tests.bench.bench_nats`, with nats-server in PATH and nats-py installed. 128-byte messages from one publisher
at one node to one subscriber at another, each a process; then requests, one at a time, to a responder at another node.
RUNS turns, each of one after the other.
"""

import asyncio
import multiprocessing
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

import nats
import uvloop

from cluster.emulator.ports import choose_ports, ephemeral_range, is_free, usable_ports
from tests.bench.harness import RUNS, SECONDS, fresh_cluster, percentile, rate, show, spread

PAYLOAD = b"x" * 128
MESSAGES = 100_000
NODES = 3


async def connect(url: str) -> Any:
    return await nats.connect(url, pending_size=8 * 1024 * 1024)


async def flush(client: Any) -> None:
    """All that the client was given is carried out. Twice: nats-py writes a PING before what it has buffered, so the
    first one may be answered before a subscription has been sent."""
    await client.flush()
    await client.flush()


async def subscribe(pipe: Connection, url: str) -> None:
    """Count what arrives until the last message or two seconds of silence."""
    client = await connect(url)
    count, first, last, over = 0, 0.0, 0.0, asyncio.Event()

    async def take(message: Any) -> None:
        nonlocal count, first, last
        last = time.perf_counter()
        first = first or last
        count += 1
        if count == MESSAGES:
            over.set()

    await client.subscribe("bench.>", cb=take, pending_msgs_limit=MESSAGES, pending_bytes_limit=1 << 30)
    await flush(client)
    pipe.send("ready")
    try:
        await asyncio.wait_for(over.wait(), 60.0)
    except TimeoutError:
        pass
    pipe.send((count, first, last))
    await client.close()


async def respond(pipe: Connection, url: str) -> None:
    """Answer until told to end."""
    client = await connect(url)

    async def answer(message: Any) -> None:
        await message.respond(message.data)

    await client.subscribe("bench", cb=answer)
    await flush(client)
    pipe.send("ready")
    await asyncio.to_thread(pipe.recv)
    await client.close()


def process(function: Any, pipe: Connection, url: str) -> None:
    """The other process."""
    uvloop.run(function(pipe, url))


async def publish(url: str) -> None:
    client = await connect(url)
    for _ in range(MESSAGES):
        await client.publish("bench.a", PAYLOAD)
    await client.flush(60)
    await client.close()


async def request(url: str) -> list[float]:
    """The latencies of one request after the other."""
    client, latencies = await connect(url), list[float]()
    end = time.perf_counter() + SECONDS
    while (started := time.perf_counter()) < end:
        await client.request("bench", PAYLOAD, timeout=10)
        latencies.append(time.perf_counter() - started)
    await client.close()
    return sorted(latencies)


def measure(here: str, there: str) -> tuple[float, float, float]:
    """Delivered a second, the share that was delivered, the median of a request in ms."""
    ours, theirs = multiprocessing.Pipe()
    other = multiprocessing.Process(target=process, args=(subscribe, theirs, there))
    other.start()
    assert ours.recv() == "ready"
    uvloop.run(publish(here))
    count, first, last = ours.recv()
    other.join()
    other = multiprocessing.Process(target=process, args=(respond, theirs, there))
    other.start()
    assert ours.recv() == "ready"
    latencies = uvloop.run(request(here))
    ours.send("end")
    other.join()
    return count / max(last - first, 1e-9), count / MESSAGES, percentile(latencies, 0.5) * 1e3


@contextmanager
def nats_servers() -> Iterator[list[str]]:
    """The addresses of a cluster of nats-server."""
    ports = choose_ports(2 * NODES, {}, is_free, usable_ports(2 * NODES, ephemeral_range()), Random())
    routes = [f"nats-route://127.0.0.1:{port}" for port in ports[NODES:]]
    with tempfile.TemporaryDirectory(prefix="nats-bench-") as folder:
        servers = []
        try:
            for place in range(NODES):
                config = Path(folder) / f"{place}.conf"
                config.write_text(
                    f"server_name: n{place}\nhost: 127.0.0.1\nport: {ports[place]}\n"
                    f"cluster {{ name: bench, listen: 127.0.0.1:{ports[NODES + place]}, routes: {routes} }}\n",
                    encoding="utf-8",
                )
                servers.append(subprocess.Popen(["nats-server", "-c", str(config)], stderr=subprocess.DEVNULL))
            time.sleep(3.0)  # until they have found each other
            yield [f"nats://127.0.0.1:{port}" for port in ports[:NODES]]
        finally:
            for server in servers:
                server.kill()
                server.wait()


def main() -> None:
    """The table."""
    with nats_servers() as theirs, fresh_cluster(NODES, gateway="nats") as report:
        password, gateways = report.files.gateway_password, report.files.gateways["nats"]
        ours = [f"nats://{password}@{gateways[node]}" for node in ("n1", "n2")]
        turns = [(measure(*ours), measure(*theirs[:2])) for _ in range(RUNS)]
    for who, side in (("dsectl", 0), ("nats", 1)):
        delivered, shares, medians = zip(*(turn[side] for turn in turns), strict=True)
        show(
            f"{who:6}: delivered {rate(list(delivered))} /s  share {spread(list(shares))}"
            f"  request p50 {spread(list(medians), 3)} ms"
        )
    show(f"ratio: delivered {spread([here[0] / there[0] for here, there in turns])}")
    show(f"ratio: request p50 {spread([here[2] / there[2] for here, there in turns])}")


if __name__ == "__main__":
    main()
