"""Gets one after the other while somebody lists keys without end, on real processes: p50 and p99 against the same
without the listing. `KEYS=200000 python -m tests.bench.bench_listing`."""

import asyncio
import os
import subprocess
import sys
import time

import cluster
from tests.bench.harness import RUNS, SECONDS, fresh_cluster, show, spread

KEYS = int(os.environ.get("KEYS", "200000"))
AT_ONCE = 256


async def fill(name: str) -> None:
    """Put all keys."""
    async with cluster.connect(name) as client:
        numbers = iter(range(KEYS))

        async def put_some() -> None:
            for number in numbers:
                await client.kv.put(f"key-{number:09}", b"v" * 100, blind=True)

        await asyncio.gather(*(put_some() for _ in range(AT_ONCE)))


def gets(name: str) -> list[float]:
    """The latencies of gets, in milliseconds, for a while."""
    took, ends = [], time.monotonic() + SECONDS
    with cluster.connect_blocking(name) as client:
        number = 0
        while time.monotonic() < ends:
            started = time.perf_counter()
            assert client.kv.get(f"key-{number * 7919 % KEYS:09}").found
            took.append((time.perf_counter() - started) * 1000)
            number += 1
    return sorted(took)


def listing(name: str) -> None:
    """Page after page, from the start again when it is through; a process of its own, or it would hold up the gets."""
    with cluster.connect_blocking(name) as client:
        after, pages = "", 0
        while True:
            page = client.kv.keys(after=after, limit=1000)
            pages += 1
            after = page.keys[-1] if page.more else ""
            print(pages, flush=True)  # noqa: T201


def main() -> None:
    with fresh_cluster(nodes=5) as report:
        name = report.files.name
        started = time.monotonic()
        asyncio.run(fill(name))
        show(f"filled {KEYS} keys in {time.monotonic() - started:.1f} s")
        rows: dict[str, list[float]] = {
            "p50 alone": [],
            "p99 alone": [],
            "p50 beside": [],
            "p99 beside": [],
            "ratio": [],
        }
        for _ in range(RUNS):
            alone = gets(name)
            command = [sys.executable, "-m", "tests.bench.bench_listing", name]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as lister:
                assert lister.stdout is not None and lister.stdout.readline()
                beside = gets(name)
                lister.kill()
                pages = lister.stdout.read().split()
            for what, values in (("alone", alone), ("beside", beside)):
                rows[f"p50 {what}"].append(values[len(values) // 2])
                rows[f"p99 {what}"].append(values[len(values) * 99 // 100])
            rows["ratio"].append(rows["p99 beside"][-1] / rows["p99 alone"][-1])
            show(f"{pages[-1]} pages, {len(alone)} and {len(beside)} gets")
        for what, values in rows.items():
            show(f"{what}: {spread(values)}{'' if what == 'ratio' else ' ms'}")


if __name__ == "__main__":
    listing(sys.argv[1]) if len(sys.argv) > 1 else main()
