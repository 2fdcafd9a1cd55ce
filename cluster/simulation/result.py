"""An operation that somebody asked for in a simulation, and how it ended. A node takes it for an inbound request."""

from collections.abc import Callable
from typing import Any

from cluster.errors import ClusterError
from cluster.wire.frames import Body


class OpenLink:
    """The connection of a client that stays."""

    ended = False

    def __init__(self) -> None:
        self.on_close: list[Callable[[], None]] = []
        self.pushed: list[Any] = []

    def push(self, body: Any, small: bool = False) -> bool:
        """Remember what the node sends on its own."""
        self.pushed.append(body)
        return True


class SimulatedRequest:
    """An operation asked of a node: `body` or `error` once it has ended."""

    def __init__(self, body: Any, deadline: float, arrived: float = 0.0) -> None:
        self.asked = body
        self.body: Any = body
        self.deadline = deadline
        self.arrived = arrived
        self.link = OpenLink()
        self.trace = ""
        self.answer: Body | None = None
        self.error: ClusterError | None = None
        self.parts: list[bytes] = []
        """Of the answer: whoever asks here takes them at once."""
        self._credit: Callable[[int], None] | None = None

    @property
    def ended(self) -> bool:
        """Whether there is an answer."""
        return self.answer is not None or self.error is not None

    def reply(self, body: Body) -> None:
        """The node's answer."""
        assert not self.ended, "answered twice"
        self.answer = body

    def on_credit(self, function: Callable[[int], None]) -> None:
        """The answer will have parts."""
        self._credit = function

    def part(self, data: bytes) -> bool:
        """A part of the node's answer."""
        assert not self.ended and self._credit is not None
        self.parts.append(data)
        self._credit(len(data))
        return True

    def on_cancel(self, function: Callable[[], None]) -> None:
        """Nobody here cancels."""
        assert not self.ended, "answered already: it would be kept for as long as the connection"

    def fail(self, error: ClusterError) -> None:
        """The node's refusal."""
        assert not self.ended, "answered twice"
        self.error = error
