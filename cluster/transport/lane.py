"""The way to one peer on one of its three lanes: dialled on demand, redialled with backoff, failing fast meanwhile.

Control, foreground and background traffic do not wait for each other. A dial into a partition hangs until its timeout,
as it would on a network. A peer that could not be reached is dialled again after a time that doubles, with full jitter:
Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from cluster.env import Address
from cluster.transport.connection import Connection, LocalEnd
from cluster.wire.handshake import LANE_BACKGROUND

if TYPE_CHECKING:
    from random import Random


IDLE = "idle"
"""Why a connection ended that this side let go: it says nothing of the peer."""


class Backoff:
    """When one peer may be dialled again. Pure: time and randomness are passed in."""

    __slots__ = ("_delay", "_max", "_min", "_until")

    def __init__(self, min_s: float, max_s: float) -> None:
        self._min = min_s
        self._max = max_s
        self._delay = min_s
        self._until = float("-inf")

    def blocked(self, now: float) -> bool:
        """Whether it is too early to dial."""
        return now < self._until

    def failed(self, now: float, random: "Random") -> None:
        """A dial failed: wait longer than last time."""
        self._until = now + random.uniform(self._min / 2, self._delay)
        self._delay = min(self._delay * 2, self._max)

    def reset(self) -> None:
        """The peer was heard: dial at once."""
        self._delay = self._min
        self._until = float("-inf")


class Lane:
    """At most one connection, ours to dial. `address` gives where the peer is, None while that is unknown; `backoff`
    is shared by the peer's lanes."""

    __slots__ = ("_address", "_backoff", "_end", "_let_go", "_on_ended", "_on_opened", "connection", "lane", "peer")

    def __init__(
        self,
        end: LocalEnd,
        peer: str,
        lane: int,
        backoff: Backoff,
        address: Callable[[str], Address | None],
        on_opened: Callable[[str], None],
        on_ended: Callable[[Connection, str], None],
    ) -> None:
        self.peer = peer
        self.lane = lane
        self.connection: Connection | None = None
        self._end = end
        self._let_go: Connection | None = None
        self._backoff = backoff
        self._address = address
        self._on_opened = on_opened
        self._on_ended = on_ended

    def ready(self) -> Connection | None:
        """The connection to send on, dialling if there is none; None while the peer is not to be dialled."""
        if self.connection is not None:
            return self.connection
        address = self._address(self.peer)
        if address is None or self._backoff.blocked(self._end.env.clock.now()):
            return None
        end = self._end
        self.connection = connection = Connection(end, self.peer, self.lane, self)
        timeout = end.settings.connect_timeout_s
        if end.faults.on_dial(self.peer):
            end.env.clock.call_later(timeout, connection.lost, "timeout")
        else:
            end.env.network.dial(address, connection, timeout)
        return connection

    def opened(self, connection: Connection) -> None:
        """The peer has proven itself."""
        self._backoff.reset()
        self._on_opened(self.peer)
        if self.lane == LANE_BACKGROUND:
            self._close_when_idle(connection, -1)

    def ended(self, connection: Connection, reason: str) -> None:
        """There is no connection, and the next one is dialled on demand."""
        if self.connection is connection:
            self.connection = None
        if connection.peer is None:
            self._backoff.failed(self._end.env.clock.now(), self._end.env.random)
        self._on_ended(connection, IDLE if connection is self._let_go else reason)

    def _close_when_idle(self, connection: Connection, writes_before: int) -> None:
        """Background traffic comes in bursts: what carried nothing since the last look is let go."""
        if connection.ended:
            return
        if connection.writes == writes_before:
            self._let_go = connection
            connection.close()
        else:
            later = self._end.settings.idle_close_s
            self._end.env.clock.call_later(later, self._close_when_idle, connection, connection.writes)
