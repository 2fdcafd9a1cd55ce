"""The blocking client: no event loop, no threads. What one-shot commands use, so its imports are counted.

The families of operations (`kv`, `topics`, `requests`, `admin`) are loaded when they are first used.
"""

from functools import cached_property
from typing import TYPE_CHECKING

from cluster.client.blocking_session import BlockingSession
from cluster.client.locate import Address, find
from cluster.config import CLIENT_TIMEOUT_S

if TYPE_CHECKING:
    from cluster.client.blocking_admin import BlockingAdmin
    from cluster.client.blocking_kv import BlockingKv
    from cluster.client.blocking_requests import BlockingRequests
    from cluster.client.blocking_topics import BlockingTopics


def connect_blocking(
    target: str | list[str] | list[Address] = "default",
    *,
    secret: bytes | None = None,
    cluster: str | None = None,
    via: str | None = None,
    timeout: float = CLIENT_TIMEOUT_S,
) -> "BlockingCluster":
    """A client of the cluster called `target`, or of the nodes at some addresses (with `secret`, and the cluster's name
    when it is not `default`). `via`: talk to this node only. `timeout` in seconds bounds each operation.

    Raises UnknownCluster, Damaged, Usage, or NotFound for an unknown `via`. Connects when the first operation needs it.
    """
    return BlockingCluster(find(target, secret, cluster), via, timeout)


class BlockingCluster(BlockingSession):
    """A session with one cluster: remembers contexts, keeps the connections that it made. For one thread at a time."""

    @cached_property
    def kv(self) -> "BlockingKv":
        """The key-value store."""
        from cluster.client.blocking_kv import BlockingKv

        return BlockingKv(self)

    @cached_property
    def topics(self) -> "BlockingTopics":
        """Publish and subscribe."""
        from cluster.client.blocking_topics import BlockingTopics

        return BlockingTopics(self)

    @cached_property
    def requests(self) -> "BlockingRequests":
        """Calls of services."""
        from cluster.client.blocking_requests import BlockingRequests

        return BlockingRequests(self)

    @cached_property
    def admin(self) -> "BlockingAdmin":
        """Questions about the cluster itself."""
        from cluster.client.blocking_admin import BlockingAdmin

        return BlockingAdmin(self)
