"""A sixth node joins five over links of 20 ms: many partitions at a time, against one at a time, pipelined.

One at a time twice: with the pages that are usual, the next of which is on its way while one is merged; and with pages
so large that as much is in flight as many partitions have together. What is measured is from when the new node listens
to the end of the change, which is seen every 0.1 s. VALUES of 1 KiB (20,000); RUNS of each.
"""

import os
import statistics
import time
from unittest.mock import patch

import uvloop

import cluster
from cluster.client.aio import Calls
from cluster.client.blocking import connect_blocking
from cluster.emulator import growth, linkfaults
from cluster.emulator.cluster import LocalMachine, start_nodes
from cluster.emulator.home import find_home, load_cluster
from cluster.emulator.realnode import run_node
from cluster.emulator.start import NodeStart
from cluster.replication import completing
from cluster.replication.transfer import PAGE_BYTES
from tests.bench.bench_join import Offered
from tests.bench.harness import RUNS, fresh_cluster, show, spread

VALUES = int(os.environ.get("VALUES", "20000"))
DELAY_MS = 20.0


def one_by_one(start: NodeStart) -> int:
    """A node that completes one partition after the other."""
    with patch.object(completing, "PARALLEL", 1):
        return run_node(start)


def one_by_one_in_large_pages(start: NodeStart) -> int:
    """The same, with all in flight in one page that others have in many."""
    with patch.object(completing, "PAGE_BYTES", completing.PARALLEL * PAGE_BYTES):
        return one_by_one(start)


WAYS = {
    "many partitions at a time": "cluster.emulator.realnode:run_node",
    "one at a time, pipelined": "tests.bench.bench_handoff:one_by_one",
    "one at a time, large pages": "tests.bench.bench_handoff:one_by_one_in_large_pages",
}


async def fill() -> None:
    """Each key once."""
    async with cluster.connect("bench") as client:
        await Offered(Calls(client, 5.0)).fill(VALUES)


def join(child: str) -> float:
    """Seconds from when the node listens."""
    listens = 0.0

    def start(name: str, nodes: list[str], wait_s: float) -> dict[str, int]:
        nonlocal listens
        pids = start_nodes(name, nodes, wait_s, world=LocalMachine(child=child))
        listens = time.monotonic()
        return pids

    home = find_home()
    with patch.object(growth, "start_nodes", start), connect_blocking("bench") as client:
        growth.add(client, home, load_cluster("bench", home), 1, None, 120.0, lambda state: None)
    return time.monotonic() - listens


def main() -> None:
    """The table."""
    found: dict[str, list[float]] = {}
    for _ in range(RUNS):
        for way, child in WAYS.items():
            with fresh_cluster(5):
                uvloop.run(fill())
                linkfaults.slow("bench", "all", "all", delay_ms=DELAY_MS)
                found.setdefault(way, []).append(join(child))
    for way, seconds in found.items():
        show(f"{way:28} {spread(seconds)} s")
    many, *others = [statistics.median(seconds) for seconds in found.values()]
    times = ", ".join(f"{other / many:.1f}" for other in others)
    show(f"{VALUES:,} values, {DELAY_MS:.0f} ms a link: {times} times faster")


if __name__ == "__main__":
    main()
