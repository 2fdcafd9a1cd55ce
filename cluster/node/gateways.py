"""What a node gives its gateways, which decide nothing: its own operations, bounded by what a client of one may ask."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cluster.chain.entry import ChainEntry
from cluster.errors import ClusterError, Forbidden
from cluster.gateways.host import GatewayAddresses, GatewayHost
from cluster.ports import Inbound
from cluster.wire.rights import ROLE_GATEWAY, gateway_password

if TYPE_CHECKING:
    from cluster.node.node import Node

GATEWAY_QUERIES: Final = frozenset(("queues", "create-queue", "alter-queue", "delete-queue", "purge-queue", "describe"))
"""Admin queries that a gateway may pass on: what its clients may do to queues, and what a service is."""


def gateway_host(node: "Node", secret: bytes) -> GatewayHost:
    """A node as its gateways see it. It has its services; what it answers may come later."""

    def empty_bucket(name: str, deadline: float, done: Callable[[ClusterError | None], None]) -> None:
        def decided(outcome: ChainEntry | ClusterError, late: list[str]) -> None:
            # Whoever is not there yet takes it over as soon as it is met: that is no error.
            done(outcome if isinstance(outcome, ClusterError) else None)

        node.answers.buckets.empty(name, deadline, decided)

    def query(inbound: Inbound) -> None:
        if inbound.body.what not in GATEWAY_QUERIES:
            raise Forbidden(f"a gateway may not ask {inbound.body.what!r}")
        node.answers.answer(inbound)

    return GatewayHost(
        node=node.member.name,
        id=node.boot.id,
        cluster=node.view.entry.cluster,
        address=node.member.host,
        password=gateway_password(secret),
        clock=node.env.clock,
        network=node.env.network,
        record=node.events.record,
        random=node.env.random,
        messenger=node.rpc,
        handlers=node.rpc.handlers_of(ROLE_GATEWAY),
        topics=node.topics,
        addresses=GatewayAddresses(node.membership, node.membership.alive),
        registry=node.requests.registry,
        offers=lambda service: bool(node.requests.registry.candidates(service)),
        view=node.view,
        alive=node.membership.alive,
        empty_bucket=empty_bucket,
        queues=lambda: node.layouts.chain.entry.queues,
        admin=query,
    )
