"""Anti-entropy: replicas become equal by themselves, and the search for differences ends."""

import pytest

from cluster.layout import partition_of
from cluster.replication.antientropy import AntiEntropy
from cluster.replication.mergeable import TABLE_KV
from cluster.simulation.fleet import Fleet
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.scenes import acknowledged

SEVEN = [key for key in (f"key-{number}" for number in range(60_000)) if partition_of(key) == 7][:30]
"""Keys of one partition."""


def verified(fleet: Fleet) -> bool:
    return all(not node.replication.antientropy.unverified() for node in fleet.nodes.values())


def equal(fleet: Fleet, keys: list[str]) -> bool:
    return all(len({fleet.stored(name, key) for name in fleet.owners(key)}) == 1 for key in keys)


def rows_vanish(seed: int) -> None:
    """One owner after the other loses a row, and knows nothing of it."""
    with Fleet.running(seed, 5) as fleet:
        for key in SEVEN:
            acknowledged(fleet, "n1", key, b"v")
        fleet.until(lambda: verified(fleet), 60.0)
        for number, key in enumerate(SEVEN):
            node = fleet.nodes[fleet.owners(key)[number % 3]]
            node.env.clock.call_soon(node.store.put, TABLE_KV, partition_of(key), key, None, None)
        fleet.world.run_for(0.1)
        fleet.until(lambda: equal(fleet, SEVEN), 60.0)
        fleet.until(lambda: verified(fleet), 60.0)


def forget_what_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AntiEntropy, "_changed", lambda self, partitions: None)


def repair_from_here_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AntiEntropy, "take_tokens", lambda self, wanted: 0)


SAFEGUARDS = [
    Safeguard(
        "what was written is compared again",
        "Replicas that differ become equal without anybody reading the key.",
        forget_what_was_written,
        rows_vanish,
    ),
    Safeguard(
        "what differs is read from all owners",
        "A difference that was found is made good.",
        repair_from_here_alone,
        rows_vanish,
    ),
]
