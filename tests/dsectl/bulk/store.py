"""A key-value store of siblings and contexts, in memory, that fails as a test says: it stands in for a client's."""

import asyncio
from collections import deque
from typing import Any, cast

from cluster.client.aio import Client
from cluster.client.cells import MembersResult
from cluster.client.keyed import GetResult
from cluster.client.kv import KeysResult, PutResult
from cluster.errors import ClusterError, QuorumMissing, WrongType
from cluster.limits import COUNTER_MAX


class FakeKv:
    """Every operation yields to the others once. `failures` are raised by puts, `lost` once they were carried out."""

    def __init__(self) -> None:
        self.rows: dict[str, list[bytes]] = {}
        self.counters: dict[str, int] = {}
        self.sets: dict[str, set[bytes]] = {}
        self.puts: list[tuple[str, bytes]] = []
        self.updates = 0
        self.failures: deque[ClusterError] = deque()
        self.lost: deque[ClusterError] = deque()
        self.unreadable: set[str] = set()
        self.one_value = False
        """Whether the last writer wins."""
        self.in_flight = 0
        self.in_flight_max = 0
        self.silent: list[str] = []
        self._operations: set[str] = set()
        self._put_as: dict[tuple[str, bytes], int] = {}  # which put a value is of; 0 for what was there

    async def get(self, key: str) -> GetResult:
        await self._wait()
        if key in self.unreadable:
            raise QuorumMissing("no quorum")
        if key in self.sets:
            raise WrongType("a set")
        if key in self.counters:
            return GetResult(key, b"", [b"%d" % self.counters[key]], "", 2, 0, False, "n1", 1.0, "counter")
        values = self.rows.get(key, [])
        return GetResult(key, None, list(values), str(len(self.puts)), 2, 0, False, "n1", 1.0)

    async def put(
        self, key: str, value: bytes, *, context: str | None, blind: bool, retry: ClusterError | None = None
    ) -> PutResult:
        await self._wait()
        if self.failures:
            raise self.failures.popleft()
        operation = retry.detail["operation"] if retry else ""
        if not retry or operation not in self._operations:
            self._apply(key, value, context)
        if self.lost:
            error = self.lost.popleft()
            self._operations.add(error.detail.get("operation", ""))
            raise error
        return PutResult(key, "ok", "n1", 2, 0, "", "interval", len(self.rows[key]), 1.0)

    async def smembers(self, key: str) -> MembersResult:
        await self._wait()
        return MembersResult(key, sorted(self.sets[key]), "seen", 2, 0, False, "n1", 1.0)

    async def incr(self, key: str, by: int, *, retry: ClusterError | None = None) -> None:
        await self._update(key)
        assert abs(by) <= COUNTER_MAX
        self.counters[key] = self.counters.get(key, 0) + by

    async def sadd(self, key: str, items: list[bytes], *, retry: ClusterError | None = None) -> None:
        await self._update(key)
        self.sets.setdefault(key, set()).update(items)

    async def srem(self, key: str, items: list[bytes], *, context: str, retry: ClusterError | None = None) -> None:
        await self._update(key)
        assert context == "seen"
        self.sets[key] -= set(items)

    async def _update(self, key: str) -> None:
        await self._wait()
        if key in self.rows:
            raise WrongType(f"{key} is a value")
        self.updates += 1

    def _apply(self, key: str, value: bytes, context: str | None) -> None:
        self.puts.append((key, value))
        seen = -1 if context is None else int(context)
        kept = [one for one in self.rows.get(key, []) if self._put_as.get((key, one), 0) > seen]
        self.rows[key] = [value] if self.one_value else [*kept, value]
        self._put_as[key, value] = len(self.puts)

    async def keys(self, prefix: str, *, limit: int, after: str) -> KeysResult:
        await self._wait()
        found = sorted(key for key in self.rows if key > after and key.startswith(prefix))
        more = len(found) > limit
        return KeysResult(found[:limit], more, self.silent, found[limit - 1] if more else "")

    async def _wait(self) -> None:
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight, self.in_flight_max)
        await asyncio.sleep(0)
        self.in_flight -= 1


class FakeLocation:
    """Says nothing of the layout."""

    entry: Any = None


class FakeClient:
    """Has a store, and nothing else."""

    def __init__(self) -> None:
        self.kv = FakeKv()
        self.location = FakeLocation()
        self.timeout = 5.0

    @property
    def client(self) -> Client:
        return cast(Client, self)
