"""The whole-process time of `dsectl get KEY` against `python -c pass`, interleaved: the ratio is what counts."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.harness import fresh_cluster, show, spread

ROOT = Path(__file__).resolve().parents[2]
PAIRS = 25


def timed(command: list[str]) -> float:
    """Milliseconds of one run."""
    started = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return (time.perf_counter() - started) * 1e3


def main() -> None:
    """One line."""
    beside = Path(sys.executable).parent / "dsectl"
    program = str(beside) if beside.exists() else shutil.which("dsectl")
    get = (
        [program, "-C", "bench", "get", "key"]
        if program
        else [sys.executable, "-m", "dsectl", "-C", "bench", "get", "key"]
    )
    with fresh_cluster(3):
        subprocess.run([sys.executable, "-m", "dsectl", "-C", "bench", "put", "key", "value"], cwd=ROOT, check=True)
        pairs = [(timed([sys.executable, "-c", "pass"]), timed(get)) for _ in range(PAIRS)]
    ratios = [one / nothing for nothing, one in pairs]
    gets, nothings = [one for _, one in pairs], [nothing for nothing, _ in pairs]
    show(f"dsectl get: {spread(gets, 1)} ms, python -c pass: {spread(nothings, 1)} ms, ratio {spread(ratios, 1)}")


if __name__ == "__main__":
    main()
