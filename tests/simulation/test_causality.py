"""Reads and writes with contexts under faults: what strict reads promise holds at every moment, and in the end nothing
acknowledged is missing and nothing replaced is back. The model is in ledger.py."""

from random import Random

import pytest

from cluster.config import NodeSettings, node_settings
from cluster.simulation.fleet import Fleet
from tests.simulation.ledger import Ledger, Session
from tests.simulation.nemesis import STEPS, Nemesis, Step

PATIENCE_S = 1.6
"""A client's deadline is 1 s; after this its node is gone for good."""

MIXES = {
    # Shares of writes with context, blind writes, deletes; the rest are reads, half of them strict.
    "chains": (0.6, 0.0, 0.0),
    "siblings": (0.3, 0.25, 0.0),
    "deletes": (0.35, 0.05, 0.2),
}


class Clients:
    """A few sessions over a few keys; each waits for its operation on a key before it begins the next."""

    def __init__(self, fleet: Fleet, nemesis: Nemesis, random: Random, mix: str) -> None:
        self.fleet = fleet
        self.nemesis = nemesis
        self.random = random
        self.ledger = Ledger(fleet)
        self.mix = MIXES[mix]
        self.keys = [f"key-{number}" for number in range(6)]
        self.sessions = [Session() for _ in range(1 if mix == "chains" else 3)]
        self.since: dict[tuple[int, str], float] = {}

    def act(self) -> None:
        """One operation of one client, unless it waits for its last one."""
        random, ledger, now = self.random, self.ledger, self.fleet.world.now
        up = [name for name in self.fleet.up if name not in self.nemesis.paused]
        number, key = random.randrange(len(self.sessions)), random.choice(self.keys)
        session, dice = self.sessions[number], random.random()
        if not up:
            return
        via = random.choice(up)
        if ledger.is_busy(session, key):
            if now < self.since[number, key] + PATIENCE_S:
                return
            ledger.give_up(session, key)
        self.since[number, key] = now
        with_context, blind, deletes = self.mix
        if dice < with_context:
            ledger.write(via, key, session)
        elif dice < with_context + blind:
            ledger.write(via, key, session, blind=True)
        elif dice < with_context + blind + deletes:
            ledger.write(via, key, session, deletes=True)
        else:
            ledger.read(via, key, session, strict=random.random() < 0.5)
        ledger.look()


def proves_something(ledger: Ledger) -> bool:
    """Whether enough was promised for the account to mean anything."""
    return ledger.acknowledged() + ledger.reads_checked > 20


def run(
    seed: int,
    mix: str,
    *,
    down_max: int = 2,
    steps: list[Step] | None = None,
    settings: NodeSettings | None = None,
    rounds: int = 12,
    nodes: int = 5,
) -> Ledger:
    """Faults and clients, then peace, then the account."""
    with Fleet(seed, nodes, settings=settings) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        random = Random(f"{seed}/{mix}")
        nemesis = Nemesis(fleet, random, down_max=down_max, steps=steps)
        clients = Clients(fleet, nemesis, random, mix)
        for number in range(4 * rounds):
            if number >= rounds and proves_something(clients.ledger):
                break  # a nemesis that cuts off everybody at once lets nobody do anything: such a run goes on
            nemesis.act()
            for _ in range(16):
                clients.act()
                fleet.world.run_for(random.choice((0.0, 0.01, 0.05, 0.3)))
        nemesis.end()
        fleet.world.run_for(1.5)
        fleet.until(fleet.settled, timeout=120.0)
        clients.ledger.check()
        assert not fleet.fatal
        return clients.ledger


@pytest.mark.parametrize("mix", MIXES)
def test_nothing_acknowledged_vanishes_and_nothing_replaced_returns(seed: int, mix: str) -> None:
    assert proves_something(run(seed, mix)), "the run did too little to prove anything"


def test_clocks_that_jump_and_disks_that_fill_change_nothing(seed: int) -> None:
    run(seed, "deletes", steps=[*STEPS, Nemesis.fill_disk, Nemesis.fill_disk, Nemesis.empty_disk, Nemesis.set_clock])


def test_power_loss_with_always(seed: int) -> None:
    """Synced before it is acknowledged: whoever loses power, at once or in turn, keeps what was promised."""
    steps = [Nemesis.power_loss if step is Nemesis.crash else step for step in STEPS]
    run(seed, "siblings", down_max=5, steps=steps, settings=node_settings(durability="always"))
