"""An owner of a queue's shards is killed while others go on: what it missed is one mark a shard, and soon delivered."""

from pathlib import Path

import pytest

from tests.processes.fleet import Real, real

MESSAGES, BATCH, SHARDS = 4000, 100, 8


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path))


def send(fleet: Real, first: int, count: int) -> None:
    for start in range(first, first + count, BATCH):
        bodies = [b"%d" % number for number in range(start, start + BATCH)]
        assert all(sent.outcome == "ok" for sent in fleet.client.queues["jobs"].send_batch(bodies))


def depth(fleet: Real, node: str) -> int:
    """Messages that live, as one owner of all shards has it."""
    held = fleet.ask(node, "queues")["held"]
    return sum(shard["depth"] for shard in held.get("jobs", {}).values())


def test_an_owner_that_was_killed_has_all_that_it_missed_when_it_votes() -> None:
    with real(nodes=3) as fleet:
        fleet.client.admin.create_queue("jobs", shards=SHARDS)
        send(fleet, 0, MESSAGES)
        fleet.kill("n3")
        send(fleet, MESSAGES, MESSAGES)
        left, acked = 2 * MESSAGES, 0
        while acked < MESSAGES:
            messages = fleet.client.queues["jobs"].receive(max=BATCH, wait=5.0)
            fleet.client.queues["jobs"].ack_batch([message.receipt for message in messages])
            acked += len(messages)
        left -= acked
        assert 0 < sum(fleet.ask(name, "status")["hints"] for name in ("n1", "n2")) <= 2 * SHARDS
        fleet.start("n3")
        assert depth(fleet, "n3") == depth(fleet, "n1") == left
