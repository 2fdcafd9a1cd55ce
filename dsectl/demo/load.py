"""The demo's load: writes, messages and requests, steadily, until they are told to stop. Each counts what it saw.

Every message and every answer is compared with what was sent; what acknowledged writes promised is kept for the check.
"""

import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

import anyio

from cluster.errors import ClusterError
from dsectl.demo.findings import Findings
from dsectl.load.deliveries import Deliveries
from dsectl.load.payload import Payloads, Sizes

if TYPE_CHECKING:
    from cluster.client.aio import Client
    from cluster.client.topics import TopicMessage

WRITERS = 4
PAUSE_S = 0.01
"""Between two operations of one task: a few hundred writes a second in all, well below what a laptop does."""
SUBJECT = "demo.orders"


class Load:
    """What runs beside the story."""

    def __init__(self, client: "Client", found: Findings) -> None:
        self.client = client
        self.found = found
        self.expected: dict[str, bytes] = {}
        """By key, the value that was acknowledged last: what must be read back."""
        self.subscriber = ""
        """The node that delivers the messages."""
        self._acknowledged: list[tuple[float, float, str]] = []  # began, ended, key
        self._answered: list[tuple[float, float, str]] = []  # began, ended, node
        self._received: list[tuple[float, float]] = []  # published, received
        self._stood_in_at: list[float] = []
        self._published_at: dict[int, float] = {}
        self._deliveries = Deliveries(SUBJECT, 1, Payloads(Sizes()))
        self._misdirected = 0
        self._stopping = False
        self._order = self._question = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Everything runs within this block; at its end what is under way is waited for."""
        async with anyio.create_task_group() as listening:
            await listening.start(self._receive)
            async with anyio.create_task_group() as working:
                for _ in range(WRITERS):
                    working.start_soon(self._repeat, self._take_order)
                working.start_soon(self._repeat, self._publish)
                working.start_soon(self._repeat, self._request)
                try:
                    yield
                finally:
                    self._stopping = True
            listening.cancel_scope.cancel()
        self.found.keys_acknowledged = len(self.expected)

    async def write(self, key: str, value: bytes, *, blind: bool = False) -> None:
        """Write, and keep what the outcome promises. A key is written by one task alone, the second time with what it
        knows of the first, so that the last acknowledged value is the only one to expect."""
        found = self.found
        began = time.monotonic()
        try:
            done = await self.client.kv.put(key, value, blind=blind)
        except ClusterError as error:
            found.writes["refused" if error.definite else "maybe"] += 1
            if not error.definite:
                self.expected.pop(key, None)  # either value may be there
            return
        now = time.monotonic()
        found.writes[done.outcome] += 1
        found.coordinators[done.coordinator] = found.coordinators.get(done.coordinator, 0) + 1
        self.expected[key] = value
        self._acknowledged.append((began, now, key))
        if done.hints or done.outcome == "ok-sloppy":
            self._stood_in_at.append(now)

    # -- what happened when

    def longest_gap(self, since: float, until: float) -> float:
        """The longest time without an acknowledged write in a window, in seconds."""
        ends = sorted(ended for _, ended, _ in self._acknowledged if since <= ended <= until)
        return max(later - earlier for earlier, later in pairwise([since, *ends, until]))

    def avoided(self, since: float) -> float | None:
        """Seconds from `since` to the first write for which somebody stood in."""
        return next((at - since for at in self._stood_in_at if at >= since), None)

    def keys_written(self, since: float, until: float) -> list[str]:
        """Whose writes began and were acknowledged in a window."""
        return [key for began, ended, key in self._acknowledged if since <= began and ended <= until]

    def answered_by(self, since: float, until: float) -> dict[str, int]:
        """Who answered the requests that began and ended in a window."""
        return dict(Counter(node for began, ended, node in self._answered if since <= began and ended <= until))

    def received(self, since: float, until: float) -> int:
        """How many messages were published and received in a window."""
        return sum(since <= began and ended <= until for began, ended in self._received)

    # -- what is repeated

    async def _repeat(self, operation: Callable[[], Awaitable[None]]) -> None:
        while not self._stopping:
            await operation()
            await anyio.sleep(PAUSE_S)

    async def _take_order(self) -> None:
        self._order += 1
        await self.write(f"order-{self._order:05d}", f"order {self._order}: one book".encode(), blind=True)

    async def _publish(self) -> None:
        number, payload = self._deliveries.begin()
        self._published_at[number] = time.monotonic()
        try:
            await self.client.topics.publish(f"{SUBJECT}.{number % 3}", payload)
            self.found.published += 1
        except ClusterError:
            pass  # at most once: what was not taken is not counted, though it may still arrive

    async def _receive(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        async with self.client.topics.subscribe(f"{SUBJECT}.*") as messages:
            self.subscriber = messages.node
            task_status.started()
            async for message in messages:
                self.subscriber = messages.node
                self._take(message)

    def _take(self, message: "TopicMessage") -> None:
        found, seen = self.found, self._deliveries
        found.received += 1
        found.received_across += self.subscriber not in ("", message.node)
        number = seen.receive(0, message.payload)
        found.received_twice = seen.duplicated
        if number is not None and message.subject == f"{SUBJECT}.{number % 3}":
            self._received.append((self._published_at[number], time.monotonic()))
        elif number is not None:
            self._misdirected += 1
        found.received_wrong = seen.unexpected + self._misdirected

    async def _request(self) -> None:
        found = self.found
        self._question += 1
        question = {"text": f"question {self._question}"}
        began = time.monotonic()
        try:
            answer = await self.client.requests.call("echo.echo", question, deadline=1.0)
        except ClusterError:
            found.requests_failed += 1
            return
        found.requests_wrong += answer.reply != question
        found.requests[answer.node] = found.requests.get(answer.node, 0) + 1
        self._answered.append((began, time.monotonic(), answer.node))
