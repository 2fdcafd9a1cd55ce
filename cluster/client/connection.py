"""A blocking connection to one node: one request at a time, and the messages that the node pushes."""

from collections import deque
from time import monotonic

from cluster.client.certainty import GRACE_S, expired, lost
from cluster.client.link import DIAL_S, Link, open_first, turn
from cluster.client.locate import Address
from cluster.errors import BadMessage, Unreachable, from_code
from cluster.wire.frames import Body, Cancel, Failure, OneWay, Reply, Request
from cluster.wire.handshake import Party

PUSHES_MAX = 8192
"""Messages kept for `next_push`; the oldest are dropped first, and counted."""


class BlockingConnection:
    """A proven connection. Raises Unreachable or HandshakeRefused when it cannot be made: nothing was sent then."""

    def __init__(
        self, address: Address, secret: bytes, party: Party, *, name: str = "", timeout: float = DIAL_S
    ) -> None:
        targets = {name or f"{address[0]}:{address[1]}": address}
        self._use(open_first(targets, party.cluster, secret, party, monotonic() + timeout))

    @classmethod
    def over(cls, link: Link) -> "BlockingConnection":
        """A connection over a link that is ready."""
        connection = cls.__new__(cls)
        connection._use(link)
        return connection

    def _use(self, link: Link) -> None:
        assert link.peer is not None
        self.node = link.peer.name
        self.dropped = 0
        self._link = link
        self._last_id = 0
        self._pushes: deque[Body] = deque()

    def request(self, body: Body, timeout: float, layout: int = 0, trace: str = "") -> Body:
        """The reply to `body`, or the ClusterError of the Failure that answered it.

        Otherwise Unreachable (definite: not sent whole), or for what was sent: Maybe for a write, and Unreachable or
        DeadlinePassed for a read. A request without an answer ends the connection.
        """
        self._last_id += 1
        id, deadline = self._last_id, monotonic() + timeout + GRACE_S
        self.raise_if_ended()
        end = self._link.push(Request(id, max(1, int(timeout * 1000)), layout, body, trace))
        while True:
            for frame in self._take():
                if isinstance(frame, Reply) and frame.id == id:
                    return frame.body
                if isinstance(frame, Failure) and frame.id == id:
                    raise from_code(frame.code, frame.message)
            remaining = deadline - monotonic()
            if self._link.error is None and remaining > 0:
                turn((self._link,), remaining)
                continue
            self._give_up(body, id, end)

    def _give_up(self, body: Body, id: int, end: int) -> None:
        error, sent = self._link.error, self._link.written >= end
        if error is None and sent:
            self._link.push(Cancel(id))
        self.close()
        if not sent:
            raise Unreachable(f"{self.node}: the request could not be sent")
        raise expired(body, self.node) if error is None else lost(body, self.node, error.message)

    def oneway(self, body: Body, timeout: float = DIAL_S) -> None:
        """Send a body that wants no answer. Raises Unreachable when it could not be given to the kernel in time."""
        self.raise_if_ended()
        end, deadline = self._link.push(OneWay(body)), monotonic() + timeout
        while self._link.written < end:
            remaining = deadline - monotonic()
            if self._link.error is not None or remaining <= 0:
                self.close()
                raise Unreachable(f"{self.node}: the message could not be sent")
            turn((self._link,), remaining)

    def next_push(self, timeout: float) -> Body | None:
        """The next body that the node sent on its own, or None after `timeout` seconds. Raises how the stream ended."""
        deadline = monotonic() + timeout
        while not self._pushes:
            self._take()
            if self._pushes:
                break
            remaining = deadline - monotonic()
            if self._link.error is not None:
                raise self._link.error
            if remaining <= 0:
                return None
            turn((self._link,), remaining)
        return self._pushes.popleft()

    def raise_if_ended(self) -> None:
        """Raise Unreachable when the node has closed the connection meanwhile: nothing is then sent into the void."""
        turn((self._link,), 0.0)
        if self._link.error is not None:
            raise Unreachable(self._link.error.message)

    def _take(self) -> list[Reply | Failure]:
        """The replies that have come; pushes go to their queue."""
        replies: list[Reply | Failure] = []
        frames, self._link.inbox = self._link.inbox, []
        for frame in frames:
            if isinstance(frame, OneWay):
                self._keep(frame.body)
            elif isinstance(frame, Reply | Failure):
                replies.append(frame)
            else:
                self._link.fail(BadMessage(f"{self.node} sent a frame that only clients send"))
        return replies

    def _keep(self, body: Body) -> None:
        if len(self._pushes) >= PUSHES_MAX:
            self._pushes.popleft()
            self.dropped += 1
        self._pushes.append(body)

    @property
    def ended(self) -> bool:
        """Whether the connection is over."""
        return self._link.error is not None

    def close(self) -> None:
        """End the connection."""
        self._link.close()
