"""A queue of real processes, one of which is killed or stopped under a load: all goes on, and nothing is lost."""

import asyncio
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import uvloop

import cluster
from cluster.emulator import cluster as emulator
from cluster.errors import ClusterError
from tests.processes.fleet import Real, real, until

SENDERS, CONSUMERS = 4, 4
BEFORE_S, AFTER_S = 0.7, 3.0
SEND_GAP_S, LEASE_GAP_S = 0.3, 1.0
NOISE = 4.0
"""So many times the longest pause before the fault are added: a busy machine has them after it, too."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path))


class Account:
    """What was sent for sure, what may have been, and what came."""

    def __init__(self) -> None:
        self.sent: set[bytes] = set()
        self.tried: set[bytes] = set()
        self.received: set[bytes] = set()
        self.sends: list[float] = []
        self.leases: list[float] = []


async def work(name: str, fault: Callable[[], object]) -> tuple[Account, float, float]:
    """Senders and consumers at work, and the fault in their midst; how long each paused at most before it."""
    account = Account()
    async with cluster.connect(name) as client:
        queue = client.queues["jobs"]
        ends = time.monotonic() + BEFORE_S + AFTER_S

        async def send(number: int) -> None:
            turn = 0
            while time.monotonic() < ends:
                body = b"%d-%d" % (number, turn)
                account.tried.add(body)
                try:
                    await queue.send(body)
                except ClusterError:
                    pass
                else:
                    account.sent.add(body)
                    account.sends.append(time.monotonic())
                turn += 1
                await asyncio.sleep(0.005)

        async def consume() -> None:
            while time.monotonic() < ends:
                try:
                    messages = await queue.receive(max=10, wait=0.5)
                    account.leases += [time.monotonic()] * bool(messages)
                    account.received |= {message.body for message in messages}
                    await queue.ack_batch([message.receipt for message in messages])
                except ClusterError:
                    pass

        workers = [asyncio.create_task(send(number)) for number in range(SENDERS)]
        workers += [asyncio.create_task(consume()) for _ in range(CONSUMERS)]
        await asyncio.sleep(BEFORE_S)
        noise = longest_gap(account.sends), longest_gap(account.leases)
        await asyncio.to_thread(fault)
        await asyncio.gather(*workers)
    return account, *noise


def longest_gap(times: list[float]) -> float:
    return max(later - earlier for earlier, later in pairwise(times))


def drained(fleet: Real, account: Account) -> None:
    """Receive the rest, until the queue is known to be empty."""

    def nothing_is_left() -> bool:
        queue = fleet.client.queues["jobs"]
        batch = queue.receive(max=100, wait=0.5)
        account.received.update(message.body for message in batch)
        if batch:
            queue.ack_batch([message.receipt for message in batch])
        depth = fleet.client.admin.queue("jobs")["depth"]
        return not batch and not batch.shards_unreachable and depth == 0

    until(nothing_is_left, 40.0)
    assert account.sent <= account.received <= account.tried


@pytest.mark.parametrize("fault", [emulator.kill, emulator.pause], ids=["killed", "stopped"])
def test_sends_and_leases_go_on_without_a_node(fault: Callable[[str, list[str]], object]) -> None:
    with real(3) as fleet:
        fleet.client.admin.create_queue("jobs", visibility=2.0)
        account, send_noise, lease_noise = uvloop.run(work(fleet.name, lambda: fault(fleet.name, ["n2"])))
        assert longest_gap(account.sends) < SEND_GAP_S + NOISE * send_noise
        assert longest_gap(account.leases) < LEASE_GAP_S + NOISE * lease_noise
        drained(fleet, account)  # with two nodes of three
        if fault is emulator.pause:
            emulator.resume(fleet.name, ["n2"])
            until(fleet.settled)
        else:
            fleet.start("n2")
        drained(fleet, account)


def test_a_queue_outlives_its_processes() -> None:
    with real(3) as fleet:
        fleet.client.admin.create_queue("jobs", visibility=2.0)
        queue = fleet.client.queues["jobs"]
        queue.send_batch([cluster.OutgoingMessage(body=b"%d" % number) for number in range(50)])
        leased = queue.receive(max=20)
        queue.ack_batch([message.receipt for message in leased[:10]])
        fleet.kill("n1", "n2", "n3")
        fleet.start("n1", "n2", "n3")
        attempts: dict[bytes, int] = {}

        def all_have_come() -> bool:
            for message in queue.receive(max=100, wait=1.0):
                attempts.setdefault(message.body, message.attempt)
            return len(attempts) == 40

        until(all_have_come)
        again = {message.body for message in leased[10:]}
        assert {body for body, attempt in attempts.items() if attempt == 2} == again
        assert not {message.body for message in leased[:10]} & set(attempts)
