"""The requests of one node: its services, everyone's endpoints, and the way between them."""

from collections.abc import Callable, Sequence
from typing import Any

from cluster.env import Env
from cluster.errors import BadMessage, LimitReached, NotFound
from cluster.limits import FACT_BYTES_MAX, SERVICES_MAX
from cluster.ports import Facts, Messenger, Recorder
from cluster.requests.balancer import Balancer
from cluster.requests.demo import demo_services
from cluster.requests.description import describe, openapi
from cluster.requests.registry import (
    KIND,
    KIND_DRAIN,
    Offer,
    Registry,
    decode_offers,
    encode_offers,
    offer,
)
from cluster.requests.router import RequestRouter
from cluster.requests.server import Server
from cluster.requests.service import Definition, Sleep, definition_of
from cluster.rpc.reach import Reach

LEARN_S = 3.0
"""For so long after its start a node that has not heard all others keeps calls of services that it does not know."""


class ServiceHosting:
    """Assembles the parts and keeps the registry by the facts. `services` are instances; without, the demo services."""

    def __init__(
        self,
        node: str,
        env: Env,
        messenger: Messenger,
        facts: Facts,
        reach: Reach,
        record: Recorder,
        sleep: Sleep,
        services: Sequence[object] | None = None,
    ) -> None:
        self.node = node
        self.registry = Registry()
        self.balancer = Balancer(env.random)
        self.server = Server(node, env.clock, env.spawn, sleep, record)
        self.router = RequestRouter(
            env.clock, messenger, self.registry, self.balancer, self.server, reach, self.is_learning
        )
        self._clock = env.clock
        self._learn_until = float("-inf")
        self._facts = facts
        self._record = record
        self._offers: dict[str, Offer] = {}
        self._started = False
        for instance in demo_services(env.random) if services is None else services:
            self.host(instance)

    def start(self) -> None:
        """Learn the services of all members, and announce this node's."""

        def on_change(name: str, old: str, new: str) -> None:
            if name == self.node:
                return
            self.registry.set_state(name, new)
            if new == "dead" or "suspect" not in (old, new):
                self.balancer.forget(name)  # it died, or is back, or (alive, alive) is another boot

        self._started = True
        self._learn_until = self._clock.now() + LEARN_S
        self._facts.on_fact.append(self._on_fact)
        self._facts.on_change.append(on_change)
        for kind in (KIND, KIND_DRAIN):
            for name, body in self._facts.facts(kind).items():
                self._on_fact(name, kind, body)
        self._announce()

    def drain(self, draining: bool, done: Callable[[int], None]) -> None:
        """Announce that this node takes nothing new, or does again; `done` once all live members have that."""
        self.registry.set_draining(self.node, draining)
        self._facts.announce(KIND_DRAIN, b"1" if draining else b"")
        self._facts.tell_all(KIND_DRAIN, done)

    def host(self, instance: object) -> Definition:
        """Offer one more service. Raises Usage, or LimitReached."""
        definition = definition_of(instance)
        offers = {**self._offers, definition.name: offer(definition)}
        if len(offers) > SERVICES_MAX or len(encode_offers(offers)) > FACT_BYTES_MAX:
            raise LimitReached(
                f"a node hosts at most {SERVICES_MAX} services, of so many operations as it can announce"
            )
        self.server.host(instance)
        self._offers = offers
        if self._started:
            self._announce()
        return definition

    def services(self) -> list[dict[str, Any]]:
        """Every service with its endpoints, as this node sees them."""
        return [
            {
                "service": service,
                "endpoints": [
                    {"node": one.node, "state": one.state, "reason": one.reason, "version": one.version}
                    for one in self.registry.endpoints(service)
                ],
            }
            for service in self.registry.services()
        ]

    def describe(self, service: str) -> dict[str, Any]:
        """A service that this node hosts. Raises NotFound."""
        return describe(self._definition(service))

    def openapi(self, service: str) -> dict[str, Any]:
        """A service that this node hosts, as OpenAPI 3.1. Raises NotFound."""
        return openapi(self._definition(service))

    def _definition(self, service: str) -> Definition:
        definition = self.server.definitions.get(service)
        if definition is None:
            raise NotFound(f"{self.node} does not host a service {service!r}")
        return definition

    def is_learning(self) -> bool:
        """Whether this node has just started, and may not have heard yet who offers what."""
        if self._learn_until == float("-inf"):
            return False
        if self._clock.now() >= self._learn_until or not self._facts.unknown(KIND):
            self._learn_until = float("-inf")  # once and for all
            return False
        return True

    def _announce(self) -> None:
        self.registry.update(self.node, dict(self._offers), "alive")
        self._facts.announce(KIND, encode_offers(self._offers))

    def _on_fact(self, name: str, kind: str, body: bytes) -> None:
        if name == self.node:
            return
        if kind == KIND_DRAIN:
            self.registry.set_draining(name, bool(body))
        if kind != KIND:
            return
        try:
            self.registry.update(name, decode_offers(body), self._facts.state(name))
        except BadMessage as error:
            self.registry.forget(name)
            self._record("services.ignore", error.message, peer=name)
