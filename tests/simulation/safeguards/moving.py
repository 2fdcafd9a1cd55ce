"""Moving data: what is there is not sent again, users who suffer are given way to, and a move ends all the same."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest

from cluster.layout import PARTITIONS
from cluster.observe.latency import Latencies
from cluster.replication import completing, throttle, transfer
from cluster.replication.mergeable import TABLE_KV
from cluster.replication.throttle import RateControl
from cluster.replication.transfer import ReceivedRows
from cluster.simulation.fleet import Fleet
from tests.simulation.safeguards.growth import add, end
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.safeguards.scenes import acknowledged, settle

KEYS = [f"key-{number}" for number in range(120)]
VALUE = b"v" * 8192
DELAY_MS = 20.0
SMALL: dict[str, Any] = {"RATE_MIN": 1 << 13, "RATE_START": 1 << 14, "STEP": 1 << 13}
"""Rates for so little data."""


@contextmanager
def filled(seed: int) -> Iterator[Fleet]:
    """Five nodes with all keys."""
    with Fleet.running(seed, 5) as fleet:
        for key in KEYS:
            acknowledged(fleet, "n1", key, VALUE)
        settle(fleet)
        yield fleet


def moved(fleet: Fleet, name: str) -> ReceivedRows:
    return fleet.nodes[name].replication.completing.receiver.moved


def rows(fleet: Fleet, name: str) -> int:
    store = fleet.nodes[name].store
    return sum(store.count(TABLE_KV, partition) for partition in range(PARTITIONS))


def begin(fleet: Fleet) -> None:
    """Add n6, whose links are slow."""
    for name in fleet.names:
        fleet.fault("slow", source=name, target="n6", delay_ms=DELAY_MS)
    add(fleet, "n2", "n6")
    fleet.until(lambda: "n6" in fleet.nodes)


def half_way(fleet: Fleet) -> None:
    fleet.world.run_until_true(lambda: rows(fleet, "n6") >= len(KEYS) // 5, 30.0, step=0)


class Users:
    """So many reads each tenth of a second, at each of the first nodes."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.keys = {name: [key for key in KEYS if fleet.owners(key)[0] == name][:4] for name in fleet.names}
        self.count = 0

    def use(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.1)):
            for name, keys in self.keys.items():
                for number in range(16):
                    self.fleet.get(name, keys[number % len(keys)])
                    self.count += 1
            self.fleet.world.run_for(0.1)


def moves_in(seed: int, *, users: bool) -> tuple[float, float]:
    """How long a join takes, with links that become slow when it begins, and the lowest rate of a giver."""
    pages = patch.multiple(completing, PAGE_BYTES=4096, PARALLEL_OF_SOURCE=1)
    with pages, patch.multiple(throttle, **SMALL), filled(seed) as fleet:
        load = Users(fleet)
        if users:
            load.use(4.0)
        for source in fleet.names:
            for target in fleet.names:
                if source != target:
                    fleet.fault("slow", source=source, target=target, delay_ms=DELAY_MS)
        begin(fleet)
        began, lowest = fleet.world.now, float("inf")
        while fleet.nodes["n6"].replication.lacking() or fleet.nodes["n1"].view.number == 1:
            assert fleet.world.now - began < 30.0, "a move always ends"
            if users:
                load.use(0.5)
            else:
                fleet.world.run_for(0.1)
            lowest = min(lowest, *(node.replication.context.throttle.control.rate for node in fleet.nodes.values()))
        return fleet.world.now - began, lowest


def a_receiver_is_killed(seed: int) -> None:
    with filled(seed) as fleet:
        begin(fleet)
        half_way(fleet)
        fleet.crash("n6")
        fleet.world.run_for(1.0)
        fleet.start("n6")
        fleet.until(lambda: "n6" in fleet.nodes)
        there = rows(fleet, "n6")
        assert there >= len(KEYS) // 5
        end(fleet)
        assert moved(fleet, "n6").rows == rows(fleet, "n6") - there


def users_suffer(seed: int) -> None:
    alone_s, fast = moves_in(seed, users=False)
    beside_users_s, slow = moves_in(seed, users=True)
    assert slow < SMALL["RATE_START"] <= fast
    assert 2 * alone_s < beside_users_s


def send_all_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "digests_in", lambda packed: [])


def look_at_no_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Latencies, "sparse", lambda self: [])


def have_no_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    on_window = RateControl.on_window

    def fall(self: RateControl, counts: Mapping[int, int], used: float | None) -> None:
        before = self.rate
        on_window(self, counts, used)
        if self.rate <= throttle.RATE_MIN:
            self.rate = throttle.CUT * before

    monkeypatch.setattr(RateControl, "on_window", fall)


SAFEGUARDS = [
    Safeguard(
        "what a receiver has is not sent again",
        "A move goes on after a SIGKILL where it was.",
        send_all_again,
        a_receiver_is_killed,
    ),
    Safeguard(
        "a move follows the latencies of users",
        "Data moves slower while the foreground's p99 suffers.",
        look_at_no_latency,
        users_suffer,
    ),
    Safeguard(
        "the rate of a move has a floor",
        "Every move ends, whatever users feel.",
        have_no_floor,
        users_suffer,
    ),
]
