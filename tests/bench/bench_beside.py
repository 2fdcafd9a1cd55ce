"""put and get of this tree beside those of another one, in turns, so that what else the machine does hits both alike.

`python -m tests.bench.bench_beside TREE`, a worktree of an older commit, whose own bench_kv runs with the packages of
this interpreter. RUNS (5) turns of SECONDS (2) each, FLIGHTS (64) in flight; medians, and the ratio of each turn.
"""

import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

from tests.bench.harness import show

RUNS = int(os.environ.get("RUNS", "5"))
LINE = re.compile(r"(put|get) \S+ in flight +(\d+): [^/]*/([\d,]+)/")
HERE = Path(__file__).parents[2]


def run(tree: Path) -> dict[str, float]:
    """Operations a second of one run, by kind and number in flight."""
    chosen = {"RUNS": "1", "SECONDS": os.environ.get("SECONDS", "2"), "FLIGHTS": os.environ.get("FLIGHTS", "64")}
    env = {**os.environ, **chosen, "PYTHONPATH": str(tree)}
    said = subprocess.run(
        [sys.executable, "-m", "tests.bench.bench_kv"], cwd=tree, env=env, capture_output=True, text=True, check=True
    )
    found = {f"{kind} {flight}": float(rate.replace(",", "")) for kind, flight, rate in LINE.findall(said.stdout)}
    assert found, said.stdout
    return found


def main() -> None:
    """The table."""
    other = Path(sys.argv[1]).resolve()
    turns = []
    for turn in range(RUNS):
        first, second = (other, HERE) if turn % 2 else (HERE, other)
        rates = {first: run(first), second: run(second)}
        turns.append((rates[HERE], rates[other]))
    for kind in turns[0][0]:
        here, there = ([one[kind] for one in side] for side in zip(*turns, strict=True))
        ratios = [mine / other for mine, other in zip(here, there, strict=True)]
        show(
            f"{kind:8} here {statistics.median(here):9,.0f}/s  there {statistics.median(there):9,.0f}/s  ratio"
            f" {min(ratios):.2f}/{statistics.median(ratios):.2f}/{max(ratios):.2f}"
        )


if __name__ == "__main__":
    main()
