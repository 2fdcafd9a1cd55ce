"""How a node has the weights of a service's versions decided."""

from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from cluster.chain.entry import ChainEntry, with_weights
from cluster.errors import NotFound
from cluster.node.definitions import Definitions, answering
from cluster.ports import Inbound
from cluster.wire.admin import read_arguments

if TYPE_CHECKING:
    from cluster.node.node import Node


class WeightQuery(Struct, forbid_unknown_fields=True):
    """The weights of a service in percent, by version; none: evenly by endpoint. `id` names the change."""

    service: str
    weights: dict[str, float] = {}
    id: str = ""


class ServiceWeights:
    """One node's answer."""

    def __init__(self, node: "Node", definitions: Definitions) -> None:
        self._node = node
        self._definitions = definitions

    def weigh(self, arguments: dict[str, Any], inbound: Inbound) -> None:
        """Share the calls of a service by its versions, and answer once all live members do, with those that do not yet
        (`late`), and the versions that nobody offers yet (`absent`). Raises NotFound for a service that nobody has
        announced, or Usage."""
        query = read_arguments(arguments, WeightQuery)
        service, entry = query.service, self._node.layouts.chain.entry
        endpoints = self._node.requests.registry.endpoints(service)
        if not endpoints and not (service in entry.weights and not query.weights):
            raise NotFound(
                f"no live node offers a service {service!r}", help="`dsectl services` lists those there are."
            )
        weights = {int(version): share for version, share in query.weights.items() if version.isdecimal()}
        absent = sorted(weights.keys() - {one.version for one in endpoints})

        def answer(entry: ChainEntry) -> dict[str, Any]:
            shares = entry.weights.get(service, {})
            return {"service": service, "weights": {str(one): share for one, share in shares.items()}, "absent": absent}

        change = partial(with_weights, service=service, shares=weights)
        self._definitions.decide(change, query.id, inbound.deadline, answering(inbound, answer))
