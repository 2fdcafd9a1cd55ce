"""Gets one after the other while somebody lists keys without end, on real processes: p50 and p99 against the same
without the listing. `KEYS=200000 python -m tests.bench.bench_listing`."""

import asyncio
import os
import subprocess
import sys
import time

import cluster
from tests.bench.harness import RUNS, SECONDS, fresh_cluster, percentile, show, spread

KEYS = int(os.environ.get("KEYS", "200000"))
AT_ONCE = 256
SHARES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "longest": 1.0}


async def fill(name: str) -> None:
    """Put all keys."""
    async with cluster.connect(name) as client:
        numbers = iter(range(KEYS))

        async def put_some() -> None:
            for number in numbers:
                try:
                    await client.kv.put(f"key-{number:09}", b"v" * 100, blind=True)
                except cluster.Maybe:
                    pass  # a machine that is busy with other things: nearly always it is there

        await asyncio.gather(*(put_some() for _ in range(AT_ONCE)))


def gets(name: str) -> list[float]:
    """The latencies of gets, in milliseconds, for a while."""
    took, ends = [], time.monotonic() + SECONDS
    with cluster.connect_blocking(name) as client:
        number = 0
        while time.monotonic() < ends:
            started = time.perf_counter()
            client.kv.get(f"key-{number * 7919 % KEYS:09}")
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
        all_alone, all_beside, ratios = [], [], []
        for _ in range(2 * RUNS):  # in turn and short, so that a busy moment of the machine meets both
            alone = gets(name)
            command = [sys.executable, "-m", "tests.bench.bench_listing", name]
            began = time.monotonic()
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as lister:
                assert lister.stdout is not None and lister.stdout.readline()
                first_s = time.monotonic() - began
                beside = gets(name)
                lister.kill()
                pages = lister.stdout.read().split()
            ratios.append(percentile(beside, 0.99) / percentile(alone, 0.99))
            show(
                f"first page after {first_s:.2f} s, then {pages[-1]} pages; {len(alone)} and {len(beside)} gets, "
                f"p99 {percentile(alone, 0.99):.2f} and {percentile(beside, 0.99):.2f} ms, ratio {ratios[-1]:.2f}"
            )
            all_alone += alone
            all_beside += beside
        for what, values in (("alone", sorted(all_alone)), ("beside", sorted(all_beside))):
            figures = (f"{words} {percentile(values, share):.2f}" for words, share in SHARES.items())
            show(f"{what}: {', '.join(figures)} ms of {len(values)} gets")
        show(f"ratio of the p99s: {spread(ratios)}")


if __name__ == "__main__":
    listing(sys.argv[1]) if len(sys.argv) > 1 else main()
