"""Requests over topics: each has an inbox of its own, where the first message that comes is its answer.

An inbox is a subject that begins with the name of its node, so a reply finds its way without any interest: nothing is
announced for it and nobody waits for a barrier. It lives as long as its request. Who answers is whoever listens; when
nobody does, the request fails at once.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from cluster.env import Clock, Timer
from cluster.errors import NoResponders
from cluster.ports import Inbound
from cluster.wire.topics import Message, TopicReply

if TYPE_CHECKING:
    from msgspec import Struct

INBOX = "_REPLY."
"""How the subjects of inboxes begin; the next token is the node. Clients of NATS have theirs under `_INBOX.`, of which
only they know."""


def inbox_node(subject: str) -> str:
    """The node that an inbox is at; empty for any other subject."""
    return subject.split(".", 2)[1] if subject.startswith(INBOX) else ""


class Inbox:
    """One request that waits: an `InboundLink` with one subscription."""

    def __init__(self, inbound: Inbound) -> None:
        self.on_close: list[Callable[[], None]] = []
        self.ended = False
        self.timer: Timer | None = None
        self._inbound = inbound

    def push(self, body: "Struct", small: bool = False) -> bool:
        """The answer, unless there was one already."""
        if self.ended or not isinstance(body, Message):
            return False
        self._inbound.reply(TopicReply(body.subject, body.payload, body.id, body.node, body.headers))
        self.close()
        return True

    def close(self) -> None:
        """Nobody waits any more."""
        if not self.ended:
            self.ended = True
            if self.timer is not None:
                self.timer.cancel()
            for function in self.on_close:
                function()


class Inboxes:
    """The inboxes of one node. `listen(subject, inbox)` delivers there until it closes; `token` is no other boot's."""

    def __init__(self, node: str, token: str, clock: Clock, listen: Callable[[str, Inbox], None]) -> None:
        self._prefix = f"{INBOX}{node}.{token}"
        self._clock = clock
        self._listen = listen
        self._count = 0

    def request(self, inbound: Inbound, publish: Callable[[str], int]) -> None:
        """Publish with a new inbox, and answer `inbound` with what comes there. `publish(reply)` returns towards how
        many it was sent, and may raise Usage."""
        self._count += 1
        subject = f"{self._prefix}-{self._count}"
        inbox = Inbox(inbound)
        self._listen(subject, inbox)
        inbox.timer = self._clock.call_at(inbound.deadline, inbox.close)  # its client has given it up by itself
        inbound.on_cancel(inbox.close)
        try:
            reached = publish(subject)
        except BaseException:
            inbox.close()
            raise
        if not reached:
            inbox.close()
            inbound.fail(NoResponders(f"nobody listens to {inbound.body.subject!r}"))
