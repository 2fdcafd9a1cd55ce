"""What a node gives its gateways: its own operations, its topics, its view of the others. Nothing is decided here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec

from cluster.chain.queue import Queue
from cluster.env import Address, Clock, Network
from cluster.errors import BadMessage, ClusterError
from cluster.layout import LayoutView
from cluster.messaging.topics import NodeTopics
from cluster.ports import Facts, Inbound, Messenger, Recorder
from cluster.requests.registry import Registry

if TYPE_CHECKING:
    from random import Random

FACT = "gateways"
"""Under this kind a node announces where its gateways listen: msgpack, host and port by the gateway's name."""

_encode_fact = msgspec.msgpack.Encoder().encode
_decode_fact = msgspec.msgpack.Decoder(dict[str, Address]).decode


@dataclass(frozen=True, slots=True)
class GatewayPorts:
    """Where one gateway of a node listens."""

    port: int
    shared: int = 0
    """The port that all nodes of the machine share, for clients that know one address; 0: there is none."""


class GatewayAddresses:
    """Where the gateways of all nodes listen: one fact a node, of all that it has."""

    def __init__(self, facts: Facts, alive: Callable[[], list[str]]) -> None:
        self._facts = facts
        self._alive = alive
        self._here: dict[str, Address] = {}
        self._watchers: list[Callable[[], None]] = []
        facts.on_fact.append(self._on_fact)
        facts.on_change.append(self._on_change)

    def set(self, name: str, at: Address | None) -> None:
        """This node's gateway of that name listens there, or (None) no more."""
        if at is None:
            self._here.pop(name, None)
        else:
            self._here[name] = at
        self._facts.announce(FACT, _encode_fact(self._here))

    def peers(self, name: str) -> dict[str, Address]:
        """Where the gateways of that name of all live members listen, by node."""
        alive, found = self._alive(), dict[str, Address]()
        for node, body in sorted(self._facts.facts(FACT).items()):
            if node in alive and body:
                try:
                    at = _decode_fact(body).get(name)
                except msgspec.DecodeError as error:
                    raise BadMessage(f"{node} does not say where its gateways are: {error}") from None
                if at is not None:
                    found[node] = at
        return found

    def watch(self, function: Callable[[], None]) -> None:
        """Call when `peers` may have changed."""
        if function not in self._watchers:
            self._watchers.append(function)

    def _on_fact(self, node: str, kind: str, body: bytes) -> None:
        if kind == FACT:
            self._changed()

    def _on_change(self, node: str, old: str, new: str) -> None:
        self._changed()

    def _changed(self) -> None:
        for function in self._watchers:
            function()


@dataclass(frozen=True)
class GatewayHost:
    """One node, as its gateways see it."""

    node: str
    id: str
    cluster: str
    address: str
    """The host that it listens on."""
    password: str
    clock: Clock
    random: "Random"
    network: Network
    record: Recorder
    messenger: Messenger
    handlers: Mapping[type, Callable[[Inbound], None]]
    """Who takes a message of a type from a gateway."""
    topics: NodeTopics
    addresses: "GatewayAddresses"
    registry: Registry
    """Who offers which service, as this node sees it."""
    offers: Callable[[str], bool]
    """Whether a service of that name can be called."""
    view: LayoutView
    alive: Callable[[], list[str]]
    empty_bucket: Callable[[str, float, Callable[[ClusterError | None], None]], None]
    """`(name, deadline, done)`: by an entry of the chain, all that a bucket holds ends."""
    queues: Callable[[], Mapping[str, Queue]]
    """The queues that are defined, as this node has them."""
    admin: Callable[[Inbound], None]
    """Answers the admin queries about queues, and what a service is. Raises Forbidden for any other."""


class Gateway(Protocol):
    """One protocol at one node."""

    def start(self) -> None:
        """Listen, unless the node drains, and announce where. Raises OSError when a port is taken."""

    def stop(self) -> None:
        """Close everything."""

    def drain(self, draining: bool) -> None:
        """Accept nobody and let go of the clients, or take some again."""

    @property
    def in_flight(self) -> int:
        """How much the node has to finish."""

    def status(self) -> dict[str, int]:
        """Its ports, how many clients it has, and for how many more there are places."""


def make_gateways(host: GatewayHost, ports: Mapping[str, GatewayPorts]) -> dict[str, Gateway]:
    """The gateways of a node, by name; a node without one does not load its code."""
    gateways: dict[str, Gateway] = {}
    if "http" in ports:
        from cluster.gateways.http.gateway import HttpGateway

        gateways["http"] = HttpGateway(host, ports["http"])
    if "nats" in ports:
        from cluster.gateways.nats.gateway import NatsGateway

        gateways["nats"] = NatsGateway(host, ports["nats"])
    if "redis" in ports:
        from cluster.gateways.redis.gateway import RedisGateway

        gateways["redis"] = RedisGateway(host, ports["redis"])
    if "sqs" in ports:
        from cluster.gateways.sqs.gateway import SqsGateway

        gateways["sqs"] = SqsGateway(host, ports["sqs"])
    return gateways
