"""`dsectl up -n N` from the shell prompt to its return, memory a node at rest, idle CPU of the whole cluster.

Memory is PSS (smaps_rollup, Linux); idle CPU is measured over a window that begins two seconds after the start.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.harness import RUNS, fresh_home, show, spread

ROOT = Path(__file__).resolve().parents[2]
WINDOW_S = 4.0


def dsectl(*words: str) -> None:
    """Run the command line as a user does."""
    subprocess.run([sys.executable, "-m", "dsectl", *words], cwd=ROOT, check=True, capture_output=True)


def pids() -> list[int]:
    """The nodes' processes, by the locks of the cluster."""
    from cluster.emulator.cluster import processes
    from cluster.emulator.home import load_cluster

    return [process.pid for process in processes(load_cluster("bench")).values() if process.pid]


def pss_mb(pid: int) -> float:
    """Proportional set size."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu_s(pid: int) -> float:
    """CPU seconds used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(nodes: int) -> tuple[float, float, float]:
    """Seconds to ready, PSS a node in MB, idle CPU of all nodes in % of one core."""
    with fresh_home():
        started = time.perf_counter()
        dsectl("up", "-C", "bench", "-n", str(nodes))
        ready = time.perf_counter() - started
        try:
            time.sleep(2.0)
            all_pids = pids()
            before = sum(cpu_s(pid) for pid in all_pids)
            time.sleep(WINDOW_S)
            idle = (sum(cpu_s(pid) for pid in all_pids) - before) / WINDOW_S * 100
            return ready, sum(pss_mb(pid) for pid in all_pids) / nodes, idle
        finally:
            dsectl("rm", "bench", "--yes")


def main() -> None:
    """The table."""
    for nodes in [int(text) for text in os.environ.get("NODES", "3,5,10,50").split(",")]:
        runs = [measure(nodes) for _ in range(RUNS)]
        ready, pss = spread([run[0] for run in runs]), spread([run[1] for run in runs], 1)
        idle = spread([run[2] for run in runs], 1)
        show(f"up -n {nodes:2}: {ready} s   PSS {pss} MB a node   idle CPU {idle} % of a core")


if __name__ == "__main__":
    main()
