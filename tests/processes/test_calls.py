"""Calls under SIGKILL, SIGSTOP, partitions and slow links: each ends by its deadline as what it was, runs at most once,
and never begins after its deadline.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec import json

import cluster
from cluster.client.aio import CallDone, Outcome
from cluster.emulator import cluster as emulator
from cluster.emulator.cluster import LocalMachine
from cluster.emulator.home import Home
from cluster.emulator.spec import ClusterSpec
from cluster.errors import ClusterError
from cluster.wire.requests import Call
from tests.processes.commands import dsectl
from tests.processes.recording_node import FOLDER, Entry, read_ledger

DEADLINE_S = 0.4
ENDED_S = 2.0
"""By so long after its deadline each has ended, on a machine that may be busy."""
EARLY_S = 0.01
"""Deadlines are compared over a connection."""
TICK_S = 0.01
CALLS_PER_TICK = 3
OPERATIONS = ("enter", "enter_at_once", "pass_on")


@dataclass
class Sent:
    """One call of the client."""

    at: float
    outcome: Outcome | None = None
    ended_at: float = 0.0


class Load:
    """Calls at a rate, while something happens to the nodes."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.open = 0
        self.all_sent = False
        self.all_ended = asyncio.Event()

    async def run(self, happens: Callable[[], None]) -> None:
        """Call until it has happened, and until each call has had time to end."""
        loop = asyncio.get_running_loop()
        async with cluster.connect() as client:
            happening = loop.run_in_executor(None, happens)
            while not happening.done():
                for _ in range(CALLS_PER_TICK):
                    self._send(client.router.call)
                await asyncio.sleep(TICK_S)
            await happening
            self.all_sent = True
            if self.open:
                await asyncio.wait_for(self.all_ended.wait(), 2 * (DEADLINE_S + ENDED_S))

    def _send(self, call: Callable[[Call, float, Callable[[Outcome], None]], object]) -> None:
        number, one = len(self.sent), Sent(time.monotonic())
        self.sent.append(one)
        self.open += 1

        def ended(outcome: Outcome) -> None:
            one.outcome, one.ended_at = outcome, time.monotonic()
            self.open -= 1
            if self.all_sent and not self.open:
                self.all_ended.set()

        name = OPERATIONS[number % len(OPERATIONS)]
        seconds = 0.03 if name != "enter_at_once" else 0.002
        call(Call("ledger", name, json.encode(Entry(number, seconds))), one.at + DEADLINE_S, ended)

    def check(self, folder: Path) -> Counter[str]:
        """Whether each did what it may; how many ended how."""
        ran, how = read_ledger(folder), Counter[str]()
        for number, one in enumerate(self.sent):
            began = ran.get(number, [])
            what = f"call {number}, sent at {one.at:.3f}, ended as {one.outcome!r}, began {began}"
            assert one.outcome is not None, f"{what}: it never ended"
            assert one.ended_at <= one.at + DEADLINE_S + ENDED_S, f"{what}: at {one.ended_at:.3f}"
            assert len(began) <= 1, f"{what}: twice"
            for at, deadline in began:
                assert at < deadline, f"{what}: after its deadline"
                assert at <= one.at + DEADLINE_S + EARLY_S, f"{what}: after its client's deadline"
            if isinstance(one.outcome, ClusterError):
                how["no" if one.outcome.definite else "maybe"] += 1
                assert not one.outcome.definite or not began, f"{what}: it was refused for good"
            else:
                assert type(one.outcome) is CallDone and len(began) == 1, what
                how["ok"] += 1
        return how


@pytest.fixture
def ledger(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cluster of three nodes that write down what they run, and where."""
    folder = tmp_path / "ledger"
    folder.mkdir()
    monkeypatch.setenv(FOLDER, str(folder))
    emulator.up(ClusterSpec(name="default", nodes=3), 60.0, world=world(home))
    return folder


def world(home: Home) -> LocalMachine:
    return LocalMachine(home, child="recording_node:run_node")


def test_a_stopped_and_a_killed_node(home: Home, ledger: Path) -> None:
    def happens() -> None:
        time.sleep(0.5)
        for node in ("n2", "n3"):
            emulator.pause("default", [node], world=world(home))
            time.sleep(1.0)
            emulator.resume("default", [node], world=world(home))
            time.sleep(0.3)
        emulator.kill("default", ["n1"], world=world(home))
        time.sleep(0.5)
        emulator.restart("default", ["n1"], world=world(home))
        time.sleep(0.5)

    load = Load()
    asyncio.run(load.run(happens))
    how = load.check(ledger)
    assert how["ok"] > 100, how
    assert how["maybe"] or how["no"], "nothing was hit by what happened"


def test_partitions_and_slow_links(home: Home, ledger: Path) -> None:
    def happens() -> None:
        time.sleep(0.3)
        dsectl("partition", "n1", "n2,n3")
        time.sleep(1.0)
        dsectl("heal")
        dsectl("slow", "n1", "n2", "--delay", "150ms", "--jitter", "100ms")
        time.sleep(1.0)
        dsectl("heal")

    load = Load()
    asyncio.run(load.run(happens))
    how = load.check(ledger)
    assert how["ok"] > 100, how
