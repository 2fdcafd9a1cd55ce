"""A million small keys over three nodes: the memory of a replica of a key, the log after all were overwritten several
times, p99 of puts while rows are copied forward and while they are not, and how long a killed node takes to vote.

`KEYS=50000 python -m tests.bench.bench_million` for a quick look. Memory is PSS (smaps_rollup, Linux).
"""

import asyncio
import gc
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import uvloop

import cluster
from cluster.client.aio import Calls, Client, Outcome
from cluster.emulator import cluster as emulator
from cluster.emulator.home import ClusterFiles
from cluster.errors import ClusterError
from cluster.wire.kv import PutDone
from tests.bench.harness import fresh_cluster, percentile, show

KEYS = int(os.environ.get("KEYS", "1000000"))
TURNS = int(os.environ.get("TURNS", "5"))
RATE = int(os.environ.get("RATE", "8000"))
"""Puts a second of the open loop."""
VALUE_BYTES, NODES, COPIES, IN_FLIGHT = 100, 3, 3, 256
OPEN_S, TICK_S, REST_S = 40.0, 0.001, 60.0
TAIL = bytes(33 + at % 94 for at in range(VALUE_BYTES - 8))


def key(number: int) -> str:
    return f"key-{number:08d}"


def pss_bytes(files: ClusterFiles) -> int:
    """Of all nodes together."""
    total = 0
    for process in emulator.processes(files).values():
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text("utf-8").splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


class Puts:
    """Writes of all keys, each over what it was before."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.contexts: dict[int, bytes] = {}
        self.outcomes: Counter[str] = Counter()
        self.taken: list[tuple[float, float]] = []

    def put(self, number: int, turn: int, ended: Callable[[], None]) -> None:
        def done(outcome: Outcome) -> None:
            if type(outcome) is PutDone:
                self.contexts[number] = outcome.context
                self.outcomes[outcome.outcome] += 1
            else:
                self.outcomes[outcome.code if isinstance(outcome, ClusterError) else "?"] += 1
            ended()

        self.calls.put(key(number), b"%08d" % turn + TAIL, self.contexts.get(number), done)

    async def all(self, turn: int) -> float:
        """Each key once, as fast as it goes; puts a second."""
        began, over = time.perf_counter(), asyncio.get_running_loop().create_future()
        left, running = iter(range(KEYS)), 0

        def next_one() -> None:
            nonlocal running
            running -= 1
            for number in left:
                running += 1
                self.put(number, turn, next_one)
                return
            if not running:
                over.set_result(None)

        for _ in range(IN_FLIGHT):
            running += 1
            next_one()
        await over
        return KEYS / (time.perf_counter() - began)

    async def offer(self, seconds: float) -> None:
        """An open loop over keys at random, whose latencies count from when a put was due."""
        random = Random(5)
        began, count = time.perf_counter(), 0
        while (due := began + count / RATE) < began + seconds:
            now = time.perf_counter()
            while due <= now:

                def ended(due: float = due) -> None:
                    self.taken.append((due, time.perf_counter() - due))

                self.put(int(random.random() * KEYS), count, ended)
                count += 1
                due = began + count / RATE
            await asyncio.sleep(TICK_S)


async def figures(client: Client, name: str) -> list[int]:
    """One figure of the stores of all nodes."""
    answers = await client.ask_all(None, "status", timeout=5.0)
    return [one["storage"][name] for one in answers.values() if not isinstance(one, ClusterError)]


async def copying(client: Client, seen: list[tuple[float, bool]]) -> None:
    """Notes when rows are copied, until cancelled."""
    before = await figures(client, "copied_bytes")
    while True:
        await asyncio.sleep(0.5)
        now = await figures(client, "copied_bytes")
        seen.append((time.perf_counter(), now != before))
        before = now


def p99s(puts: Puts, seen: list[tuple[float, bool]]) -> dict[bool, list[float]]:
    """Latencies in ms, of what was due while rows were copied, and while they were not."""
    taken: dict[bool, list[float]] = {False: [], True: []}
    marks = iter(seen)
    mark = next(marks)
    for due, took in sorted(puts.taken):
        while mark[0] < due:
            following = next(marks, None)
            if following is None:
                break
            mark = following
        taken[mark[1]].append(took * 1e3)
    return {copied: sorted(values) for copied, values in taken.items()}


async def settled(client: Client) -> list[int]:
    """The log of each node once nothing is copied any more."""
    while True:
        before = await figures(client, "copied_bytes")
        await asyncio.sleep(2.0)
        if await figures(client, "copied_bytes") == before:
            return await figures(client, "log_bytes")


async def measure(files: ClusterFiles) -> None:
    async with cluster.connect("bench") as client:
        empty = pss_bytes(files)
        puts = Puts(Calls(client, 10.0))
        rate = await puts.all(0)
        gc.collect()
        gc.freeze()
        await asyncio.sleep(3.0)
        replica = (pss_bytes(files) - empty) / KEYS / COPIES
        whole = pss_bytes(files) / KEYS / COPIES
        show(f"filled with {rate:,.0f} puts/s; {replica:.0f} B of PSS a replica of a key, {whole:.0f} with the process")
        first = await settled(client)
        show(f"log of a node {max(first) / 1e6:.0f} MB")
        most = 0.0
        for turn in range(1, TURNS + 1):
            rate = await puts.all(turn)
            now = await figures(client, "log_bytes")
            most = max(most, *(size / one for size, one in zip(now, first, strict=True)))
            show(f"overwritten {turn}: {rate:,.0f} puts/s, log x {max(now) / max(first):.2f}")
        rest = await settled(client)
        replica = pss_bytes(files) / KEYS / COPIES
        show(f"at rest: log x {max(rest) / max(first):.2f} (at most 2 wanted), x {most:.2f} at most; {replica:.0f} B")
        seen: list[tuple[float, bool]] = []
        watching = asyncio.ensure_future(copying(client, seen))
        for _ in range(4):
            await puts.offer(OPEN_S)
        watching.cancel()
        taken = p99s(puts, seen)
        for copied, values in taken.items():
            if values:
                found = ", ".join(f"p{share * 100:g} {percentile(values, share):.2f}" for share in (0.5, 0.99, 0.999))
                show(f"{'copying' if copied else 'not copying'}: {len(values):,} puts at {RATE:,}/s, {found} ms")
        show(f"{dict(puts.outcomes)}")


def restart_s(files: ClusterFiles, node: str) -> float:
    """Seconds from the start of a node that was killed just now until it votes again."""
    emulator.kill(files.name, [node])
    time.sleep(2.0)
    return starts_s(files, node)


def starts_s(files: ClusterFiles, node: str) -> float:
    """Seconds from the start of a killed node until it votes again."""
    began = time.monotonic()
    emulator.start_nodes(files.name, [node])
    with cluster.connect_blocking(files.name) as client:
        while True:
            try:
                if client.ask(node, "status", {}, timeout=1.0)["state"] == "running":
                    return time.monotonic() - began
            except ClusterError:
                pass
            time.sleep(0.02)


def main() -> None:
    with fresh_cluster(NODES) as report:
        uvloop.run(measure(report.files))
        for node in ("n1", "n2", "n3"):
            show(f"{node} killed: votes {restart_s(report.files, node):.2f} s after its start")


if __name__ == "__main__":
    main()
