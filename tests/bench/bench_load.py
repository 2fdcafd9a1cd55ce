"""How many kv operations a second the load generator offers by itself: one process, against a node that does next to
nothing, in a process of its own. First the bare client, writing in a closed loop without any account, then the load's
closed loops (the ceiling), then open loops at rates near the figure of the design (40,000 a second), where the rate
must be kept: what is missed and how late operations are sent tells. Two cores that nobody else uses are needed: compare
with the bare client of the same run.

`python -m tests.bench.bench_load`; with PROFILE=1 it shows where the time goes instead.
"""

import asyncio
import cProfile
import os
import pstats
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import uvloop

import cluster
from cluster.client.aio import Calls
from cluster.layout import encode_entry
from cluster.layout.entry import LayoutEntry, LayoutMember
from dsectl.load.account import Account, account_of, judge
from dsectl.load.plan import KV, KeySpace, LoadPlan, parse_mix
from dsectl.load.session import Hooks, run_session
from tests.bench.harness import RUNS, SECONDS, fresh_home, rate, show, spread
from tests.bench.null_node import CLUSTER, NAME, SECRET

IN_FLIGHT = 256
KEYS = 10_000
RATES = (20_000.0, 40_000.0, 60_000.0)


@contextmanager
def null_cluster() -> Iterator[None]:
    """A cluster of one such node, found by its name."""
    with fresh_home() as home:
        command = [sys.executable, "-m", "tests.bench.null_node"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        member = LayoutMember(NAME, "z1", "127.0.0.1", int(process.stdout.readline()))
        write_cluster(home, LayoutEntry(1, CLUSTER, (member,), 1, 1, 1))
        try:
            yield
        finally:
            process.communicate()


def write_cluster(home: Path, entry: LayoutEntry) -> None:
    """The two files by which a client finds it."""
    folder = home / "clusters" / CLUSTER
    folder.mkdir(parents=True)
    (folder / "layout.json").write_bytes(encode_entry(entry))
    (folder / "secret").write_bytes(SECRET)


def plan(**options: object) -> LoadPlan:
    """A load of SECONDS on it."""
    return LoadPlan(KV, CLUSTER, "bench", seconds=SECONDS, seed=7, keys=KeySpace(KEYS), **options)  # type: ignore[arg-type]


def measure(wanted: LoadPlan) -> Account:
    """The account of a load in this process."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return account_of(wanted, runner.run(run_session(wanted.share(0), Hooks())), "")


async def bare() -> float:
    """Writes a second that the client's callbacks make, when nothing is chosen, measured or remembered."""
    async with cluster.connect(CLUSTER) as client:
        calls, ended = Calls(client, 5.0), asyncio.get_running_loop().create_future()
        value, until, count = b"v" * 100, perf_counter() + SECONDS, 0

        def next_one(outcome: object = None) -> None:
            nonlocal count
            count += 1
            if perf_counter() < until:
                calls.put(f"k{count % KEYS}", value, None, next_one)
            elif not ended.done():
                ended.set_result(None)

        for _ in range(IN_FLIGHT):
            next_one()
        await ended
        return (count - IN_FLIGHT) / SECONDS


def main() -> None:
    """The table."""
    with null_cluster():
        if os.environ.get("PROFILE"):
            profile = cProfile.Profile()
            profile.runcall(measure, plan(clients=IN_FLIGHT))
            pstats.Stats(profile, stream=sys.stdout).sort_stats("tottime").print_stats(25)
            return
        show(f"bare client, {IN_FLIGHT} in flight: {rate([uvloop.run(bare()) for _ in range(RUNS)])} writes/s")
        for mix in ("A", "C", "write=1"):
            runs = [measure(plan(clients=IN_FLIGHT, mix=parse_mix(mix))) for _ in range(RUNS)]
            achieved = [account["achieved_per_s"] for account in runs]
            spent = [1e6 * account["generator_busy"] / account["achieved_per_s"] for account in runs]
            show(f"closed loop, {IN_FLIGHT} clients, mix {mix:8}: {rate(achieved)} /s, {spread(spent)} us of CPU each")
        for wanted in RATES:
            account = measure(plan(rate=wanted))
            lag, missed = account["lag"], account["missed"]
            show(
                f"open loop, {wanted:8,.0f}/s: offered {account['offered_per_s']:10,.1f}/s, missed {missed}, late by"
                f" p50 {lag['p50_ms']} p99 {lag['p99_ms']} max {lag['max_ms']} ms,"
                f" {account['generator_busy']:.0%} of a core, {judge(account).verdict}"
            )


if __name__ == "__main__":
    main()
