"""The descriptions of the cluster's services, each asked of a node that offers it, and kept by its digest."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from cluster.wire.admin import AdminAnswer, AdminQuery
from cluster.wire.handshake import LANE_CONTROL

if TYPE_CHECKING:
    from cluster.gateways.http.gateway import HttpApiSession, HttpGateway

DESCRIBE: Final = "describe"
DESCRIBE_S: Final = 2.0
"""For all nodes that are asked; a service whose nodes say nothing by then is left out."""

Description = dict[str, Any]


class Descriptions:
    """See the module."""

    def __init__(self, gateway: "HttpGateway") -> None:
        self._gateway = gateway
        self._kept: dict[str, Description] = {}  # by digest

    def find(self, session: "HttpApiSession", then: Callable[[dict[str, Description | None]], None]) -> None:
        """The newest version of each service that can be called, by name; None where no node says what it is."""
        registry, host = self._gateway.host.registry, self._gateway.host
        wanted: dict[str, str] = {}
        asked: list[tuple[str, int, str, list[str]]] = []
        for name in registry.services():
            endpoints = [one for one in registry.endpoints(name) if one.state != "unreachable"]
            if not endpoints:
                continue
            newest = max(endpoints, key=lambda one: one.version)
            wanted[name] = newest.digest
            if newest.digest not in self._kept:
                nodes = list(dict.fromkeys(one.node for one in endpoints if one.digest == newest.digest))
                nodes.sort(key=lambda node: node != host.node)  # this one needs no connection
                asked.append((name, newest.version, newest.digest, nodes))
        self._kept = {digest: one for digest, one in self._kept.items() if digest in wanted.values()}
        left = len(asked)

        def answered() -> None:
            nonlocal left
            left -= 1
            if left <= 0:
                then({name: self._kept.get(digest) for name, digest in wanted.items()})

        if not asked:
            answered()
        deadline = host.clock.now() + DESCRIBE_S
        for name, version, digest, nodes in asked:
            self._ask(session, {"service": name, "version": version}, digest, nodes, deadline, answered)

    def _ask(
        self, session: "HttpApiSession", arguments: dict[str, Any], digest: str, nodes: list[str], deadline: float,
        answered: Callable[[], None],
    ) -> None:  # fmt: skip
        """Ask one node after the other, until one has the description with this digest."""
        host = self._gateway.host
        left_s = deadline - host.clock.now()
        if not nodes or left_s <= 0:
            answered()
            return
        node, *others = nodes

        def heard(outcome: Any) -> None:
            said = outcome.value if isinstance(outcome, AdminAnswer) else outcome
            if isinstance(said, dict) and said.get("digest") == digest:
                self._kept[digest] = said
                answered()
            else:
                self._ask(session, arguments, digest, others, deadline, answered)

        if node == host.node:
            self._gateway.ask_node(session, DESCRIBE, arguments, heard, left_s)
        else:
            query = AdminQuery(DESCRIBE, arguments)
            host.messenger.request([node], query, deadline, lambda peer, outcome: heard(outcome), LANE_CONTROL)
