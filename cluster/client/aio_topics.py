"""Publish and subscribe through the asyncio client: the waiting that `topics.Listening` leaves out."""

# ruff: noqa: ASYNC109 - a timeout given here is how long a reader is willing to wait

import asyncio
from collections.abc import AsyncIterator
from math import inf
from typing import TYPE_CHECKING

from cluster.client.operation import check_timeout, check_wait
from cluster.client.topics import BUFFER, Listening, Publishing, SubscriptionFigures, TopicMessage
from cluster.errors import Usage

if TYPE_CHECKING:
    from cluster.client.aio import AioSession  # noqa: F401 - in the base of a class

MOVE_S = 30.0
"""How long a lost subscription looks for a node before it gives up."""


class Topics(Publishing["AioSession"]):
    """Messages to whoever listens now."""

    def subscribe(
        self, pattern: str, *, group: str = "", buffer: int = BUFFER, timeout: float | None = None
    ) -> "Subscription":
        """Listen: `async for message in subscribe(...)`, or `async with` to be registered before going on.

        Of each `group`, one member gets a message. `buffer` messages wait for the reader; the oldest are dropped first.
        """
        session = self._session
        limit = check_timeout(timeout) or session.timeout
        router = session.router
        listening = Listening(
            router, session.now, session.call_later, pattern, group, limit, buffer=buffer, move_s=MOVE_S
        )
        return Subscription(listening, asyncio.get_running_loop())


def check_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Raises Usage where another loop runs, or none: in another thread, or in a process that was forked meanwhile."""
    try:
        running: object = asyncio.get_running_loop()
    except RuntimeError:
        running = None
    if running is not loop:
        raise Usage(
            "this client belongs to another event loop, thread or process",
            help="Open a client of its own with `async with cluster.connect(...)` in each.",
        )


class Subscription(SubscriptionFigures):
    """Iterate over it; the first message waited for registers it. `async with` registers at once, and ends it."""

    def __init__(self, listening: Listening, loop: asyncio.AbstractEventLoop) -> None:
        self._listening = listening
        self._loop = loop
        self._started = False
        self._entered = False
        self._changed = asyncio.Event()
        listening.on_change = self._changed.set

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
        check_loop(self._loop)
        listening = self._listening
        if not self._started:
            self._started = True
            listening.start()
        try:
            while not listening.settled and not listening.gaps:
                await self._change()
        except BaseException:  # a subscription that nobody reads is ended
            self.close()
            raise
        if listening.error is not None and not listening.gaps:
            raise listening.error

    async def next(self, timeout: float | None = None) -> TopicMessage | None:
        """The next message; None at the end, or after `timeout` seconds."""
        check_loop(self._loop)
        if self._listening.readable:  # what has come already needs no timer
            return self._listening.pop()
        limit = check_wait(timeout)
        await self.start()
        try:
            async with asyncio.timeout(None if limit == inf else limit):
                while not self._listening.readable:
                    await self._change()
        except TimeoutError:
            return None
        return self._listening.pop()

    def close(self) -> None:
        """End it: nothing more is delivered, and a reader that waits is let go."""
        if not self._listening.over:
            check_loop(self._loop)
        self._listening.close()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
