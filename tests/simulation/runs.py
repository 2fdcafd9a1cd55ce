"""One run under faults: users over simulated clients, a nemesis, peace, and the account. What came to pass is counted.

A run that met no fault proves nothing about it, so each run has its `situations`, and a suite says which of them it
must have reached (see test_suite.py).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from cluster.config import NodeSettings
from cluster.layout import PARTITIONS
from cluster.replication.mergeable import TABLE_KV
from cluster.simulation.fleet import Fleet
from cluster.versions import is_deleted
from cluster.wire.kv import Got, PutDone
from tests.simulation.calls import Calls
from tests.simulation.growth import Growth
from tests.simulation.ledger import Ledger, Session
from tests.simulation.nemesis import Nemesis, Step

MIXES = {
    # Shares of writes with context, blind writes, deletes; the rest are reads, half of them strict.
    "chains": (0.6, 0.0, 0.0),
    "siblings": (0.3, 0.25, 0.0),
    "deletes": (0.35, 0.05, 0.2),
}
ROUNDS = 12
PEACE_S = 8.0
CALL_SHARE = 0.1
ACTIONS = 16
"""Operations that users may begin after each step of the nemesis."""


class Users:
    """A few sessions over a few keys; each waits for its operation on a key before it begins the next. Now and then
    they call a service, too."""

    def __init__(
        self,
        fleet: Fleet,
        nemesis: Nemesis,
        calls: Calls,
        random: Random,
        mix: str,
        large_bytes: int,
        key_bytes: int,
    ) -> None:
        self.nemesis = nemesis
        self.random = random
        self.ledger = Ledger(fleet, large_bytes=large_bytes)
        self.calls = calls
        self.mix = MIXES[mix]
        self.known = {member.name for member in fleet.entry.members}
        """The members that the clients know of: those of the layout that they were given."""
        self.keys = [f"key-{number}".ljust(key_bytes, ".") for number in range(6)]
        count = 1 if mix == "chains" else 3
        self.sessions = [Session(fleet.client(f"client-{number}")) for number in range(count)]

    def act(self) -> None:
        """One operation of one session, unless it waits for its last one."""
        random, ledger = self.random, self.ledger
        running = self.nemesis.running
        if random.random() < CALL_SHARE:
            client = random.choice(self.sessions).client
            assert client is not None
            self.calls.begin(client, random.choice([None, *[name for name in running[:1] if name in self.known]]))
        session, key, dice = random.choice(self.sessions), random.choice(self.keys), random.random()
        if not running or ledger.is_busy(session, key):
            return
        via = random.choice([None, random.choice(running)])
        if via not in self.known:
            via = None
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


@dataclass
class Run:
    """What a run leaves."""

    ledger: Ledger
    nemesis: Nemesis
    calls: Calls

    @property
    def proves_something(self) -> bool:
        """Whether enough was promised for the account to mean anything."""
        return self.ledger.acknowledged() + self.ledger.reads_checked > 20

    def situations(self) -> Counter[str]:
        """What came to pass, by name; see `SITUATIONS` in test_suite.py."""
        found = Counter(self.ledger.witness.situations)
        for write in self.ledger.writes:
            found[f"write: {write.outcome}"] += 1
            answer = write.result.answer
            if isinstance(answer, PutDone) and answer.coordinator not in self.ledger.fleet.owners(write.key):
                found["fallback coordinates"] += 1
        for read in self.ledger.done:
            answer = read.result.answer
            if isinstance(answer, Got):
                found["read: degraded" if answer.degraded else "read"] += 1
            elif read.result.error is not None:
                found[f"read: {read.result.error.code}"] += 1
        for call in self.calls.all:
            error = call.result.error
            found["call" if error is None else f"call: {'no' if error.definite else 'maybe'}"] += 1
        touched = self.nemesis.touched()
        for fault in self.ledger.fleet.faults.faults:
            if touched.get(fault.id):
                found[f"fault touched: {fault.kind}"] += 1
        return found


def check_equal(fleet: Fleet, keys: Sequence[str]) -> None:
    """Once nobody writes, all owners hold the same, before anybody has read it."""
    nodes = fleet.nodes.values()
    fleet.until(lambda: not any(node.replication.antientropy.unverified() for node in nodes), 120.0)
    for key in keys:
        held = {name: fleet.stored(name, key) for name in fleet.owners(key)}
        assert len(set(held.values())) == 1, f"{key} differs between its owners: {sorted(held)}"


def check_collected(fleet: Fleet) -> None:
    """Once nobody writes, no owner has a tombstone left."""
    collecting = [node.replication.collecting for node in fleet.nodes.values()]
    fleet.until(lambda: not any(one.status()["left"] for one in collecting), 120.0)
    for node in fleet.nodes.values():
        for partition in range(PARTITIONS):
            page, _ = node.store.scan(TABLE_KV, partition, "", 100)
            left = [key for key, blob in page if is_deleted(blob)]
            assert not left, f"{node.member.name} holds tombstones of {left}"


def run(
    seed: int,
    mix: str,
    *,
    down_max: int = 2,
    steps: Sequence[Step] | None = None,
    settings: NodeSettings | None = None,
    rounds: int = ROUNDS,
    nodes: int = 5,
    large_bytes: int = 0,
    key_bytes: int = 0,
    grows: bool = False,
    collects: bool = False,
) -> Run:
    """Faults and users, then peace, then the account. `collects`: peace comes now and then, long enough for tombstones
    to go; users go on with what they read before."""
    with Fleet(seed, nodes, settings=settings) as fleet:
        calls = Calls(fleet)
        fleet.start()
        fleet.until(fleet.converged)
        random = Random(f"{seed}/{mix}")
        nemesis = (Growth if grows else Nemesis)(fleet, random, down_max=down_max, steps=steps)
        users = Users(fleet, nemesis, calls, random, mix, large_bytes, key_bytes)
        made = Run(users.ledger, nemesis, calls)
        for number in range(4 * rounds):
            if number >= rounds and made.proves_something:
                break  # a nemesis that cuts off everybody at once lets nobody do anything: such a run goes on
            nemesis.act()
            for _ in range(ACTIONS):
                users.act()
                fleet.world.run_for(random.choice((0.0, 0.01, 0.05, 0.3)))
            if collects and number % 4 == 3:
                nemesis.end()
                fleet.world.run_for(PEACE_S)
        nemesis.end()
        fleet.world.run_for(1.5)
        fleet.until(fleet.settled, timeout=120.0)
        if grows or collects:
            check_equal(fleet, users.keys)
        if collects:
            check_collected(fleet)
            check_equal(fleet, users.keys)
        users.ledger.check()
        calls.check()
        assert not fleet.fatal
        return made
