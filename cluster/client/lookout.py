"""Asking every node again and again over streams that stay open: what a live view does.

A handshake for every look would cost a node more than the look. A node that keeps silent holds up nobody: a round ends
with its time, and the node is asked anew in the next, over the same stream, so that it is heard at once when it wakes.
"""

from collections.abc import Mapping
from time import monotonic
from typing import Any

from cluster.client.gather import answer_value
from cluster.client.link import Link, client_party, turn
from cluster.client.locate import Address, Location
from cluster.errors import DeadlinePassed, Unreachable, from_code
from cluster.wire.admin import Ask
from cluster.wire.frames import Failure, Reply, Request
from cluster.wire.handshake import Party

UNANSWERED_MAX = 32
"""Rounds that a node may miss on one stream. Questions to a paused node pile up in its kernel: a few hundred bytes."""


class Lookout:
    """One stream to each node of a cluster. For one thread at a time."""

    def __init__(self, location: Location) -> None:
        self.location = location
        me = client_party(location.name)
        self._posts = {name: _Post(name, address, location, me) for name, address in location.nodes.items()}

    def look(self, what: str, arguments: Mapping[str, dict[str, Any]], timeout: float) -> dict[str, Any]:
        """What each node answers to `what` (with its own arguments, if it is named) within `timeout` seconds, or the
        ClusterError why it did not."""
        deadline = monotonic() + timeout
        for name, post in self._posts.items():
            post.begin(Ask(what, arguments.get(name, {})))
        while True:
            for post in self._posts.values():
                post.advance(self.location.layout, timeout)
            remaining = deadline - monotonic()
            waiting = [post.link for post in self._posts.values() if post.outcome is None]
            if not waiting or remaining <= 0:
                break
            turn(waiting, remaining)
        return {name: post.finish() for name, post in self._posts.items()}

    def close(self) -> None:
        """End the streams."""
        for post in self._posts.values():
            post.link.close()


class _Post:
    """One node: its stream, and the question of this round."""

    def __init__(self, name: str, address: Address, location: Location, me: Party) -> None:
        self.name = name
        self.address = address
        self.location = location
        self.me = me
        self.link = Link(name, address, location.secret, me)
        self.ask = Ask("")
        self.id = 0
        self.sent = False
        self.unanswered = 0
        self.outcome: Any = None

    def begin(self, ask: Ask) -> None:
        """A new round: dial again if the stream ended, or was silent for too long."""
        if self.link.error is not None or self.unanswered >= UNANSWERED_MAX:
            self.link.close()
            self.link = Link(self.name, self.address, self.location.secret, self.me)
            self.unanswered = 0
        self.ask = ask
        self.id += 1
        self.sent, self.outcome = False, None

    def advance(self, layout: int, timeout: float) -> None:
        """Send the question when the stream is ready; take the answer, or the stream's end. An answer to a question of
        an earlier round came too late and says what was then."""
        if self.outcome is not None:
            return
        if not self.sent and self.link.ready and self.link.error is None:
            self.sent = True
            self.link.push(Request(self.id, max(1, int(timeout * 1000)), layout, self.ask))
        for frame in self.link.inbox:
            if isinstance(frame, Reply) and frame.id == self.id:
                self.outcome = answer_value(frame.body)
            elif isinstance(frame, Failure) and frame.id == self.id:
                self.outcome = from_code(frame.code, frame.message)
        self.link.inbox.clear()
        if self.outcome is None:
            self.outcome = self.link.error

    def finish(self) -> Any:
        """The answer of this round."""
        if self.outcome is not None:
            self.unanswered = 0
            return self.outcome
        self.unanswered += 1
        if self.sent:
            return DeadlinePassed(f"{self.name} did not answer in time")
        return Unreachable(f"{self.name}: silent")
