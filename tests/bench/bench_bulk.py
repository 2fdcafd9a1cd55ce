"""`kv import` and `kv export` of many keys with values of 100 bytes, as a person runs them: keys a second, three nodes.

`KEYS=100000 RUNS=3 python -m tests.bench.bench_bulk`.
"""

import os
import subprocess
import sys
from pathlib import Path

import msgspec

from dsectl.bulk.line import format_line
from tests.bench.harness import RUNS, fresh_cluster, rate, show

KEYS = int(os.environ.get("KEYS", "100000"))


def carried(*words: str) -> float:
    """Keys a second of one command."""
    command = [sys.executable, "-m", "dsectl", "-C", "bench", "--json", "kv", *words]
    done = subprocess.run(command, capture_output=True, check=True)
    return float(msgspec.json.decode(done.stdout)["per_s"])


def main() -> None:
    found: dict[str, list[float]] = {"import": [], "import again": [], "export": []}
    for _ in range(RUNS):
        with fresh_cluster(nodes=3) as report:
            source, copy = Path(report.files.folder, "source"), Path(report.files.folder, "copy")
            with source.open("wb") as file:
                file.writelines(format_line(f"key-{number:09}", [b"v" * 100]) for number in range(KEYS))
            found["import"].append(carried("import", str(source)))
            found["import again"].append(carried("import", str(source)))
            found["export"].append(carried("export", str(copy)))
            assert source.read_bytes() == copy.read_bytes()
    for what, rates in found.items():
        show(f"{what}: {rate(rates)} keys/s")


if __name__ == "__main__":
    main()
