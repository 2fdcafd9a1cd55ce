"""What all families of the asyncio client stand on: a session over the callback core (`router`).

Coroutines here are futures over that core; whoever needs many thousand operations a second uses the core itself:
`AioSession.router`.
"""

# ruff: noqa: ASYNC109 - a timeout given here travels to the node as the deadline of the request

import asyncio
from functools import partial
from typing import Any, Self

from cluster.client.channel import Outcome
from cluster.client.gather import answer_value
from cluster.client.locate import Location, addresses
from cluster.client.router import Router
from cluster.config import CLIENT_TIMEOUT_S
from cluster.errors import ClusterError, Unreachable
from cluster.layout.entry import LayoutEntry
from cluster.wire.admin import Ask
from cluster.wire.frames import Body


class AioSession:
    """One cluster, asked with bodies of the wire. A context manager; see `aio.Client`."""

    def __init__(
        self, location: Location, via: str | None = None, timeout: float = CLIENT_TIMEOUT_S, seed: int | None = None
    ) -> None:
        self.location = location
        self.timeout = timeout
        self._via = via
        self._seed = seed
        self._router: Router | None = None

    async def __aenter__(self) -> Self:
        router = Router(self.location, self._via, self._seed)
        try:
            await router.start()
        except BaseException:
            await router.close()
            raise
        self._router = router
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the session. Operations that still wait end as lost; subscriptions end."""
        if self._router is not None:
            await self._router.close()

    @property
    def router(self) -> Router:
        """The callback core. Raises Unreachable when the session is not open."""
        if self._router is None or self._router.closed:
            raise Unreachable("this client is not connected: use `async with cluster.connect(...)`")
        return self._router

    async def call(
        self, body: Body, timeout: float | None = None, key: str | None = None, node: str | None = None
    ) -> Body:
        """The reply to `body` from an owner of `key`, from any node, or from `node`. Cancelling tells the node."""
        router = self.router
        future: asyncio.Future[Body] = router.loop.create_future()
        deadline = router.loop.time() + (self.timeout if timeout is None else timeout)
        operation = router.call(body, deadline, partial(_settle, future), key, node)
        try:
            return await future
        except asyncio.CancelledError:
            operation.cancel()
            raise

    async def gather(
        self, nodes: list[str] | None, body: Body, timeout: float | None = None
    ) -> dict[str, Body | ClusterError]:
        """What each of `nodes` (all, for None) answers to `body`, asked directly and all at once."""
        names = self.router.nodes if nodes is None else nodes
        outcomes = await asyncio.gather(*(self._outcome(body, timeout, name) for name in names))
        return dict(zip(names, outcomes, strict=True))

    async def _outcome(self, body: Body, timeout: float | None, node: str) -> Body | ClusterError:
        try:
            return await self.call(body, timeout, node=node)
        except ClusterError as error:
            return error

    async def ask(
        self, node: str | None, what: str, arguments: dict[str, Any] | None = None, timeout: float | None = None
    ) -> Any:
        """The answer of `node` (of any, for None) to the question `what`. Raises what the node answers with."""
        value = answer_value(await self.call(Ask(what, arguments or {}), timeout, node=node))
        if isinstance(value, ClusterError):
            raise value
        return value

    async def ask_all(
        self,
        nodes: list[str] | None,
        what: str,
        arguments: dict[str, Any] | None = None,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """What each of `nodes` (all, for None) answers, or the ClusterError why it did not; asked directly, at once."""
        outcomes = await self.gather(nodes, Ask(what, arguments or {}), timeout)
        return {name: answer_value(outcome) for name, outcome in outcomes.items()}

    def use_layout(self, entry: LayoutEntry) -> None:
        """Route by another layout entry from now on, for example after nodes were added."""
        nodes = addresses(entry)
        self.location = Location(self.location.name, self.location.secret, nodes, entry)
        self.router.use(nodes, entry)


def _settle(future: asyncio.Future[Body], outcome: Outcome) -> None:
    if future.done():
        return
    if isinstance(outcome, ClusterError):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
