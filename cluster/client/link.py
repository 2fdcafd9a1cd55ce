"""One node as a client's router sees it: its address, its connection when there is one, and when to dial it again.

A connection that ended is dialled again with backoff and full jitter (Brooker, "Exponential Backoff And Jitter", AWS
Architecture Blog, 2015). Who dials, and what waits for it, is the router's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster.errors import ClusterError, Unreachable

if TYPE_CHECKING:
    from cluster.client.carrier import Stream
    from cluster.client.locate import Address
    from cluster.env import Timer
    from cluster.wire.caller import Caller

DIAL_AGAIN_S = 0.05
"""An operation that has no better node dials one out of turn, but no node more often than this."""
BACKOFF_MIN_S, BACKOFF_MAX_S = 0.05, 2.0
DOUBLINGS_MAX = 16
"""Far beyond BACKOFF_MAX_S, and bounded, as a node may stay away for days."""


class NodeLink:
    """`caller` is None while there is no connection; `error` says why."""

    __slots__ = ("address", "caller", "dialled_at", "error", "failures", "name", "probing", "stream", "timer")

    def __init__(self, name: str, address: Address) -> None:
        self.name = name
        self.address = address
        self.caller: Caller | None = None
        self.stream: Stream | None = None
        self.error: ClusterError = Unreachable(f"{name}: not dialled yet")
        self.failures = 0
        self.dialled_at = float("-inf")
        self.timer: Timer | None = None
        """Gives up the dial under way, or begins the next."""
        self.probing = False

    def backoff_s(self, jitter: float) -> float:
        """The connection failed once more: how long to wait for the next dial. `jitter` is 0 to 1."""
        limit_s: float = min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2**self.failures)
        self.failures = min(self.failures + 1, DOUBLINGS_MAX)
        return DIAL_AGAIN_S + jitter * limit_s

    def stop_timer(self) -> None:
        """What was to come does not."""
        if self.timer is not None:
            self.timer.cancel()

    def ended(self, error: ClusterError) -> None:
        """The connection is over."""
        if self.stream is not None:
            self.stream.close()
        self.caller, self.stream, self.error, self.probing = None, None, error, False
        self.stop_timer()

    def drop(self) -> None:
        """End the connection for good."""
        self.stop_timer()
        if self.caller is not None:
            self.caller.end(Unreachable(f"{self.name}: the client was closed"))
