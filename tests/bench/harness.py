"""What the benchmarks share: a fresh cluster that ends with the process, and figures as minimum, median, maximum.

Run by hand: `python -m tests.bench.bench_kv`. Machines are noisy: quote medians of at least 3 runs, and ratios
measured in one run.
"""

import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.emulator import cluster as emulator
from cluster.emulator.home import find_home, load_cluster
from cluster.emulator.inspect import inspect_node
from cluster.emulator.spec import ClusterSpec
from cluster.emulator.up import UpReport

RUNS = int(os.environ.get("RUNS", "3"))
SECONDS = float(os.environ.get("SECONDS", "3"))
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def show(text: str) -> None:
    """One line of the report, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def spread(values: list[float], digits: int = 2) -> str:
    """`min/median/max`."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{low:.{digits}f}/{middle:.{digits}f}/{high:.{digits}f}"


def rate(values: list[float]) -> str:
    """`min/median/max` of operations a second."""
    return "/".join(f"{value:,.0f}" for value in (min(values), statistics.median(values), max(values)))


@contextmanager
def fresh_home() -> Iterator[Path]:
    """An empty state directory of our own."""
    with tempfile.TemporaryDirectory(prefix="dsectl-bench-") as folder:
        before = os.environ.get("DSECTL_HOME")
        os.environ["DSECTL_HOME"] = folder
        try:
            yield Path(folder)
        finally:
            if before is None:
                del os.environ["DSECTL_HOME"]
            else:
                os.environ["DSECTL_HOME"] = before


@contextmanager
def fresh_cluster(nodes: int, name: str = "bench", **options: str) -> Iterator[UpReport]:
    """A cluster of real processes on a leash, removed at the end."""
    with fresh_home():
        report = emulator.up(ClusterSpec(name=name, nodes=nodes, **options), 60.0, lambda *_: None, leashed=True)  # type: ignore[arg-type]
        try:
            yield report
        finally:
            emulator.remove(name)


def percentile(sorted_values: list[float], share: float) -> float:
    """A value of a sorted list."""
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))]


def cpu_s() -> float:
    """The processor time that all nodes that run have used since they began, in seconds."""
    files = load_cluster("bench", find_home())
    total = 0
    for name in files.nodes:
        node = inspect_node(files.node(name))
        if not node.alive:
            continue
        fields = Path(f"/proc/{node.pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS_PER_S
