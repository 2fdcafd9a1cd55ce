"""A subscription of the asyncio client: bounded, and moved to another node when its own is lost.

Delivery is at most once. What is published while it moves is missed: `gaps` counts the moves, and the next message says
`gap`. A reader that is too slow loses the oldest messages; `dropped` counts those, and those that the node dropped.
Each registration has a number of its own, so that a node that was given up cannot deliver twice.
"""

# ruff: noqa: ASYNC109 - a timeout given here is how long a reader is willing to wait

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import partial
from itertools import count

from cluster.client.channel import Channel, Outcome
from cluster.client.results import TopicMessage, topic_message
from cluster.client.router import Operation, Router, ignore
from cluster.errors import BadMessage, ClusterError, DeadlinePassed, Unreachable
from cluster.wire.topics import Message, Subscribe, Subscribed, Unsubscribe

BUFFER = 10_000
"""Messages that wait for the reader, unless it says otherwise."""
MOVE_S = 30.0
"""How long a lost subscription looks for a node before it gives up."""
PAUSE_S = 0.05
"""Between two rounds over all nodes."""

_numbers = count(1)


class Subscription:
    """Iterate over it; the first message waited for registers it. `async with` registers at once, and ends it."""

    def __init__(
        self,
        router: Router,
        pattern: str,
        group: str,
        buffer: int,
        timeout: float,
        take: Callable[[Message], None] | None = None,
    ) -> None:
        """With `take`, messages go there as they come, and nothing is kept for a reader."""
        assert buffer > 0
        self.pattern = pattern
        self.group = group
        self.nodes = 0
        """How many nodes know of it."""
        self.node = ""
        """The node that delivers; empty while there is none."""
        self.gaps = 0
        self.dropped = 0
        self._router = router
        self._buffer = buffer
        self._take = take
        self._timeout = timeout
        self._messages: deque[TopicMessage] = deque()
        self._gap = False
        self._number = 0
        self._registering: Operation | None = None
        self._started: asyncio.Future[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._channel: Channel | None = None
        self._error: ClusterError | None = None
        self._over = False
        self._entered = False
        self._give_up_at = 0.0
        self._tried: dict[str, ClusterError] = {}

    # -- the reader's side

    async def __aenter__(self) -> "Subscription":
        self._entered = True
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def __aiter__(self) -> AsyncIterator[TopicMessage]:
        """Messages until the subscription or the client is closed. Raises Unreachable when no node can be found."""
        try:
            while (message := await self.next()) is not None:
                yield message
        finally:
            if not self._entered:
                self.close()

    async def start(self) -> None:
        """Register. When this returns, every live node knows of the subscription. Harmless when repeated."""
        if self._started is None:
            self._started = self._router.loop.create_future()
            self._give_up_at = self._router.loop.time() + self._timeout
            self._register()
        try:
            await asyncio.shield(self._started)
        except BaseException:  # cancellation too: a subscription that nobody reads is ended
            self.close()
            raise

    async def next(self, timeout: float | None = None) -> TopicMessage | None:
        """The next message; None at the end, or after `timeout` seconds."""
        await self.start()
        if not self._messages and self._error is None and not self._over:
            self._waiter = self._router.loop.create_future()
            try:
                async with asyncio.timeout(timeout):
                    await self._waiter
            except TimeoutError:
                return None
            finally:
                self._waiter = None
        if self._messages:
            return self._messages.popleft()
        if self._error is not None:
            raise self._error
        return None

    def close(self) -> None:
        """End it: nothing more is delivered, and a reader that waits is let go."""
        if self._over:
            return
        registering = self._registering
        self.end()
        if self._channel is not None:
            self._channel.ended.remove(self._lost)
            self._unsubscribe(self._channel)
            self._channel, self.node = None, ""
        elif registering is not None and registering.channel is not None:
            self._unsubscribe(registering.channel)

    # -- the router's side

    def receive(self, message: Message) -> None:
        """Keep a message for the reader."""
        self.dropped += message.dropped
        if self._take is not None:
            self._take(message)
            return
        if len(self._messages) >= self._buffer:
            self._messages.popleft()
            self.dropped += 1
        self._messages.append(topic_message(message, self._gap))
        self._gap = False
        self._wake()

    def end(self) -> None:
        """No more messages; what was received can still be read."""
        self._over = True
        self._router.receivers.pop(self._number, None)
        if self._registering is not None:
            self._registering.cancel()
        if self._started is not None and not self._started.done():
            self._started.set_result(None)
        self._wake()

    def _unsubscribe(self, channel: Channel) -> None:
        """Tell the node of the present number to forget it."""
        try:
            channel.call(Unsubscribe(self._number), self._router.loop.time() + self._timeout, ignore)
        except ClusterError:  # the connection is over, and the subscription with it
            pass

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _register(self) -> None:
        """Try the best node that has not failed in this round."""
        if self._over:
            return
        router = self._router
        node = router.best_node(self._tried)
        if node is None:
            self._next_round()
            return
        router.receivers.pop(self._number, None)
        self._number = next(_numbers)
        router.receivers[self._number] = self
        body = Subscribe(self._number, self.pattern, self.group)
        deadline = min(router.loop.time() + self._timeout, self._give_up_at)
        self._registering = router.call(body, deadline, partial(self._registered, node), node=node)

    def _next_round(self) -> None:
        if self._router.loop.time() + PAUSE_S >= self._give_up_at:
            reasons = "; ".join(error.message for error in self._tried.values())
            self._fail(Unreachable(f"no node takes the subscription to {self.pattern!r}: {reasons}"))
            return
        self._tried.clear()
        self._router.loop.call_later(PAUSE_S, self._register)

    def _registered(self, node: str, outcome: Outcome) -> None:
        operation, self._registering = self._registering, None
        if isinstance(outcome, Subscribed):
            assert operation is not None and operation.channel is not None and self._started is not None
            self.node, self.nodes = node, outcome.nodes
            self._tried.clear()
            self._channel = operation.channel
            self._channel.ended.append(self._lost)
            if not self._started.done():
                self._started.set_result(None)
        elif isinstance(outcome, ClusterError) and outcome.retryable:
            if isinstance(outcome, DeadlinePassed) and operation is not None and operation.channel is not None:
                self._unsubscribe(operation.channel)  # it may be registered there all the same
            self._tried[node] = outcome
            self._register()
        else:
            self._fail(outcome if isinstance(outcome, ClusterError) else BadMessage("expected Subscribed in reply"))

    def _lost(self) -> None:
        """The node that delivered is gone."""
        if not self._over:
            self._channel, self.node = None, ""
            self.gaps += 1
            self._gap = True
            self._give_up_at = self._router.loop.time() + MOVE_S
            self._router.loop.call_soon(self._register)

    def _fail(self, error: ClusterError) -> None:
        self._error = error
        self._router.receivers.pop(self._number, None)
        if self._started is not None and not self._started.done():
            self._started.set_exception(error)
        self._wake()
