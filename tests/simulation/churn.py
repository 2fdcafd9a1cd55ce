"""Nodes that end and come back, again and again, while keys are written and deleted; and how much is left of it.

A session writes each key with the context that it has, so each has one value. What counts as left: the rows of every
table, the siblings and clocks of the rows that stay, and the dots, of which the witness sees that none is given twice.
"""

from dataclasses import dataclass
from random import Random

from cluster.kv.operations import TABLE_OPERATIONS
from cluster.layout import PARTITIONS
from cluster.replication.mergeable import TABLE_HINTS, TABLE_KV
from cluster.simulation.fleet import Fleet, SimulatedRequest
from cluster.versions import decode
from cluster.wire.kv import Put, PutDone
from tests.simulation.safeguards.scenes import crash_and_wait, got, read, settle
from tests.simulation.witness import Witness

COLLECTED_S = 60.0


@dataclass
class Left:
    """What is left at all nodes together."""

    rows: dict[int, int]
    """By table."""
    siblings: int
    """The most that a row has."""
    actors: int
    """The most entries that the clock of a row has."""


class Churn:
    """Keys that one session writes to, in a fleet whose nodes come and go."""

    def __init__(self, fleet: Fleet, keys: int, seed: int) -> None:
        self.fleet = fleet
        self.random = Random(f"churn {seed}")
        self.witness = Witness(fleet.world)
        self.keys = [f"key-{number}" for number in range(keys)]
        self.contexts: dict[str, bytes] = {}
        self.values: dict[str, bytes] = {}
        self.deletes = 0

    def restart(self, name: str) -> None:
        """Killed, missed by a few writes, and back. What it was to coordinate may have happened or not, so it is
        read."""
        self.fleet.crash(name)
        begun = [(key, self._begin(key)) for key in self.random.sample(self.keys, 3)]
        unsure = [key for key, request in begun if not self._is_done(key, request)]
        self.fleet.start(name)
        settle(self.fleet)
        for key in unsure:
            found = got(self.fleet, name, key, strict=True)
            self.contexts[key] = found.context
            self.values.pop(key, None)
            if found.siblings:
                (self.values[key],) = found.siblings

    def _begin(self, key: str) -> SimulatedRequest:
        """A write through a node that runs; every third is a delete."""
        deleted, number = self.random.random() < 1 / 3, self.random.randrange(1000)
        self.deletes += deleted
        value = b"" if deleted else b"%d" % number
        via = self.random.choice(self.fleet.up)
        return self.fleet.put(via, key, value, context=self.contexts.get(key), deleted=deleted)

    def _is_done(self, key: str, request: SimulatedRequest) -> bool:
        """Whether the write was acknowledged; what it wrote is then what the key has."""
        answer, body = self.fleet.wait(request).answer, request.body
        assert isinstance(body, Put)
        if not isinstance(answer, PutDone) or answer.outcome not in ("ok", "ok-sloppy"):
            return False
        self.contexts[key] = answer.context
        if body.deleted:
            self.values.pop(key, None)
        else:
            self.values[key] = body.value
        return True

    def lose_all_owners(self, key: str) -> set[str]:
        """An outage in which fallbacks coordinate; returns which."""
        owners = self.fleet.owners(key)
        crash_and_wait(self.fleet, *owners)
        coordinators = set()
        for _ in range(4):
            request = self._begin(key)
            assert self._is_done(key, request) and isinstance(request.answer, PutDone)
            coordinators.add(request.answer.coordinator)
        self.fleet.start(*owners)
        settle(self.fleet, 120.0)
        return coordinators

    def left(self) -> Left:
        """Once the tombstones are collected. Raises TimeoutError when they are not."""
        fleet = self.fleet
        fleet.until(lambda: self._rows(TABLE_KV) <= 3 * len(self.values), COLLECTED_S)
        blobs = [fleet.stored(name, key) for name in fleet.up for key in self.keys]
        objects = [decode(blob) for blob in blobs if blob is not None]
        return Left(
            {table: self._rows(table) for table in (TABLE_KV, TABLE_HINTS, TABLE_OPERATIONS)},
            max((len(one.siblings) for one in objects), default=0),
            max((len(one.clock) for one in objects), default=0),
        )

    def check(self) -> None:
        """What was acknowledged last is there, alone."""
        for key in self.keys:
            wanted = [self.values[key]] if key in self.values else []
            assert read(self.fleet, self.fleet.up[0], key, strict=True) == wanted, key

    def _rows(self, table: int) -> int:
        nodes = self.fleet.nodes.values()
        return sum(node.store.count(table, partition) for node in nodes for partition in range(PARTITIONS))
