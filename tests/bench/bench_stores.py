"""Nodes that keep their rows in memory and on the disk, under the same load: how fast they are filled, p50 and p99 of
get and put over all keys, the memory of a node, its files, and how long a restart takes until it votes.

`ROWS=4000000 NODES=1 python -m tests.bench.bench_stores disk`; without arguments both stores, with few rows.
"""

import asyncio
import os
import random
import sys
import time
from pathlib import Path

import cluster
from cluster.client.aio import Client
from cluster.emulator import cluster as emulator
from cluster.emulator.home import ClusterFiles
from cluster.errors import ClusterError
from tests.bench.harness import SECONDS, cpu_s, fresh_cluster, percentile, show

ROWS = int(os.environ.get("ROWS", "100000"))
NODES = int(os.environ.get("NODES", "1"))
VALUE_BYTES = int(os.environ.get("VALUE_BYTES", "1024"))
AT_ONCE = int(os.environ.get("FLIGHTS", "64"))
NOISE = random.Random(1).randbytes(16 * 1024 * 1024 + VALUE_BYTES)
"""Nothing that compresses."""


def key(number: int) -> str:
    """Of a row."""
    return f"key-{number:09}"


def value(number: int) -> bytes:
    """Of a row."""
    start = number * 7919 % (16 * 1024 * 1024)
    return NOISE[start : start + VALUE_BYTES]


async def fill(client: Client) -> None:
    """Put all rows, in any order."""
    numbers = iter(random.Random(2).sample(range(ROWS), ROWS))

    async def put_some() -> None:
        for number in numbers:
            while True:
                try:
                    await client.kv.put(key(number), value(number), blind=True)
                    break
                except ClusterError as error:
                    show(f"  {error.message}")
                    await asyncio.sleep(0.1)

    await asyncio.gather(*(put_some() for _ in range(AT_ONCE)))


async def measure(client: Client, what: str) -> None:
    """Operations on keys chosen at random, for a while."""
    took: list[float] = []
    numbers = random.Random(3)
    ends = time.perf_counter() + SECONDS

    async def some() -> None:
        while time.perf_counter() < ends:
            number = numbers.randrange(ROWS)
            began = time.perf_counter()
            found = await client.kv.get(key(number))
            assert found.siblings
            if what == "put":
                began = time.perf_counter()
                await client.kv.put(key(number), value(number + 1), context=found.context)
            took.append((time.perf_counter() - began) * 1000)

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    took.sort()
    shares = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "longest": 1.0}
    figures = ", ".join(f"{name} {percentile(took, share):.2f}" for name, share in shares.items())
    each = "each behind a get, " if what == "put" else ""
    show(f"  {what}: {each}{len(took) / SECONDS:,.0f}/s, {figures} ms at {AT_ONCE} in flight")


def memory(files: ClusterFiles, node: str = "n1") -> str:
    """What one node has of it."""
    pid = emulator.processes(files)[node].pid
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines())
    now, most = (int(status[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    held = {
        folder: sum(path.stat().st_size for path in (files.node(node) / folder).glob("*")) / 1e6
        for folder in ("log", "table")
    }
    disk = ", ".join(f"{name} {size:,.0f} MB" for name, size in held.items())
    return f"{now:.0f} MB resident, {most:.0f} MB at most, {status['Threads'].strip()} threads; {disk}"


def restart_s(files: ClusterFiles, node: str = "n1") -> float:
    """Seconds from SIGKILL until the node votes again."""
    emulator.kill(files.name, [node])
    began = time.monotonic()
    emulator.start_nodes(files.name, [node])
    with cluster.connect_blocking(files.name) as client:
        while True:
            try:
                if client.ask(node, "status", {}, timeout=1.0)["state"] == "running":
                    return time.monotonic() - began
            except ClusterError:
                pass
            time.sleep(0.02)


async def load(name: str, files: ClusterFiles) -> None:
    """All that a client does."""
    async with cluster.connect(name) as client:
        began = time.monotonic()
        cpu = cpu_s()
        await fill(client)
        took = time.monotonic() - began
        show(f"  fill: {ROWS / took:,.0f} rows/s, {(cpu_s() - cpu) / ROWS * 1e6:.0f} us of CPU of the nodes a row")
        show(f"  filled: {memory(files)}")
        for what in ("get", "put", "get", "put"):
            await measure(client, what)
    show(f"  used: {memory(files)}")


def main() -> None:
    replicas = min(NODES, 3)
    quorum = f"{replicas}/{min(2, replicas)}/{min(2, replicas)}"
    show(f"{ROWS:,} rows of {VALUE_BYTES} bytes over {NODES} nodes, N/R/W {quorum}")
    for store in sys.argv[1:] or ["memory", "disk"]:
        show(store)
        with fresh_cluster(NODES, store=store, replication=quorum) as report:
            asyncio.run(load(report.files.name, report.files))
            show(f"  killed, and votes again after {restart_s(report.files):.1f} s; {memory(report.files)}")


if __name__ == "__main__":
    main()
