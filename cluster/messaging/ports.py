"""What this block needs of its siblings, which it does not import: connections, and facts about members."""

from collections.abc import Callable
from typing import Any, Protocol

from cluster.errors import ClusterError
from cluster.wire.frames import Body

Recorder = Callable[..., object]
"""Records an event: `record(kind, cause, **fields)`."""


class Link(Protocol):
    """The connection of a client, for pushes."""

    on_close: list[Callable[[], None]]

    def push(self, body: Body) -> bool:
        """Send one way; False when the bounded queue is full, and the body is dropped."""


class Inbound(Protocol):
    """One request or one-way message that arrived; answers to a one-way message go nowhere."""

    body: Any

    @property
    def link(self) -> Link:
        """Where it came from."""

    def reply(self, body: Body) -> None:
        """Answer."""

    def fail(self, error: ClusterError) -> None:
        """Answer with an error."""


class Messenger(Protocol):
    """The way to other nodes."""

    def handle(self, body_type: type, handler: Callable[[Inbound], None]) -> None:
        """Give all messages of a type to `handler`."""

    def send_encoded(self, peer: str, data: bytes) -> bool:
        """Send an encoded one-way frame; False when it was dropped here."""


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

    def tell(self, kind: str, done: Callable[[int], None]) -> None:
        """Push this node's fact to all live members; `done` with how many know it."""
