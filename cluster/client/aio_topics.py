"""Publish and subscribe through the asyncio client."""

# ruff: noqa: ASYNC109 - a timeout given here travels to the node as the deadline of the request

from typing import TYPE_CHECKING

from cluster.client.results import PublishResult, check_subject, check_value, expect, publish_result
from cluster.client.subscription import BUFFER, Subscription
from cluster.wire.topics import Publish, Published

if TYPE_CHECKING:
    from cluster.client.aio_session import AioSession


class Topics:
    """Messages to whoever listens now."""

    def __init__(self, client: "AioSession") -> None:
        self._client = client

    async def publish(
        self, subject: str, payload: bytes, *, headers: dict[str, str] | None = None, timeout: float | None = None
    ) -> PublishResult:
        """Send a message towards every matching subscription."""
        check_subject(subject)
        check_value(payload)
        body = Publish(subject, payload, headers=headers)
        return publish_result(subject, expect(Published, await self._client.call(body, timeout)))

    def subscribe(
        self, pattern: str, *, group: str = "", buffer: int = BUFFER, timeout: float | None = None
    ) -> Subscription:
        """Listen: `async for message in subscribe(...)`, or `async with` to be registered before going on.

        Of each `group`, one member gets a message. `buffer` messages wait for the reader; the oldest are dropped first.
        """
        check_subject(pattern)
        limit = self._client.timeout if timeout is None else timeout
        return Subscription(self._client.router, pattern, group, buffer, limit)
