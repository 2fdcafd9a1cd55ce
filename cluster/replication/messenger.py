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


class Asked(Protocol):
    """A request that arrived. `deadline` is on the local monotonic clock."""

    body: Any
    deadline: float

    def reply(self, body: Body) -> None:
        """Answer."""

    def acknowledge(self) -> None:
        """Answer that the copy is merged and durable."""

    def fail(self, error: ClusterError) -> None:
        """Answer with an error."""
