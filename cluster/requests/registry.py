"""Which nodes offer which service, and whether a call should go there.

Each node announces its own services as a fact of kind `services`; the state of an endpoint follows from the state of
its member. Failure detection only routes: a suspected node is passed over while another is ready, and asked when none
is. A node that drains is not asked. Pure; facts and states are passed in.
"""

from dataclasses import dataclass

import msgspec
from msgspec import Struct

from cluster.errors import BadMessage
from cluster.limits import SERVICES_MAX
from cluster.requests.description import describe
from cluster.requests.service import OPERATIONS_MAX, Definition

KIND = "services"
KIND_DRAIN = "drain"
"""The fact of a node that drains; its body is empty when it does not."""


class Offer(Struct, array_like=True, frozen=True):
    """What a node announces of one service: enough to route, the rest is asked of it."""

    version: int
    digest: str
    readonly: list[str]
    idempotent: list[str] = []
    """Those that are idempotent without being readonly."""


@dataclass(frozen=True)
class Endpoint:
    """A service on a node. `state`: ready, draining, ejected or unreachable, and the reason unless ready."""

    node: str
    state: str
    reason: str
    version: int
    digest: str


_STATES = {
    "alive": ("ready", ""),
    "suspect": ("unreachable", "suspected to be dead"),
    "dead": ("unreachable", "dead"),
    "leaving": ("draining", "leaving the cluster"),
    "left": ("unreachable", "left the cluster"),
}
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(dict[str, Offer]).decode


def offer(definition: Definition) -> Offer:
    """What is announced of a service."""
    traits = {name: one.traits for name, one in definition.operations.items()}
    readonly = [name for name, one in traits.items() if one.readonly]
    idempotent = [name for name, one in traits.items() if one.idempotent and not one.readonly]
    return Offer(definition.version, describe(definition)["digest"], readonly, idempotent)


def encode_offers(offers: dict[str, Offer]) -> bytes:
    """The fact's body."""
    return _encode(offers)


def decode_offers(body: bytes) -> dict[str, Offer]:
    """The offers of a node, by service; an empty body is void, and says none. Raises BadMessage."""
    if not body:
        return {}
    try:
        offers = _decode(body)
    except msgspec.DecodeError as error:
        raise BadMessage(f"not a table of services: {error}") from None
    if len(offers) > SERVICES_MAX or any(
        len(one.readonly) + len(one.idempotent) > OPERATIONS_MAX for one in offers.values()
    ):
        raise BadMessage("a table of services that breaks its limits")
    return offers


class Registry:
    """The endpoints of the cluster, as this node sees them."""

    def __init__(self) -> None:
        self._offers: dict[str, dict[str, Offer]] = {}  # by node, by service
        self._states: dict[str, str] = {}
        self._candidates: dict[str, tuple[str, ...]] = {}
        self._alive: tuple[str, ...] | None = None
        self._draining: dict[str, None] = {}

    def update(self, node: str, offers: dict[str, Offer], state: str) -> None:
        """Replace what a node offers; `state` is its member's."""
        self._offers[node] = offers
        self._states[node] = state
        self._changed()

    def set_state(self, node: str, state: str) -> None:
        """The member's state changed."""
        if node in self._offers:
            self._states[node] = state
            self._changed()

    def set_draining(self, node: str, draining: bool) -> None:
        """The node began or ended to drain."""
        if draining:
            self._draining[node] = None
        else:
            self._draining.pop(node, None)
        self._changed()

    def is_draining(self, node: str) -> bool:
        """Whether the node takes nothing new."""
        return node in self._draining

    def forget(self, node: str) -> None:
        """The member is gone for good."""
        self._offers.pop(node, None)
        self._draining.pop(node, None)
        self._states.pop(node, None)
        self._changed()

    def alive(self) -> tuple[str, ...]:
        """The nodes that announced something and are alive. Sorted."""
        if self._alive is None:
            self._alive = tuple(node for node, state in sorted(self._states.items()) if state == "alive")
        return self._alive

    def candidates(self, service: str) -> tuple[str, ...]:
        """The nodes to choose from: the ready ones, or the suspected ones when none is ready. Sorted."""
        found = self._candidates.get(service)
        if found is None:
            offering = [
                (node, self._states[node])
                for node, offers in sorted(self._offers.items())
                if service in offers and node not in self._draining
            ]
            ready = tuple(node for node, state in offering if state == "alive")
            found = ready or tuple(node for node, state in offering if state == "suspect")
            if found:  # what nobody offers is not kept: names come from callers
                self._candidates[service] = found
        return found

    def can_call(self, service: str, node: str) -> bool:
        """Whether this very node may be called: one that is suspected may be alive."""
        offers = self._offers.get(node)
        return (
            offers is not None
            and service in offers
            and self._states[node] in ("alive", "suspect")
            and node not in self._draining
        )

    def endpoints(self, service: str) -> list[Endpoint]:
        """Everyone who announced the service, dead or alive, sorted by node."""
        found = []
        for node, offers in sorted(self._offers.items()):
            one, state = offers.get(service), self._states[node]
            if one is not None:
                said, reason = _STATES.get(state, ("unreachable", state))
                if state in ("alive", "suspect") and node in self._draining:
                    said, reason = "draining", "it takes no new requests"
                found.append(Endpoint(node, said, reason, one.version, one.digest))
        return found

    def services(self) -> list[str]:
        """All names, sorted."""
        return sorted({service: None for offers in self._offers.values() for service in offers})

    def is_readonly(self, service: str, operation: str) -> bool:
        """Whether everyone who offers the service says that the operation changes nothing."""
        found = [offers[service] for offers in self._offers.values() if service in offers]
        return bool(found) and all(operation in one.readonly for one in found)

    def is_repeatable(self, service: str, operation: str) -> bool:
        """Whether everyone who offers the service says that the operation may be carried out twice."""
        found = [offers[service] for offers in self._offers.values() if service in offers]
        return bool(found) and all(operation in one.readonly or operation in one.idempotent for one in found)

    def _changed(self) -> None:
        self._candidates.clear()
        self._alive = None
