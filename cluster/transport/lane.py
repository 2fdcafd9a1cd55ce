"""The way to one peer on one of its three lanes: dialled on demand, redialled with backoff, failing fast meanwhile.

Control, foreground and background traffic do not wait for each other. A dial into a partition hangs until its
timeout, as it would on a network, and a refusal or a reset across a partition stays unseen: requests then run into
their deadlines.
"""

from typing import TYPE_CHECKING

from cluster.transport.connection import Connection
from cluster.wire.handshake import LANE_BACKGROUND

if TYPE_CHECKING:
    from cluster.transport.transport import Transport


class Lane:
    """At most one connection, ours to dial."""

    __slots__ = ("connection", "lane", "peer", "transport")

    def __init__(self, transport: "Transport", peer: str, lane: int) -> None:
        self.transport = transport
        self.peer = peer
        self.lane = lane
        self.connection: Connection | None = None

    def ready(self) -> Connection | None:
        """The connection to send on, dialling if there is none; None while the peer is not to be dialled."""
        connection = self.connection
        if connection is not None:
            return connection
        transport = self.transport
        if self.peer not in transport.addresses or transport.backoff(self.peer).blocked(transport.env.clock.now()):
            return None
        return self._dial()

    def _dial(self) -> Connection:
        transport = self.transport
        connection: Connection = Connection(
            transport, self.peer, self.lane, on_open=self._opened, on_end=lambda reason: self._ended(connection, reason)
        )
        self.connection = connection
        timeout = transport.settings.connect_timeout_s
        if transport.faults.on_dial(self.peer):
            transport.env.clock.call_later(timeout, connection.lost, "timeout")
        else:
            transport.env.network.dial(transport.addresses[self.peer], connection, timeout)
        return connection

    def _opened(self) -> None:
        self.transport.backoff(self.peer).reset()
        self.transport.contacted(self.peer)
        if self.lane == LANE_BACKGROUND and self.connection is not None:
            self._close_when_idle(self.connection, -1)

    def _ended(self, connection: Connection, reason: str) -> None:
        if self.connection is connection:
            self.connection = None
        self.transport.lane_lost(self.peer, self.lane, reason, was_open=connection.peer is not None)

    def _close_when_idle(self, connection: Connection, writes_before: int) -> None:
        """Background traffic comes in bursts: what carried nothing since the last look is let go."""
        if connection.ended:
            return
        if connection.writes == writes_before:
            connection.close()
        else:
            later = self.transport.settings.idle_close_s
            self.transport.env.clock.call_later(later, self._close_when_idle, connection, connection.writes)
