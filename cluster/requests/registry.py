"""Which endpoints offer which service, and whether a call may go there.

Each node announces its own services, and those of the workers beside it, as a fact of kind `services`; several versions
of a service stand side by side. The state of an endpoint follows from the state of its member and from what its node
says of its workers. Failure detection only routes: a suspected node is passed over while another is ready, and called
when none is. A node that drains is not called. What this node has seen of an endpoint itself is the affair of `pool`.
Pure; facts and states are passed in.
"""

from dataclasses import dataclass

import msgspec
from msgspec import Struct

from cluster.errors import BadMessage
from cluster.limits import SERVICES_MAX, WORKERS_MAX
from cluster.requests.description import describe
from cluster.requests.service import OPERATIONS_MAX, Definition

KIND = "services"
KIND_DRAIN = "drain"
"""The fact of a node that drains; its body is empty when it does not."""
AWAY_DRAINING = "draining"


class Offer(Struct, array_like=True, frozen=True):
    """What a node announces of one version of a service: enough to route, the rest is asked of it."""

    version: int
    digest: str
    readonly: list[str]
    idempotent: list[str] = []
    """Those that are idempotent without being readonly."""
    workers: list[int] = msgspec.field(default_factory=lambda: [0])
    """Who runs it; 0 is the node itself."""
    away: dict[int, str] = {}
    """Those of them that are not to be called now, and why: `AWAY_DRAINING`, or what is wrong with them."""


Offers = dict[str, list[Offer]]
"""Of one node, by service."""


@dataclass(frozen=True)
class Endpoint:
    """One version of a service, in a node or in a worker beside it. `state`: ready, draining, ejected or unreachable,
    and the reason unless ready."""

    name: str
    """`n2`, or `n2/1`."""
    node: str
    worker: int
    version: int
    digest: str
    state: str
    reason: str


_STATES = {
    "alive": ("ready", ""),
    "suspect": ("unreachable", "suspected to be dead"),
    "dead": ("unreachable", "dead"),
    "leaving": ("draining", "leaving the cluster"),
}
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Offers).decode


def offer(definition: Definition) -> Offer:
    """What is announced of a version of a service that a node, or a worker, runs itself."""
    traits = {name: one.traits for name, one in definition.operations.items()}
    readonly = [name for name, one in traits.items() if one.readonly]
    idempotent = [name for name, one in traits.items() if one.idempotent and not one.readonly]
    return Offer(definition.version, describe(definition)["digest"], readonly, idempotent)


def joined(by_worker: dict[int, list[tuple[str, Offer]]], away: dict[int, str]) -> Offers:
    """The offers of a node, from what each of its workers (0: the node itself) offers: `(service, offer)`."""
    found: dict[tuple[str, int, str], Offer] = {}
    for worker, offers in by_worker.items():
        for service, one in offers:
            key = (service, one.version, one.digest)
            before = found.get(key)
            workers = [worker] if before is None else [*before.workers, worker]
            gone = {other: away[other] for other in workers if other in away}
            found[key] = msgspec.structs.replace(one, workers=workers, away=gone)
    made: Offers = {}
    for (service, _, _), one in found.items():
        made.setdefault(service, []).append(one)
    return made


def encode_offers(offers: Offers) -> bytes:
    """The fact's body."""
    return _encode(offers)


def decode_offers(body: bytes) -> Offers:
    """The offers of a node, by service; an empty body is void, and says none. Raises BadMessage."""
    if not body:
        return {}
    try:
        offers = _decode(body)
    except msgspec.DecodeError as error:
        raise BadMessage(f"not a table of services: {error}") from None
    if sum(map(len, offers.values())) > SERVICES_MAX or any(
        len(one.readonly) + len(one.idempotent) > OPERATIONS_MAX or len(one.workers) > WORKERS_MAX + 1
        for versions in offers.values()
        for one in versions
    ):
        raise BadMessage("a table of services that breaks its limits")
    return offers


class Registry:
    """The endpoints of the cluster, as this node sees them."""

    def __init__(self) -> None:
        self.generation = 0
        """Raised by every change."""
        self._offers: dict[str, Offers] = {}  # by node
        self._states: dict[str, str] = {}
        self._draining: dict[str, None] = {}

    def update(self, node: str, offers: Offers, state: str) -> None:
        """Replace what a node offers; `state` is its member's."""
        self._offers[node] = offers
        self._states[node] = state
        self.generation += 1

    def set_state(self, node: str, state: str) -> None:
        """The member's state changed."""
        if node in self._offers:
            self._states[node] = state
            self.generation += 1

    def set_draining(self, node: str, draining: bool) -> None:
        """The node began or ended to drain."""
        if draining:
            self._draining[node] = None
        else:
            self._draining.pop(node, None)
        self.generation += 1

    def is_draining(self, node: str) -> bool:
        """Whether the node takes nothing new."""
        return node in self._draining

    def forget(self, node: str) -> None:
        """The member is gone for good."""
        self._offers.pop(node, None)
        self._draining.pop(node, None)
        self._states.pop(node, None)
        self.generation += 1

    def services(self) -> list[str]:
        """All names, sorted."""
        return sorted({service: None for offers in self._offers.values() for service in offers})

    def endpoints(self, service: str) -> list[Endpoint]:
        """Everyone who announced the service, dead or alive, sorted by node, worker and version."""
        found = []
        for node, offers in sorted(self._offers.items()):
            state, reason = _STATES.get(self._states[node], ("unreachable", self._states[node]))
            if self._states[node] in ("alive", "suspect") and node in self._draining:
                state, reason = "draining", "it takes no new requests"
            for one in offers.get(service, ()):
                for worker in one.workers:
                    name = f"{node}/{worker}" if worker else node
                    why = one.away.get(worker)
                    if why is not None and state == "ready":
                        said = ("draining", "it finishes what it has") if why == AWAY_DRAINING else ("ejected", why)
                    else:
                        said = state, reason
                    found.append(Endpoint(name, node, worker, one.version, one.digest, *said))
        return sorted(found, key=lambda one: (one.node, one.worker, one.version))

    def routable(self, service: str) -> list[Endpoint]:
        """Those to choose from: the ready ones, or the suspected ones when none is ready."""
        endpoints = self.endpoints(service)
        return [one for one in endpoints if one.state == "ready"] or [one for one in endpoints if self.can_call(one)]

    def can_call(self, endpoint: Endpoint) -> bool:
        """Whether this very endpoint may be called: a node that is suspected may be alive."""
        return endpoint.state == "ready" or (
            endpoint.state == "unreachable" and self._states.get(endpoint.node) == "suspect"
        )

    def candidates(self, service: str) -> tuple[str, ...]:
        """The nodes to choose from. Sorted."""
        return tuple({one.node: None for one in self.routable(service)})

    def is_readonly(self, service: str, operation: str) -> bool:
        """Whether everyone who offers the service says that the operation changes nothing."""
        found = self._versions(service)
        return bool(found) and all(operation in one.readonly for one in found)

    def is_repeatable(self, service: str, operation: str) -> bool:
        """Whether everyone who offers the service says that the operation may be carried out twice."""
        found = self._versions(service)
        return bool(found) and all(operation in one.readonly or operation in one.idempotent for one in found)

    def _versions(self, service: str) -> list[Offer]:
        return [one for offers in self._offers.values() for one in offers.get(service, ())]
