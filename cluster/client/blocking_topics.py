"""Publish and subscribe through the blocking client: the waiting that `topics.Listening` leaves out."""

from time import monotonic

from cluster.client.blocking import BlockingSession
from cluster.client.operation import check_timeout, check_wait
from cluster.client.topics import BUFFER, Listening, Publishing, SubscriptionFigures, TopicMessage
from cluster.errors import DeadlinePassed, Unreachable


class BlockingTopics(Publishing[BlockingSession]):
    """Messages to whoever listens now."""

    def subscribe(
        self, pattern: str, *, group: str = "", buffer: int = BUFFER, timeout: float | None = None
    ) -> "BlockingSubscription":
        """Listen. When this returns, every live node knows of it. Of each `group`, one member gets a message."""
        limit = check_timeout(timeout) or self._session.timeout
        return BlockingSubscription(self._session, pattern, group, buffer, limit)


class BlockingSubscription(SubscriptionFigures):
    """One subscription; a context manager. Messages come while the session waits for something, and wait for `next`."""

    def __init__(self, session: BlockingSession, pattern: str, group: str, buffer: int, timeout: float) -> None:
        self._session = session
        with session.in_use():
            session.check_open()
            self._router = router = session.router
            self._listening = listening = Listening(
                router, session.now, session.call_later, pattern, group, timeout, buffer=buffer, move_s=timeout
            )
            listening.start()
            session.wait(lambda: listening.settled, monotonic() + timeout + 1.0)
            if listening.error is not None:
                raise listening.error
            if not listening.settled:
                listening.close()
                raise DeadlinePassed(f"no node took the subscription to {pattern!r} in time")

    def __enter__(self) -> "BlockingSubscription":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def next(self, timeout: float | None = None) -> TopicMessage | None:
        """The next message, or None after `timeout` seconds, or at the end. Raises Unreachable when no node is left to
        listen at, also in a process that was forked since: it has no subscription."""
        listening, limit = self._listening, check_wait(timeout)
        with self._session.in_use():
            if self._session.router is not self._router and not listening.over:
                raise Unreachable("this subscription has ended with its connection")
            self._session.wait(lambda: listening.readable, monotonic() + limit)
            return listening.pop()

    def close(self) -> None:
        """End the subscription."""
        with self._session.in_use():
            if self._session.router is self._router:
                self._listening.close()
                self._session.wait(lambda: True, 0.0)
