"""Publish and subscribe through the blocking client. At most once: what is published while a subscription moves from a
lost node to another one is missed, and the subscription says so (`gaps`, and `gap` on the next message)."""

from time import monotonic
from typing import TYPE_CHECKING

from cluster.client.connection import BlockingConnection
from cluster.client.results import (
    PublishResult,
    TopicMessage,
    check_subject,
    check_value,
    expect,
    publish_result,
    topic_message,
)
from cluster.errors import ClusterError
from cluster.wire.topics import Message, Publish, Published, Subscribe, Subscribed

if TYPE_CHECKING:
    from cluster.client.blocking_session import BlockingSession


class BlockingTopics:
    """Messages to whoever listens now."""

    def __init__(self, cluster: "BlockingSession") -> None:
        self._cluster = cluster

    def publish(
        self, subject: str, payload: bytes, *, headers: dict[str, str] | None = None, timeout: float | None = None
    ) -> PublishResult:
        """Send a message towards every matching subscription."""
        check_subject(subject)
        check_value(payload)
        return publish_result(
            subject, expect(Published, self._cluster.call(Publish(subject, payload, headers=headers), timeout))
        )

    def subscribe(self, pattern: str, *, group: str = "", timeout: float | None = None) -> "BlockingSubscription":
        """Listen. When this returns, every live node knows of it. Of each `group`, one member gets a message."""
        check_subject(pattern)
        return BlockingSubscription(
            self._cluster, pattern, group, self._cluster.timeout if timeout is None else timeout
        )


class BlockingSubscription:
    """One subscription on a connection of its own; a context manager. `nodes` know of it."""

    def __init__(self, cluster: "BlockingSession", pattern: str, group: str, timeout: float) -> None:
        self.pattern = pattern
        self.group = group
        self.gaps = 0
        """How often the subscription moved to another node."""
        self.nodes = 0
        self._cluster = cluster
        self._timeout = timeout
        self._dropped = 0
        self._gap = False
        self._connection = self._register(monotonic() + timeout)

    def __enter__(self) -> "BlockingSubscription":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def node(self) -> str:
        """The node that delivers."""
        return self._connection.node

    @property
    def dropped(self) -> int:
        """Messages lost to bounded buffers, at the node and here."""
        return self._dropped + self._connection.dropped

    def next(self, timeout: float) -> TopicMessage | None:
        """The next message, or None after `timeout` seconds. Raises Unreachable when no node is left to listen at."""
        deadline = monotonic() + timeout
        while True:
            try:
                body = self._connection.next_push(max(0.0, deadline - monotonic()))
            except ClusterError:
                self._move()
                continue
            if body is None:
                return None
            if isinstance(body, Message):
                self._dropped += body.dropped
                gap, self._gap = self._gap, False
                return topic_message(body, gap)

    def close(self) -> None:
        """End the subscription; the node forgets it with the connection."""
        self._connection.close()

    def _move(self) -> None:
        lost = self._connection
        self._dropped += lost.dropped
        self._connection = self._register(monotonic() + self._timeout)
        self.gaps += 1
        self._gap = True

    def _register(self, deadline: float) -> BlockingConnection:
        connection = self._cluster.dial(deadline)
        try:
            reply = connection.request(Subscribe(1, self.pattern, self.group), max(0.001, deadline - monotonic()))
            self.nodes = expect(Subscribed, reply).nodes
        except BaseException:
            connection.close()
            raise
        return connection
