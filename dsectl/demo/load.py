"""The demo's load: writes, messages and requests, steadily, until they are told to stop. Each counts what it saw."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

import anyio

from cluster.errors import ClusterError
from dsectl.demo.findings import Findings

if TYPE_CHECKING:
    from cluster.client.aio import Client

WRITERS = 4
PAUSE_S = 0.01
"""Between two operations of one task: about 400 writes a second in all, well below what a laptop does."""
SUBJECT = "demo.orders"


class Load:
    """What runs beside the story."""

    def __init__(self, client: "Client", found: Findings) -> None:
        self.client = client
        self.found = found
        self.values: dict[str, bytes] = {}
        """Acknowledged writes: what must be read back."""
        self.written: dict[str, bytes] = {}
        """All that was ever sent."""
        self.acknowledged_at: list[float] = []
        self._stopping = False
        self._number = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Everything runs within this block; at its end what is under way is waited for."""
        async with anyio.create_task_group() as listening:
            await listening.start(self._receive)
            async with anyio.create_task_group() as working:
                for _ in range(WRITERS):
                    working.start_soon(self._repeat, self._write)
                working.start_soon(self._repeat, self._publish)
                working.start_soon(self._repeat, self._request)
                try:
                    yield
                finally:
                    self._stopping = True
            listening.cancel_scope.cancel()

    async def _repeat(self, operation: Callable[[], Awaitable[None]]) -> None:
        while not self._stopping:
            await operation()
            await anyio.sleep(PAUSE_S)

    async def _write(self) -> None:
        self._number += 1
        key = f"order-{self._number:05d}"
        value = self.written[key] = f"order {self._number}: one book".encode()
        try:
            done = await self.client.kv.put(key, value, blind=True)
        except ClusterError as error:
            self.found.writes["refused" if error.definite else "maybe"] += 1
            return
        self.found.writes[done.outcome] += 1
        self.values[key] = value
        self.acknowledged_at.append(time.monotonic())

    async def _publish(self) -> None:
        try:
            await self.client.topics.publish(f"{SUBJECT}.{self._number % 3}", b"a message")
            self.found.published += 1
        except ClusterError:
            pass  # at most once: what is not accepted is not counted

    async def _receive(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        async with self.client.topics.subscribe(f"{SUBJECT}.*") as messages:
            task_status.started()
            async for _ in messages:
                self.found.received += 1

    async def _request(self) -> None:
        try:
            answer = await self.client.requests.call("echo.whoami", {}, deadline=1.0)
        except ClusterError:
            self.found.requests_failed += 1
            return
        self.found.requests[answer.node] = self.found.requests.get(answer.node, 0) + 1

    def longest_gap(self, since: float, until: float) -> float:
        """The longest time without an acknowledged write in a window, in seconds."""
        times = [since, *(at for at in self.acknowledged_at if since <= at <= until), until]
        return max(later - earlier for earlier, later in pairwise(times))
