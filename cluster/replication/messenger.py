"""What replication asks of the transport."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from cluster.errors import ClusterError
from cluster.wire.frames import Body

Outcome = Body | ClusterError


class Messenger(Protocol):
    """Requests to nodes by name, by callback; see cluster.transport."""

    def request(
        self, peers: Sequence[str], body: Body, deadline: float, done: Callable[[str, Outcome], None], lane: int = ...
    ) -> int:
        """Ask each of `peers`; `done` comes once for each."""

    def finish(self, id: int, cancel: bool = False) -> None:
        """No more callbacks for this id."""

    def send(self, peer: str, body: Body, lane: int = ...) -> bool:
        """One way. False when it surely never leaves."""

    def at_flush(self, function: Callable[[], None]) -> None:
        """Call once at the end of this pass, before the sockets are written."""

    def timed_out(self, peer: str) -> None:
        """The peer did not answer in time what it was sent one way."""


class Asked(Protocol):
    """A request, or one-way message, that arrived. Times are on the local monotonic clock; `arrived` is dated back over
    a stall."""

    body: Any
    deadline: float
    arrived: float

    @property
    def sender(self) -> str:
        """The node that sent it; empty for a client."""

    def push(self, body: Body) -> bool:
        """Send something back one way."""

    def reply(self, body: Body) -> None:
        """Answer."""

    def fail(self, error: ClusterError) -> None:
        """Answer with an error."""
