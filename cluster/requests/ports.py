"""What this block needs of its siblings, which it does not import: connections, and facts about members."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from cluster.errors import ClusterError
from cluster.wire.frames import Body

Recorder = Callable[..., object]
"""Records an event: `record(kind, cause, **fields)`."""


class Inbound(Protocol):
    """One request or one-way message that arrived. `deadline` and `arrived` are on the local monotonic clock."""

    body: Any
    deadline: float
    arrived: float

    def reply(self, body: Body) -> None:
        """Answer."""

    def fail(self, error: ClusterError) -> None:
        """Answer with an error."""

    def on_cancel(self, function: Callable[[], None]) -> None:
        """Call when the sender no longer waits."""


class Messenger(Protocol):
    """The way to other nodes."""

    def handle(self, body_type: type, handler: Callable[[Inbound], None]) -> None:
        """Give all messages of a type to `handler`."""

    def request(
        self, peers: Sequence[str], body: Body, deadline: float, done: Callable[[str, Body | ClusterError], None]
    ) -> int:
        """Ask peers; `done(peer, outcome)` comes once for each, never before this returns."""

    def finish(self, id: int, cancel: bool = False) -> None:
        """Make no more callbacks for a request; with `cancel`, tell the peers."""


class Facts(Protocol):
    """What members announce about themselves."""

    on_fact: list[Callable[[str, str, bytes], None]]
    on_change: list[Callable[[str, str, str], None]]

    def state(self, name: str) -> str:
        """A member's state, as `alive` or `dead`."""

    def announce(self, kind: str, body: bytes) -> None:
        """Announce a fact about this node."""

    def facts(self, kind: str) -> dict[str, bytes]:
        """The facts of all members."""
