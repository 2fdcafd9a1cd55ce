"""The tables of a node alone, without a network: filled, read, overwritten, listed and opened again, each in a process
of its own. `ROWS=4000000 python -m tests.bench.bench_tables`."""

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cluster.env import Env
from cluster.env.real import real_env
from cluster.env.real import sleep as real_sleep
from cluster.layout.partition import partition_of
from cluster.ports import RowTable
from cluster.storage.disk_tables import DiskTables, open_disk_tables
from cluster.storage.memory import MemoryTable
from tests.bench.harness import percentile, show

ROWS = int(os.environ.get("ROWS", "400000"))
OPERATIONS = int(os.environ.get("OPERATIONS", "50000"))
VALUE_BYTES = int(os.environ.get("VALUE_BYTES", "1024"))
GENERATION_BYTES = int(os.environ.get("GENERATION_BYTES", str(4 * 1024 * 1024)))
PASS_ROWS = 64
NOISE_BYTES = 16 * 1024 * 1024


class Bench:
    """One table, driven as the passes of a node do."""

    def __init__(self, table: RowTable, tables: DiskTables | None) -> None:
        self.table, self.tables = table, tables
        self.noise = random.Random(1).randbytes(VALUE_BYTES + NOISE_BYTES)
        self.end = 0

    def key(self, number: int) -> str:
        """As the benches of clusters name them."""
        return f"key-{number:09}"

    def value(self, number: int) -> bytes:
        """Nothing that compresses."""
        start = number * 7919 % NOISE_BYTES
        return self.noise[start : start + VALUE_BYTES]

    async def put(self, numbers: list[int]) -> list[float]:
        """Put these, a pass a few, and never further ahead of the disk than a node would be; milliseconds each."""
        took = []
        for first in range(0, len(numbers), PASS_ROWS):
            for number in numbers[first : first + PASS_ROWS]:
                key = self.key(number)
                began = time.perf_counter()
                self.table.get(partition_of(key), key)
                self.table.put(partition_of(key), key, self.value(number))
                took.append((time.perf_counter() - began) * 1000)
            if self.tables is not None:
                self.end += 1
                self.tables.commit((1, self.end))
                await asyncio.sleep(0)
                await self.until(lambda tables: not tables.refuses())
        return took

    async def until(self, holds: Callable[[DiskTables], bool]) -> None:
        """Wait for the thread that writes."""
        while self.tables is not None and not holds(self.tables):
            await real_sleep(0.001)

    def gets(self, numbers: list[int]) -> list[float]:
        """Read these; milliseconds each."""
        took = []
        for number in numbers:
            key = self.key(number)
            began = time.perf_counter()
            value = self.table.get(partition_of(key), key)
            took.append((time.perf_counter() - began) * 1000)
            assert value is not None and len(value) == VALUE_BYTES
            if self.tables is not None:
                self.tables.commit((1, self.end))
        return took

    def pages(self) -> tuple[float, int]:
        """Milliseconds a page of 64 rows, over a few partitions."""
        began, count, rows = time.perf_counter(), 0, 0
        for partition in range(0, 256, 32):
            after, more = "", True
            while more and count < 500:
                page, more = self.table.scan(partition, after, 64)
                after, count, rows = page[-1][0], count + 1, rows + len(page)
        return (time.perf_counter() - began) * 1000 / count, rows


def show_memory(what: str) -> None:
    """What the process has, and had at most."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text("utf-8").splitlines())
    now, most = (int(status[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    show(f"  {what}: {now:.0f} MB resident, {most:.0f} MB at most, {status['Threads'].strip()} threads")


def show_latencies(what: str, took: list[float]) -> None:
    """Their distribution."""
    took.sort()
    shares = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "longest": 1.0}
    show(
        f"  {what}: "
        + ", ".join(f"{name} {percentile(took, share) * 1000:.0f}" for name, share in shares.items())
        + " us"
    )


def show_files(folder: str) -> None:
    """What lies on the disk."""
    held = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    show(f"  on the disk: {held / 1e6:,.0f} MB")


async def run(kind: str, folder: str) -> None:
    """All of it, for one kind."""
    env = real_env(folder)
    tables = opened(env, kind)
    bench = Bench(tables.by_number[0] if tables else MemoryTable(), tables)
    show(kind)
    numbers = list(range(ROWS))
    random.Random(2).shuffle(numbers)
    began = time.perf_counter()
    took = await bench.put(numbers)
    seconds = time.perf_counter() - began
    show(f"  fill: {ROWS / seconds:,.0f} rows/s, CPU {time.process_time():.0f} s in {seconds:.0f} s")
    show_latencies("put of a new key", took)
    show_memory("filled")
    chosen = random.Random(3).choices(numbers, k=OPERATIONS)
    show_latencies("get", bench.gets(chosen))
    show_latencies("put over a value", await bench.put(random.Random(4).choices(numbers, k=OPERATIONS)))
    page_ms, rows = bench.pages()
    show(f"  page of 64 rows: {page_ms:.2f} ms ({rows} rows)")
    show_memory("used")
    if tables is not None:
        await bench.until(lambda tables: not tables._writing)
        tables.close()
        show_files(folder)


def opened(env: Env, kind: str) -> DiskTables | None:
    if kind == "memory":
        return None
    return open_disk_tables(env, GENERATION_BYTES)


async def again(kind: str, folder: str) -> None:
    """Open what another process has left."""
    env = real_env(folder)
    began = time.perf_counter()
    tables = opened(env, kind)
    assert tables is not None
    took_ms = (time.perf_counter() - began) * 1000
    rows = sum(tables.by_number[0].stat(partition).rows for partition in range(256))
    show(f"  opened again in {took_ms:.0f} ms, {rows:,} rows")
    bench = Bench(tables.by_number[0], tables)
    numbers = random.Random(3).choices(range(ROWS), k=OPERATIONS)
    show_latencies("first gets", bench.gets(numbers[: OPERATIONS // 10]))
    bench.pages()
    show_memory("opened")


def main() -> None:
    kinds = sys.argv[1:] or ["memory", "disk"]
    if kinds[0] in ("run", "again"):
        asyncio.run({"run": run, "again": again}[kinds[0]](kinds[1], kinds[2]))
        return
    show(f"{ROWS:,} rows of {VALUE_BYTES} bytes in random order")
    for kind in kinds:
        with tempfile.TemporaryDirectory(prefix="dsectl-bench-") as folder:
            for step in ("run", "again") if kind != "memory" else ("run",):
                subprocess.run([sys.executable, "-m", "tests.bench.bench_tables", step, kind, folder], check=True)


if __name__ == "__main__":
    main()
