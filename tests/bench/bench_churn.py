"""What a thousand restarts and a million deletes leave. `python -m tests.bench.bench_churn [simulated|real]`.

Simulated: nodes of five end and come back, one after the other (`RESTARTS=1000`), while keys are written and deleted.
Real: three processes, where keys are put and deleted (`DELETES=1000000`), so many at a time as a cluster of its own
holds (`KEYS=100000`), beside as many that stay.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

import cluster
from cluster.client.aio import Client
from cluster.emulator.up import UpReport
from cluster.replication.mergeable import TABLE_HINTS, TABLE_KV
from cluster.simulation.fleet import Fleet
from tests.bench.harness import fresh_cluster, show
from tests.simulation.churn import Churn

RESTARTS = int(os.environ.get("RESTARTS", "1000"))
DELETES = int(os.environ.get("DELETES", "1000000"))
KEYS = int(os.environ.get("KEYS", "100000"))
STEP = 250
AT_ONCE = 256
COLLECTED_S = 600.0
UNFOLLOWED = "not looked through"
"""Of a node that does not know yet which tombstones it has."""


def simulated() -> None:
    with Fleet.running(1, 5) as fleet:
        churn = Churn(fleet, 100, 1)
        for number in range(RESTARTS + 1):
            if number % STEP == 0:
                left = churn.left()
                logs = [
                    [len(disk.read(path)) for path in disk.paths() if path.startswith("log/") and path.endswith(".log")]
                    for disk in map(fleet.world.disk, fleet.names)
                ]
                rows = left.rows[TABLE_KV]
                show(
                    f"{number} restarts, {churn.deletes} deletes: {len(churn.values)} keys in {rows} rows, "
                    f"{left.rows[TABLE_HINTS]} hints, clocks of at most {left.actors} entries; "
                    f"log of {max(map(sum, logs)):,} bytes in {max(map(len, logs))} segments"
                )
            churn.restart(fleet.names[number % 5])


async def change_all(client: Client, prefix: str, deletes: bool = False) -> None:
    """Put KEYS keys, or delete them."""
    numbers = iter(range(KEYS))

    async def some() -> None:
        for number in numbers:
            key = f"{prefix}{number:09}"
            try:
                await (client.kv.delete(key) if deletes else client.kv.put(key, b"v" * 100, blind=True))
            except cluster.Maybe:
                pass  # a machine that is busy with other things: nearly always it is done

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))


async def collected(client: Client) -> None:
    """Until no node has a tombstone left."""
    until = time.monotonic() + COLLECTED_S
    while True:
        found = await client.admin.ask_all(None, "repair")
        states = [one["deleted"] for one in found.values() if isinstance(one, dict)]
        if len(states) == len(found) and not any(one["left"] or UNFOLLOWED in one["waits"] for one in states):
            return
        assert time.monotonic() < until, found
        await asyncio.sleep(1.0)


def size_of(report: UpReport) -> str:
    """The largest log and process."""
    pids = [process.pid for process in report.nodes.values()]
    logs = [
        [file.stat().st_size for file in (report.files.node(name) / "log").glob("*.log")] for name in report.files.nodes
    ]
    rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines() for pid in pids]
    memory = max(int(line.split()[1]) for lines in rollups for line in lines if line.startswith("Pss:"))
    return f"log of {max(map(sum, logs)) / 1e6:,.1f} MB in {max(map(len, logs))} segments, PSS {memory / 1e3:,.1f} MB"


async def real(rounds: int) -> None:
    with fresh_cluster(nodes=3) as report:
        async with cluster.connect(report.files.name) as client:
            await change_all(client, "stays-")
            show(f"{KEYS} keys: {size_of(report)}")
            for number in range(rounds):
                started = time.monotonic()
                await change_all(client, f"goes-{number}-")
                await change_all(client, f"goes-{number}-", deletes=True)
                took = time.monotonic() - started
                await collected(client)
                show(
                    f"{KEYS * (number + 1)} put and deleted, {2 * KEYS / took:,.0f}/s, "
                    f"collected {time.monotonic() - started - took:.1f} s later: {size_of(report)}"
                )


def main() -> None:
    which = sys.argv[1:] or ["simulated", "real"]
    if "simulated" in which:
        simulated()
    if "real" in which:
        asyncio.run(real(DELETES // KEYS))


if __name__ == "__main__":
    main()
