"""What all families of the blocking client stand on: connections made when needed, and a question put to a node.

It asks the nodes in the layout's order and stays with the first that answers. It does not compute owners: the nodes
forward, and one hop more costs less than loading the placement. A write that was sent is never sent again.
"""

from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING, Any

from cluster.client.certainty import READ_ATTEMPT_S, may_go_elsewhere, nobody
from cluster.client.connection import BlockingConnection
from cluster.client.gather import answer_value, gather
from cluster.client.link import client_party, open_first
from cluster.client.locate import Address, Location
from cluster.config import CLIENT_TIMEOUT_S
from cluster.errors import ClusterError, NotFound, Unreachable
from cluster.wire.admin import Ask
from cluster.wire.frames import Body
from cluster.wire.kv import Get

if TYPE_CHECKING:
    from typing import Self

    from cluster.client.contexts import Contexts


class BlockingSession:
    """One cluster, asked with bodies of the wire; keeps the connections that it made. For one thread at a time."""

    def __init__(self, location: Location, via: str | None = None, timeout: float = CLIENT_TIMEOUT_S) -> None:
        self.location = location
        self.timeout = timeout
        self.party = client_party(location.name)
        self._nodes = location.nodes if via is None else self.addresses([via])
        self._open: dict[str, BlockingConnection] = {}

    @cached_property
    def contexts(self) -> "Contexts":
        """What this session has seen of each key; another client of the same session may be given it, too."""
        from cluster.client.contexts import Contexts

        return Contexts()

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all connections."""
        for connection in self._open.values():
            connection.close()
        self._open.clear()

    def addresses(self, nodes: list[str] | None) -> dict[str, Address]:
        """Where each of `nodes` (all, for None) listens. Raises NotFound."""
        if nodes is None:
            return dict(self.location.nodes)
        for node in nodes:
            if node not in self.location.nodes:
                raise NotFound(f"cluster {self.location.name!r} has no node called {node!r}")
        return {node: self.location.nodes[node] for node in nodes}

    def call(self, body: Body, timeout: float | None = None, node: str | None = None) -> Body:
        """The reply to `body` from any node, or from `node` only. Goes to another node while that is harmless."""
        deadline = monotonic() + (self.timeout if timeout is None else timeout)
        left = dict(self._nodes) if node is None else self.addresses([node])
        errors: dict[str, ClusterError] = {}
        while left and (monotonic() < deadline or not errors):
            name, connection = self._connection(left, errors, deadline)
            del left[name]
            remaining = max(0.001, deadline - monotonic())
            if left and type(body) is Get:
                remaining = min(remaining, READ_ATTEMPT_S)
            try:
                return connection.request(body, remaining, self.location.layout)
            except ClusterError as error:
                if connection.ended:
                    self._open.pop(name, None)
                if not may_go_elsewhere(body, error):
                    raise
                errors[name] = error
        raise nobody(self.location.name, errors)

    def _connection(
        self, left: dict[str, Address], errors: dict[str, ClusterError], deadline: float
    ) -> tuple[str, BlockingConnection]:
        """An open connection to one of `left`, or a new one."""
        for name in [name for name in self._open if name in left]:
            try:
                self._open[name].raise_if_ended()
                return name, self._open[name]
            except Unreachable:
                del self._open[name]
        location = self.location
        try:
            link = open_first(left, location.name, location.secret, self.party, deadline)
        except ClusterError as error:
            raise nobody(location.name, errors | {"": error}) from None
        self._open[link.name] = BlockingConnection.over(link)
        return link.name, self._open[link.name]

    def dial(self, deadline: float) -> BlockingConnection:
        """A connection of its own to the first node that answers; the caller closes it."""
        location = self.location
        return BlockingConnection.over(open_first(self._nodes, location.name, location.secret, self.party, deadline))

    def gather(
        self, nodes: list[str] | None, body: Body, timeout: float | None = None, retry_s: float | None = None
    ) -> dict[str, Body | ClusterError]:
        """What each of `nodes` (all, for None) answers to `body`, asked directly and all at once."""
        limit = self.timeout if timeout is None else timeout
        targets = self.addresses(nodes)
        return gather(targets, self.location.secret, self.party, body, limit, self.location.layout, retry_s)

    def ask(
        self, node: str | None, what: str, arguments: dict[str, Any] | None = None, timeout: float | None = None
    ) -> Any:
        """The answer of `node` (of any, for None) to the question `what`. Raises what the node answers with."""
        value = answer_value(self.call(Ask(what, arguments or {}), timeout, node))
        if isinstance(value, ClusterError):
            raise value
        return value

    def ask_all(
        self,
        nodes: list[str] | None,
        what: str,
        arguments: dict[str, Any] | None = None,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """What each of `nodes` (all, for None) answers, or the ClusterError why it did not; asked directly, at once."""
        outcomes = self.gather(nodes, Ask(what, arguments or {}), timeout)
        return {name: answer_value(outcome) for name, outcome in outcomes.items()}
