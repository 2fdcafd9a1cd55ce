"""The nodes as an asyncio client sees them: a channel each, dialled again with backoff for as long as the client lives.

A node that ends a channel is tried again at once and then ever later (full jitter; Brooker, "Exponential Backoff And
Jitter", 2015), so that one that restarts is found without an operation having to fail first.
"""

import asyncio
from collections.abc import Callable
from random import Random

from cluster.client.channel import Channel
from cluster.client.locate import Address
from cluster.errors import ClusterError, Unreachable
from cluster.wire.frames import Body
from cluster.wire.handshake import Party

BACKOFF_MIN_S, BACKOFF_MAX_S = 0.05, 2.0
DIAL_AGAIN_S = 0.05
"""An operation that has no better node dials one out of turn, but no node more often than this."""


class Place:
    """One node: its address, and its channel when there is one."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        random: Random,
        name: str,
        address: Address,
        secret: bytes,
        me: Party,
        on_change: Callable[[], None],
        on_push: Callable[[Body], None],
    ) -> None:
        self.name = name
        self.address = address
        self.channel: Channel | None = None
        self.error: ClusterError = Unreachable(f"{name}: not dialled yet")
        """Why there is no channel."""
        self._loop = loop
        self._random = random
        self._secret, self._me = secret, me
        self._on_change, self._on_push = on_change, on_push
        self._failures = 0
        self._dialled_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def rank(self, now: float, preferred: bool) -> int:
        """How good it is to ask this node now, 0 the best. One that may refuse costs less than one that is mute."""
        channel = self.channel
        if channel is None:
            return 3 if now - self._dialled_at > DIAL_AGAIN_S else 5
        if channel.up:
            return 4 if channel.doubtful else 0 if preferred else 1
        return 2

    def dial(self) -> Channel | None:
        """The channel; a new one when there is none. None when the last attempt has only just failed."""
        if self.channel is not None or self._closed:
            return self.channel
        now = self._loop.time()
        if now - self._dialled_at <= DIAL_AGAIN_S:
            return None
        self._dialled_at = now
        if self._timer is not None:
            self._timer.cancel()
        self.channel = Channel(
            self._loop, self.name, self.address, self._secret, self._me, self._on_up, self._on_end, self._on_push
        )
        return self.channel

    def _on_up(self, channel: Channel) -> None:
        self._failures = 0
        self._on_change()

    def _on_end(self, channel: Channel) -> None:
        assert channel.error is not None
        self.channel, self.error = None, channel.error
        if not self._closed:
            limit = min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2**self._failures)
            self._failures = min(self._failures + 1, 16)
            self._timer = self._loop.call_later(DIAL_AGAIN_S + self._random.uniform(0, limit), self.dial)
        self._on_change()

    def close(self) -> Channel | None:
        """End the channel for good. Returns it when its stream is still to be waited for."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        channel = self.channel
        if channel is not None:
            channel.end(Unreachable(f"{self.name}: the client was closed"))
        return channel
