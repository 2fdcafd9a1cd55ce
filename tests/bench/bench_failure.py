"""SIGKILL one of five nodes: when is it avoided, not alive, dead, and alive again; how long do writes block.

All times are seconds from the kill (or, for the return, from the moment that the restarted process listens). Writes go
through the survivors; membership is asked of each survivor directly.
"""

import asyncio
import time
from itertools import pairwise
from typing import Any

import uvloop

import cluster
from cluster.client.aio import Client
from cluster.emulator import cluster as emulator
from cluster.errors import ClusterError
from tests.bench.harness import RUNS, fresh_cluster, show, spread

VICTIM = "n3"
POLL_S = 0.005


async def views(client: Client, observers: list[str]) -> list[str]:
    """What each observer believes of the victim; silent ones are left out."""
    answers = await client.ask_all(observers, "members", timeout=1.0)
    return [answer[VICTIM]["state"] for answer in answers.values() if not isinstance(answer, ClusterError)]


async def until(client: Client, observers: list[str], wanted: Any, since: float) -> float:
    """Seconds since `since` when all observers believe what is wanted."""
    while True:
        if all(wanted(state) for state in await views(client, observers)):
            return time.perf_counter() - since
        await asyncio.sleep(POLL_S)


class Writes:
    """Keeps writing fresh keys through the survivors, and remembers when each was acknowledged."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.acknowledged: list[float] = []
        self.failed: list[str] = []
        self.number = 0

    async def run(self, slots: int = 8) -> None:
        """Until cancelled."""
        await asyncio.gather(*(self._slot() for _ in range(slots)))

    async def _slot(self) -> None:
        while True:
            self.number += 1
            try:
                await self.client.kv.put(f"key-{self.number}", b"value", blind=True)
                self.acknowledged.append(time.perf_counter())
            except ClusterError as error:
                self.failed.append(error.code)

    def longest_gap(self, since: float) -> float:
        """The longest time without an acknowledgement, from `since` on."""
        times = [since, *(at for at in self.acknowledged if at >= since)]
        return max((later - earlier for earlier, later in pairwise(times)), default=0.0)


async def measure(load: bool) -> dict[str, float]:
    """One kill and one return."""
    async with cluster.connect("bench") as client:
        survivors = [name for name in client.router.nodes if name != VICTIM]
        writes = Writes(client)
        task = asyncio.ensure_future(writes.run()) if load else None
        await asyncio.sleep(1.0)
        killed = time.perf_counter()
        await asyncio.to_thread(emulator.kill, "bench", [VICTIM])
        found = {"not alive at all": await until(client, survivors, lambda state: state != "alive", killed)}
        found["dead at all"] = await until(client, survivors, lambda state: state == "dead", killed)
        if task is not None:
            found["longest gap of writes"] = writes.longest_gap(killed)
        await asyncio.to_thread(emulator.restart, "bench", [VICTIM])
        listens = time.perf_counter()
        found["alive again at all"] = await until(client, survivors, lambda state: state == "alive", listens)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            found["writes not acknowledged"] = float(len(writes.failed))
    return found


def main() -> None:
    """The table, without and with load."""
    for load in (False, True):
        runs: list[dict[str, float]] = []
        for _ in range(RUNS):
            with fresh_cluster(5):
                runs.append(uvloop.run(measure(load)))
        for what in runs[0]:
            show(f"{'under writes' if load else 'at rest':12} {what:24} {spread([run[what] for run in runs], 3)}")


if __name__ == "__main__":
    main()
