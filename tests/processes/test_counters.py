"""Counters and sets on real processes: SIGKILL of each node in turn under increments, additions and retries. Each
increment is a digit of its own in a sum, which says how often it was counted."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import cluster
from cluster.client.blocking import BlockingCluster
from cluster.errors import ClusterError, Maybe
from tests.processes.fleet import ACKNOWLEDGED, real, until

DIGITS = 30
"""Of base 4, in a counter of 64 bits."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path))


@dataclass
class Counted:
    """Increments and additions, and how they ended."""

    outcomes: list[str] = field(default_factory=list)
    added: dict[bytes, str] = field(default_factory=dict)
    retried: int = 0

    def count(self, client: BlockingCluster) -> None:
        """One increment, tried again once where its `maybe` says it began, and one new item."""
        number = len(self.outcomes)
        key, by = f"hits-{number // DIGITS}", 4 ** (number % DIGITS)
        try:
            outcome = client.kv.incr(key, by, timeout=2.0).outcome
        except ClusterError as error:
            outcome = "no" if error.definite else "maybe"
            if isinstance(error, Maybe) and "coordinator" in error.detail:
                try:
                    outcome = client.kv.incr(key, by, retry=error, timeout=2.0).outcome
                    self.retried += 1
                except ClusterError:
                    pass  # what is said of a retry says nothing of the first attempt
        self.outcomes.append(outcome)
        item = b"item-%d" % number
        try:
            self.added[item] = client.kv.sadd("tags", [item], timeout=2.0).outcome
        except ClusterError as error:
            self.added[item] = "no" if error.definite else "maybe"

    def check(self, client: BlockingCluster) -> None:
        """Everything that was acknowledged is there, once; what was refused is not."""
        totals: dict[str, int] = {}
        for number, outcome in enumerate(self.outcomes):
            key = f"hits-{number // DIGITS}"
            if key not in totals:
                totals[key] = int(client.kv.get(key, strict=True).value or b"0")
            times = totals[key] // 4 ** (number % DIGITS) % 4
            allowed = {"no": (0,), "maybe": (0, 1)}.get(outcome, (1,))
            assert times in allowed, f"{key}: increment {number}, which ended {outcome}, is counted {times} times"
        items = client.kv.smembers("tags", strict=True).items
        lost = [item for item, outcome in self.added.items() if outcome in ACKNOWLEDGED and item not in items]
        refused = [item for item, outcome in self.added.items() if outcome == "no" and item in items]
        assert (lost, refused) == ([], [])


@contextmanager
def counting(counted: Counted) -> Iterator[None]:
    """Somebody counts all the time; in this block at least 100 increments are tried."""
    stop = threading.Event()
    first = len(counted.outcomes)

    def work() -> None:
        with cluster.connect_blocking("real") as client:
            while not stop.is_set() or len(counted.outcomes) < first + 100:
                counted.count(client)

    counter = threading.Thread(target=work)
    counter.start()
    try:
        until(lambda: len(counted.outcomes) > first + 10)
        yield
    finally:
        stop.set()
        counter.join(60.0)
        assert not counter.is_alive()


def test_sigkill_of_each_node_in_turn() -> None:
    counted = Counted()
    with real(5) as fleet:
        for victim in fleet.files.nodes:
            with counting(counted):
                fleet.kill(victim)
            fleet.start(victim)
        done = [outcome for outcome in counted.outcomes if outcome in ACKNOWLEDGED]
        assert len(done) > 300, counted.outcomes
        counted.check(fleet.client)
