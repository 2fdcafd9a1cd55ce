"""What a queue leaves behind: memory after many sends and acknowledgements out of order, with one of three owners dead,
two restarts and a purge, and how long the dead one takes to vote when it comes back.

`MESSAGES=20000000 python -m tests.bench.bench_queue_bounds` for the figures of the docs. Memory is PSS (smaps_rollup,
Linux) of the nodes that go on, after a tenth of the messages and after all of them, at the same depth each time.
"""

import asyncio
import gc
import os
import time
from collections import Counter
from pathlib import Path
from random import Random

import uvloop

import cluster
from cluster.client.aio import Calls, Outcome, QueueAnswered, QueueReceived, QueueSent
from cluster.emulator import cluster as emulator
from cluster.emulator.home import ClusterFiles
from cluster.errors import ClusterError
from cluster.wire.queues import Outgoing
from tests.bench.bench_million import starts_s
from tests.bench.harness import fresh_cluster, show

MESSAGES = int(os.environ.get("MESSAGES", "500000"))
WINDOW = int(os.environ.get("WINDOW", "10000"))
"""So many messages are leased and not acknowledged; which of them is acknowledged next is drawn by lot."""
BODY = b"x" * 128
BATCH, PULL = 64, 256
SENDERS, RECEIVERS, ACKERS = 6, 2, 4
DEPTH = 2 * WINDOW
VISIBILITY_S = 3600.0
QUEUE, DEAD, RESTARTED = "bounds", "n3", ("n1", "n2")


def pss_mb(files: ClusterFiles) -> dict[str, float]:
    """By node that runs."""
    found = {}
    for name, process in emulator.processes(files).items():
        if process.pid is not None and Path(f"/proc/{process.pid}").exists():
            lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text("utf-8").splitlines()
            found[name] = sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    return found


class Traffic:
    """Messages that are sent, leased and acknowledged, all at once."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.random = Random(11)
        self.sent = self.received = self.acked = 0
        self.target = 0
        self.counts: Counter[str] = Counter()
        self.leased: list[str] = []
        self._running: Counter[str] = Counter()
        self._over: asyncio.Future[None] | None = None

    async def run(self, target: int) -> float:
        """Until so many have been acknowledged; messages a second."""
        began, before, self.target = time.perf_counter(), self.acked, target
        self._over = asyncio.get_running_loop().create_future()
        self._more()
        await self._over
        return (self.acked - before) / (time.perf_counter() - began)

    def forget(self) -> None:
        """The queue was purged."""
        self.sent = self.received = self.acked
        self.leased.clear()

    def _more(self) -> None:
        running, calls = self._running, self.calls
        if self.acked >= self.target:
            if not running.total() and self._over is not None and not self._over.done():
                self._over.set_result(None)
            return
        messages: list[Outgoing] = [(BODY, None, -1.0, "")] * BATCH
        while running["send"] < SENDERS and self.sent - self.acked < DEPTH:
            running["send"] += 1
            calls.send(QUEUE, messages, self._sent)
        while running["receive"] < RECEIVERS and len(self.leased) < WINDOW + RECEIVERS * PULL:
            running["receive"] += 1
            calls.receive(QUEUE, PULL, 0.2, VISIBILITY_S, "bench", self._received)
        while running["ack"] < ACKERS and len(self.leased) > WINDOW:
            running["ack"] += 1
            calls.ack([self._drawn() for _ in range(PULL)], self._acked)

    def _drawn(self) -> str:
        place = int(self.random.random() * len(self.leased))
        self.leased[place], self.leased[-1] = self.leased[-1], self.leased[place]
        return self.leased.pop()

    def _ended(self, kind: str, outcome: Outcome) -> None:
        self._running[kind] -= 1
        if isinstance(outcome, ClusterError):
            self.counts[f"{kind}: {outcome.code}"] += 1
            asyncio.get_running_loop().call_later(0.05, self._more)
        else:
            self._more()

    def _sent(self, outcome: Outcome) -> None:
        if isinstance(outcome, QueueSent):
            for result in outcome.results:
                self.counts[f"send: {result[1]}"] += 1
                self.sent += result[1] in ("ok", "ok-sloppy", "maybe")
        self._ended("send", outcome)

    def _received(self, outcome: Outcome) -> None:
        if isinstance(outcome, QueueReceived):
            self.received += len(outcome.messages)
            self.leased += [message.receipt for message in outcome.messages]
        self._ended("receive", outcome)

    def _acked(self, outcome: Outcome) -> None:
        if isinstance(outcome, QueueAnswered):
            for result in outcome.results:
                self.counts[f"ack: {result[0]}"] += 1
                self.acked += 1
        self._ended("ack", outcome)


async def settled_pss(files: ClusterFiles) -> dict[str, float]:
    gc.collect()
    await asyncio.sleep(5.0)
    return {name: mb for name, mb in pss_mb(files).items() if name != DEAD}


async def restart(files: ClusterFiles, name: str) -> None:
    emulator.kill(files.name, [name])
    await asyncio.sleep(1.0)
    emulator.start_nodes(files.name, [name])


async def measure(files: ClusterFiles) -> None:
    async with cluster.connect("bench") as client:
        await client.admin.create_queue(QUEUE)
        traffic = Traffic(Calls(client, 10.0))
        await traffic.run(MESSAGES // 50)
        emulator.kill(files.name, [DEAD])
        for share, name in ((0.04, RESTARTED[0]), (0.06, RESTARTED[1])):
            await traffic.run(int(MESSAGES * share))
            await restart(files, name)
        rate = await traffic.run(MESSAGES // 10)
        first = await settled_pss(files)
        show(f"{traffic.acked:,} sent and acknowledged, {rate:,.0f}/s at the end; PSS {show_mb(first)}")
        for share, name in ((0.4, RESTARTED[0]), (0.6, RESTARTED[1])):
            rate = await traffic.run(int(MESSAGES * share))
            show(f"{traffic.acked:,} acknowledged, {rate:,.0f}/s; {name} is killed and starts again")
            await restart(files, name)
        await traffic.run(int(MESSAGES * 0.8))
        purged = await client.admin.purge_queue(QUEUE, timeout=60.0)
        traffic.forget()
        show(f"purged {purged.get('purged')} messages")
        rate = await traffic.run(MESSAGES)
        last = await settled_pss(files)
        grown = max(last[name] - first[name] for name in last)
        show(f"{traffic.acked:,} sent and acknowledged, {rate:,.0f}/s at the end; PSS {show_mb(last)}")
        show(f"grown by {grown:+.1f} MB at most (10 wanted); {dict(traffic.counts)}")


def show_mb(found: dict[str, float]) -> str:
    return ", ".join(f"{name} {mb:.1f} MB" for name, mb in sorted(found.items()))


def main() -> None:
    with fresh_cluster(3) as report:
        uvloop.run(measure(report.files))
        show(f"{DEAD} comes back: votes {starts_s(report.files, DEAD):.2f} s after its start (10 wanted)")


if __name__ == "__main__":
    main()
