"""One request, or one-way message, that arrived."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cluster.errors import ClusterError
from cluster.wire.frames import Failure, Reply
from cluster.wire.handshake import ROLE_NODE, Party

if TYPE_CHECKING:
    from cluster.transport.connection import Connection


class Inbound:
    """What a handler gets. It answers at most once, now or later; an answer to a closed connection goes nowhere.

    `deadline` is on this node's monotonic clock; `arrived` is when the bytes arrived, dated back over a stall.
    """

    __slots__ = ("arrived", "body", "deadline", "id", "link", "trace")

    def __init__(self, link: "Connection", id: int, body: Any, deadline: float, arrived: float) -> None:
        self.link = link
        self.id = id  # 0: one way, wants no answer
        self.body = body
        self.deadline = deadline
        self.arrived = arrived
        self.trace = ""

    @property
    def peer(self) -> Party:
        """Who sent it, as proven in the handshake."""
        peer = self.link.peer
        assert peer is not None
        return peer

    @property
    def sender(self) -> str:
        """The name of the node that sent it; empty for a client, whatever it calls itself."""
        peer = self.peer
        return peer.name if peer.role == ROLE_NODE else ""

    @property
    def role(self) -> str:
        """The role that the sender has proven."""
        return self.peer.role

    def push(self, body: Any) -> bool:
        """Send a one-way message back; False when it is dropped."""
        return self.link.push(body)

    def reply(self, body: Any) -> None:
        """Answer."""
        if self.id:
            link = self.link
            if link.cancels:
                link.cancels.pop(self.id, None)
            link.send(Reply(self.id, body))

    def fail(self, error: ClusterError) -> None:
        """Answer with an error; its code travels, and the other side finds the class again."""
        if self.id:
            self.link.cancels.pop(self.id, None)
            self.link.send(Failure(self.id, error.code, error.message))

    def on_cancel(self, function: Callable[[], None]) -> None:
        """Call when the sender no longer waits: it cancelled, or its connection ended."""
        if self.id:
            self.link.cancels[self.id] = function
