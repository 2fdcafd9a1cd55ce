"""Remove a safeguard and a seed finds it: the checks are sharp enough to need what they check."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from cluster.replication.catchup import CatchUp
from cluster.replication.hints import HintStore
from cluster.replication.standing import Standing
from cluster.simulation.fleet import Fleet
from tests.simulation.nemesis import Account, Nemesis

SEEDS = range(1, 41)


def run(seed: int) -> None:
    """Faults on up to two nodes at a time, strict reads at the end."""
    with Fleet(seed, 5) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        random = Random(f"{seed}/nemesis")
        nemesis, account = Nemesis(fleet, random, down_max=2), Account(fleet)
        for _ in range(10):
            nemesis.act()
            for _ in range(6):
                up = [name for name in fleet.up if name not in nemesis.paused]
                account.write(random.choice(up))
                fleet.world.run_for(random.choice((0.0, 0.05, 0.3)))
        nemesis.end()
        fleet.world.run_for(1.5)
        fleet.until(fleet.settled, timeout=60.0)
        account.check()


def found_by_a_seed(scenario: Callable[[int], None]) -> bool:
    for seed in SEEDS:
        try:
            scenario(seed)
        except (AssertionError, TimeoutError):
            return True
    return False


def forget_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Acknowledge hints without keeping them."""

    def add(self: HintStore, hint: Any, blob: bytes, done: Callable[[None], None]) -> None:
        done(None)

    monkeypatch.setattr(HintStore, "add", add)


def test_hints_that_are_not_kept_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_hints(monkeypatch)
    assert found_by_a_seed(run)


def returning_owners_answer_at_once(seed: int) -> None:
    """Both reachable owners of a key were away when it was written; they return and are read at once."""
    with Fleet(seed, 5) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        placement = fleet.nodes["n1"].replication.ground.placement
        from cluster.layout import partition_of

        owners = placement.owners(partition_of("cart"))
        for name in owners[1:]:
            fleet.crash(name)
        fleet.until(lambda: all(fleet.believes(owners[0], name) != "alive" for name in owners[1:]))
        assert fleet.wait(fleet.put(owners[0], "cart", b"book")).answer is not None
        fleet.crash(owners[0])
        fleet.start(*owners[1:])
        fleet.until(lambda: all(name in fleet.nodes for name in owners[1:]))
        while True:
            result = fleet.wait(fleet.get(owners[1], "cart"))
            if result.answer is not None:
                break
        assert result.answer.siblings == [b"book"]  # type: ignore[union-attr]


def test_owners_that_return_do_not_vote_before_they_know_what_they_missed(seed: int) -> None:
    returning_owners_answer_at_once(seed)


def test_without_the_vote_rule_a_returning_owner_denies_what_was_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CatchUp, "begin", lambda self, reason: None)
    monkeypatch.setattr(Standing, "votes", lambda self, partition: True)
    assert found_by_a_seed(returning_owners_answer_at_once)
