"""Remove a safeguard and a seed finds it: the checks are sharp enough to need what they check."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from cluster.env import StallWatch
from cluster.kv.actors import ActorMint
from cluster.layout import partition_of
from cluster.replication.catchup import CatchUp
from cluster.replication.hints import HintStore
from cluster.replication.standing import Standing
from cluster.simulation.fleet import Fleet
from cluster.wire.kv import Got, PutDone
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


def cart_owners(fleet: Fleet) -> list[str]:
    return list(fleet.nodes["n1"].replication.ground.placement.owners(partition_of("cart")))


def siblings(fleet: Fleet) -> list[bytes]:
    """What a strict read of the cart finds after all has settled."""
    fleet.until(fleet.settled, timeout=60.0)
    found = fleet.wait(fleet.get("n1", "cart", strict=True)).answer
    assert isinstance(found, Got)
    return sorted(found.siblings)


def a_coordinator_forgets_what_it_counted(seed: int) -> None:
    """An owner acknowledges a write, loses it with its power, and writes the same key again as soon as it runs."""
    with Fleet(seed, 5) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        owner = cart_owners(fleet)[0]
        assert isinstance(fleet.wait(fleet.put(owner, "cart", b"one")).answer, PutDone)
        fleet.power_loss(owner)
        fleet.start(owner)
        fleet.until(lambda: owner in fleet.nodes)
        again = fleet.wait(fleet.put(owner, "cart", b"two"))
        wanted = [b"one", b"two"] if isinstance(again.answer, PutDone) else [b"one"]
        found = siblings(fleet)
        assert found == wanted or (again.error is not None and found == [b"one", b"two"]), found


def test_an_owner_that_forgot_gives_no_dot_twice(seed: int) -> None:
    a_coordinator_forgets_what_it_counted(seed)


def test_without_boot_epochs_in_actors_a_dot_is_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two values under one dot: whoever holds either takes the other for known, and one is gone."""
    made = ActorMint.__init__
    monkeypatch.setattr(ActorMint, "__init__", lambda self, id, epoch: made(self, id, 0))
    assert found_by_a_seed(a_coordinator_forgets_what_it_counted)


def a_forwarded_write_meets_a_paused_owner(seed: int) -> None:
    """It waits in the owner's socket. Its client hears `maybe` and writes through another owner; then the first goes
    on."""
    with Fleet(seed, 5) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        owners = cart_owners(fleet)
        stranger = next(name for name in fleet.names if name not in owners)
        zero = fleet.wait(fleet.put(stranger, "cart", b"zero")).answer
        assert isinstance(zero, PutDone) and zero.coordinator == owners[0]
        fleet.world.pause(owners[0])
        late = fleet.wait(fleet.put(stranger, "cart", b"one")).error
        assert late is not None and not late.definite
        two = fleet.wait(fleet.put(owners[1], "cart", b"two", context=zero.context)).answer
        assert isinstance(two, PutDone)
        fleet.world.run_for(2.0)
        fleet.world.resume(owners[0])
        fleet.world.run_for(1.0)
        assert siblings(fleet) == [b"two"]


def test_what_waited_at_a_paused_node_past_its_deadline_is_not_done(seed: int) -> None:
    a_forwarded_write_meets_a_paused_owner(seed)


def test_without_dated_deadlines_a_paused_owner_does_what_everybody_gave_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StallWatch, "arrival", lambda self, now: now)
    assert found_by_a_seed(a_forwarded_write_meets_a_paused_owner)
