"""put W=2 and get R=2 over 3, 5, 9 and 15 nodes on the same cores: operations a second with 256 in flight, p50 of one
alone, and what an operation costs all processes of CPU, the client's apart. Medians of RUNS (1); SECONDS (3) of each.
"""

import gc
import os
import statistics
import time
from collections import Counter

import uvloop

from tests.bench.bench_kv import measure
from tests.bench.harness import cpu_s, fresh_cluster, show

SIZES = (3, 5, 9, 15)
RUNS = int(os.environ.get("RUNS", "1"))
IN_FLIGHT = 256


class Row:
    """One size, one kind."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.alone_ms: list[float] = []
        self.nodes_us: list[float] = []
        self.client_us: list[float] = []

    def run(self, write: bool, contexts: dict[str, bytes]) -> None:
        """Measure once."""
        nodes, client = cpu_s(), time.process_time()
        rate, _, _, outcomes = uvloop.run(measure(IN_FLIGHT, write, contexts))
        operations = sum(outcomes.values())
        self.nodes_us.append(1e6 * (cpu_s() - nodes) / operations)
        self.client_us.append(1e6 * (time.process_time() - client) / operations)
        self.rates.append(rate)
        _, p50_ms, _, alone = uvloop.run(measure(1, write, contexts))
        self.alone_ms.append(p50_ms)
        wrong = {what: count for what, count in Counter(outcomes + alone).items() if what not in ("ok", "found")}
        if wrong:
            show(f"  besides ok and found: {wrong}")


def main() -> None:
    """The table."""
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
    show(f"{os.cpu_count()} cores, {IN_FLIGHT} in flight")
    show("| nodes | | operations/s | p50 alone | CPU of nodes | CPU of the client |")
    show("| --- | --- | --- | --- | --- | --- |")
    for size in SIZES:
        rows = {True: Row(), False: Row()}
        for _ in range(RUNS):
            with fresh_cluster(size):
                contexts: dict[str, bytes] = {}
                for write, row in rows.items():
                    row.run(write, contexts)
        for write, row in rows.items():
            rate, alone, nodes, client = map(statistics.median, (row.rates, row.alone_ms, row.nodes_us, row.client_us))
            kind = "put" if write else "get"
            show(f"| {size} | {kind} | {rate:,.0f} | {alone:.2f} ms | {nodes:.0f} us | {client:.0f} us |")


if __name__ == "__main__":
    main()
