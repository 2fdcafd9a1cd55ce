"""Questions about the cluster itself through the asyncio client. One node's view, unless all are asked."""

# ruff: noqa: ASYNC109 - a timeout given here travels to the node as the deadline of the request

from typing import TYPE_CHECKING, Any

from cluster.errors import ClusterError

if TYPE_CHECKING:
    from cluster.client.aio_session import AioSession


class Admin:
    """Each method asks `node`, or the first that answers. `ask_all` asks every node directly, never through peers."""

    def __init__(self, client: "AioSession") -> None:
        self._client = client

    async def ask(
        self, node: str | None, what: str, arguments: dict[str, Any] | None = None, timeout: float | None = None
    ) -> Any:
        """The answer to `what`; see `AioSession.ask`."""
        return await self._client.ask(node, what, arguments, timeout)

    async def ask_all(
        self,
        nodes: list[str] | None,
        what: str,
        arguments: dict[str, Any] | None = None,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """What each node answers, or its ClusterError; see `AioSession.ask_all`."""
        return await self._client.ask_all(nodes, what, arguments, timeout)

    async def members(self, *, node: str | None = None) -> Any:
        """The membership table, by name."""
        return await self.ask(node, "members")

    async def matrix(self, *, timeout: float | None = None) -> dict[str, Any]:
        """Each node's membership table, by observer; silent observers are left out."""
        answers = await self.ask_all(None, "members", timeout=timeout)
        return {name: answer for name, answer in answers.items() if not isinstance(answer, ClusterError)}

    async def status(self, *, node: str | None = None) -> Any:
        """The node's own state."""
        return await self.ask(node, "status")

    async def ring(self, *, node: str | None = None) -> Any:
        """Partitions with owners and fallbacks."""
        return await self.ask(node, "ring")

    async def explain(self, key: str, *, node: str | None = None) -> Any:
        """Where a key lives and what the node holds of it."""
        return await self.ask(node, "explain", {"key": key})

    async def events(self, *, node: str | None = None, **filters: Any) -> Any:
        """Decisions that the node recorded; `filters` are since, kind, key, limit."""
        return await self.ask(node, "events", filters)

    async def health(self, *, node: str | None = None) -> Any:
        """Whether the node is healthy, with reasons."""
        return await self.ask(node, "health")

    async def hints(self, *, node: str | None = None) -> Any:
        """Copies that wait at the node for an owner to return."""
        return await self.ask(node, "hints")

    async def patterns(self, *, node: str | None = None) -> Any:
        """The patterns that somebody listens to, with the number of subscribers."""
        return await self.ask(node, "patterns")

    async def services(self, *, node: str | None = None) -> Any:
        """Services and their endpoints."""
        return await self.ask(node, "services")

    async def describe(self, service: str, *, node: str | None = None) -> Any:
        """The operations and schemas of a service."""
        return await self.ask(node, "describe", {"service": service})

    async def metrics(self, *, node: str | None = None) -> Any:
        """Counters of one node."""
        return await self.ask(node, "metrics")
