"""Consuming a queue through the asyncio client: leases that last as long as the work, and end with it.

A `Consumer` leases at most `concurrency` messages at a time, and asks for as many as it has room for: one that is slow
leaves the rest to others. While a message is worked on its lease is extended; when the work returns the message is
acknowledged, and when it raises it is given back, to be delivered again after a pause that doubles with each attempt.
An acknowledgement whose outcome is not known is repeated, which is harmless.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from math import inf
from typing import TYPE_CHECKING, Any

from cluster.client.operation import check_count, check_delay, check_seconds
from cluster.client.queues import QueueMessage, Settling, WorkQueue
from cluster.errors import ClusterError, LeaseLost
from cluster.limits import QUEUE_BATCH_MAX

if TYPE_CHECKING:
    from cluster.client.aio import AioSession  # noqa: F401 - in the base of a class

POLL_S = 20.0
"""So long a node holds a receive that finds nothing."""
AGAIN_S, AGAIN_MAX_S = 0.05, 1.0
"""Pauses after a receive or an acknowledgement that failed: they double."""
EXTENDS = 3
"""A lease is extended when a third of it is over, so that two tries may fail."""
LAST_LOOK_S = 0.2
"""So long a consumer that ends waits for the receive under way, whose messages would stay leased in vain."""
DRAIN_S = 10.0
"""So long it waits for acknowledgements."""
ACK_TRIES = 8
"""Some 4 s together."""
CONCURRENCY_MAX = 4096
DOUBLINGS_MAX = 32


class AioQueues(Settling["AioSession"]):
    """The queues of the cluster: `queues["jobs"]` is one of them."""

    def __getitem__(self, name: str) -> AioWorkQueue:
        return AioWorkQueue(self._session, name)


class AioWorkQueue(WorkQueue["AioSession"]):
    """One queue, by its name."""

    def consume(
        self,
        concurrency: int = 1,
        *,
        visibility: float | None = None,
        backoff: float = 1.0,
        backoff_max: float = 60.0,
    ) -> Consumer:
        """Messages one after another, each leased until the loop comes back for the next:

            async for message in jobs.consume(concurrency=8): ...

        or `await jobs.consume(concurrency=8).run(handler)`, which has up to 8 handlers run at once. `visibility` is how
        long a lease lasts without news from this process (None: the queue's); `backoff` seconds, doubled with each
        attempt up to `backoff_max`, pass before a message whose work failed is delivered again."""
        return Consumer(self, concurrency, visibility, backoff, backoff_max)


class Held:
    """A message that is leased here."""

    __slots__ = ("extended_at", "message", "tries")

    def __init__(self, message: QueueMessage, at: float) -> None:
        self.message = message
        self.extended_at = at
        """When its lease began, or was extended last."""
        self.tries = 0
        """How often it was to be acknowledged."""


class Consumer:
    """Messages of a queue, leased while they are worked on. Iterate over it, from one task or from several that share
    its messages; or `run` a handler. `async with` ends it with its block, else it ends with its last loop.

    A loop that is left by `break` or by an exception gives back the message that it was at: acknowledge that one
    yourself where its work was done. While no node can be reached it goes on trying.
    """

    def __init__(
        self, queue: AioWorkQueue, concurrency: int, visibility: float | None, backoff: float, backoff_max: float
    ) -> None:
        self.done = 0
        """Messages that were worked on and acknowledged."""
        self.returned = 0
        """Messages that were given back since their work failed, or their loop was left."""
        self.lost = 0
        """Messages whose lease was lost, or that could not be acknowledged: they are delivered again all the same."""
        self._queue = queue
        self._session = queue._session
        self._concurrency = check_count(concurrency, "concurrency", 1, CONCURRENCY_MAX)
        self._visibility_s = check_seconds(visibility, "the visibility") or 0.0
        self._backoff_s = check_delay(backoff, "the backoff") or 0.0
        self._backoff_max_s = check_delay(backoff_max, "the backoff") or 0.0
        self._held: dict[str, Held] = {}
        """By receipt, until the outcome of its acknowledgement is known."""
        self._ready: deque[Held] = deque()
        """Those that nobody works on yet."""
        self._finished: deque[Held] = deque()
        """Those to be acknowledged with the next batch."""
        self._error: BaseException | None = None
        self._entered = False
        self._loops = 0
        self._stopping = False
        self._changed = asyncio.Event()
        self._receiving: asyncio.Task[None] | None = None
        self._extending: asyncio.Task[None] | None = None
        self._acknowledging: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Consumer:
        self._entered = True
        self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def __aiter__(self) -> AsyncIterator[QueueMessage]:
        """Raises what keeps it from receiving, as NotFound for a queue that is none."""
        self._start()
        self._loops += 1
        held: Held | None = None
        try:
            while (held := await self._next()) is not None:
                yield held.message
                self._finish(held)
                held = None  # whoever ends the wait for the next one gives nothing back
            self._check()
        finally:
            self._loops -= 1
            is_last = not self._entered and not self._loops
            if is_last:
                self.stop()  # first, or what is given back might come here again
            if held is not None:
                await self._give_back(held)
            if is_last:
                await self.close()

    async def run(self, handler: Callable[[QueueMessage], Awaitable[object]]) -> None:
        """Call `handler` with each message, up to `concurrency` at once, until `stop` or an error. An exception of the
        handler goes to the loop's exception handler, and the message is delivered again. Cancelled, it cancels the
        handlers and gives back their messages."""
        loop = asyncio.get_running_loop()

        async def work() -> None:
            while (held := await self._next()) is not None:
                try:
                    await handler(held.message)
                except Exception as error:
                    words = f"a handler of queue {self._queue.name} failed: its message is delivered again"
                    loop.call_exception_handler({"message": words, "exception": error})
                    await self._give_back(held)
                except BaseException:
                    self.stop()
                    await self._give_back(held)
                    raise
                else:
                    self._finish(held)

        async with self:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._concurrency):
                    group.create_task(work())
            self._check()

    def stop(self) -> None:
        """No more messages: loops and `run` end after those that they are at. Good for a signal handler."""
        self._stopping = True
        self._changed.set()

    async def close(self) -> None:
        """End it: messages that nobody works on are given back, and acknowledgements under way are waited for."""
        self.stop()
        receiving, self._receiving = self._receiving, None
        if receiving is None:
            return
        await asyncio.wait([receiving], timeout=LAST_LOOK_S)
        receiving.cancel()
        await asyncio.wait([receiving])
        waiting = [held.message.receipt for held in self._ready]
        self._ready.clear()
        try:
            async with asyncio.timeout(DRAIN_S):
                for begin in range(0, len(waiting), QUEUE_BATCH_MAX):
                    await _tried(self._queue.nack_batch(waiting[begin : begin + QUEUE_BATCH_MAX], begun=False))
                if self._acknowledging is not None:
                    await self._acknowledging
        except TimeoutError:
            pass
        finally:
            for task in (self._extending, self._acknowledging):
                if task is not None:
                    task.cancel()

    # -- one message

    async def _next(self) -> Held | None:
        """The next one to work on; None at the end."""
        while not self._stopping and self._error is None:
            if self._ready:
                held = self._ready.popleft()
                if self._session.now() - held.extended_at < self._visibility_s:
                    return held
                # This process stood still, or its loop was blocked, and by now somebody else works on it.
                self.lost += 1
                self._forget(held)
                continue
            self._changed.clear()
            await self._changed.wait()
        return None

    def _check(self) -> None:
        """Raises why it ended, unless it was stopped."""
        if self._error is not None and not self._stopping:
            raise self._error

    def _finish(self, held: Held) -> None:
        """Its work is done: acknowledge it, with the others of which that is so."""
        self._finished.append(held)
        if self._acknowledging is None:
            self._acknowledging = asyncio.create_task(self._acknowledge())
            self._acknowledging.add_done_callback(self._ended)

    async def _acknowledge(self) -> None:
        """One batch after another: what is finished meanwhile makes the next. A lease is extended as long as this is
        tried, since the message would be delivered again."""
        pause_s = AGAIN_S
        while self._finished:
            batch = [self._finished.popleft() for _ in range(min(len(self._finished), QUEUE_BATCH_MAX))]
            errors: list[ClusterError | None]
            try:
                results = await self._queue.ack_batch([held.message.receipt for held in batch])
                errors = [result.error for result in results]
            except ClusterError as error:
                errors = [error] * len(batch)
            again = False
            for held, failed in zip(batch, errors, strict=True):
                held.tries += 1
                if failed is not None and _may_change(failed) and held.tries < ACK_TRIES:
                    self._finished.append(held)
                    again = True
                    continue
                self.done += failed is None
                self.lost += failed is not None
                self._forget(held)
            if again:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, AGAIN_MAX_S)
        self._acknowledging = None

    async def _give_back(self, held: Held) -> None:
        """Its work is not done. Where that cannot be said either, it is delivered again when its lease is over."""
        self.returned += 1
        self._forget(held)
        delay_s = min(self._backoff_max_s, self._backoff_s * 2.0 ** min(held.message.attempt - 1, DOUBLINGS_MAX))
        await _tried(self._queue.nack(held.message.receipt, delay=delay_s))

    def _forget(self, held: Held) -> None:
        """There is room for another."""
        self._held.pop(held.message.receipt, None)
        self._changed.set()

    # -- all of them

    def _start(self) -> None:
        if self._receiving is None and not self._stopping:
            self._receiving = asyncio.create_task(self._receive())
            self._receiving.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A task of this consumer is over: with an error, so are all loops."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._error = error
            self._changed.set()

    async def _receive(self) -> None:
        """Hold as many as there is room for."""
        pause_s = AGAIN_S
        while not self._stopping:
            room = min(self._concurrency - len(self._held), QUEUE_BATCH_MAX)
            if room <= 0:
                self._changed.clear()
                await self._changed.wait()
                continue
            try:
                if not self._visibility_s:
                    found = await self._session.ask(None, "queues", {"name": self._queue.name})
                    self._visibility_s = float(found["queues"][0]["visibility_s"])
                if self._extending is None:
                    self._extending = asyncio.create_task(self._extend())
                    self._extending.add_done_callback(self._ended)
                batch = await self._queue.receive(room, wait=POLL_S, visibility=self._visibility_s)
            except ClusterError as error:
                if not self._session.is_open:
                    self.stop()
                elif not _may_change(error):
                    raise
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, AGAIN_MAX_S)
                continue
            pause_s, now = AGAIN_S, self._session.now()
            for message in batch:
                held = self._held[message.receipt] = Held(message, now)
                self._ready.append(held)
            self._changed.set()

    async def _extend(self) -> None:
        """Keep the leases, looking twice as often as one has to be extended."""
        part_s = self._visibility_s / EXTENDS
        while True:
            await asyncio.sleep(part_s / 2)
            now = self._session.now()
            due = [held for held in self._held.values() if now - held.extended_at >= part_s]
            for begin in range(0, len(due), QUEUE_BATCH_MAX):
                batch = due[begin : begin + QUEUE_BATCH_MAX]
                receipts = [held.message.receipt for held in batch]
                try:
                    results = await self._queue.extend_batch(receipts, self._visibility_s, timeout=part_s)
                except ClusterError:  # the next look tries again
                    continue
                for held, result in zip(batch, results, strict=True):
                    if result.error is None:
                        held.extended_at = now
                    elif isinstance(result.error, LeaseLost):
                        # Somebody else gets it. Who works on it goes on, and acknowledges it: that is still good.
                        self.lost += 1
                        held.extended_at = inf
                        if held in self._ready:
                            self._ready.remove(held)
                            self._forget(held)


def _may_change(error: ClusterError) -> bool:
    """Whether the same may succeed a little later."""
    return error.retryable or not error.definite


async def _tried(operation: Coroutine[Any, Any, object]) -> None:
    """What is good to say and does no harm when it is lost."""
    try:
        await operation
    except ClusterError:
        pass
