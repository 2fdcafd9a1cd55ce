"""The requests of one node: its services, everyone's endpoints, and the way between them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cluster.env import Env
from cluster.errors import BadMessage, LimitReached, NotFound
from cluster.limits import FACT_BYTES_MAX, SERVICES_MAX, WORKERS_MAX
from cluster.ports import Facts, Messenger, Recorder
from cluster.requests.demo import demo_services
from cluster.requests.description import describe
from cluster.requests.nested import HandlerFuture, NestedCalls
from cluster.requests.pool import Pools
from cluster.requests.registry import (
    KIND,
    KIND_DRAIN,
    Offer,
    Registry,
    decode_offers,
    encode_offers,
    joined,
    offer,
)
from cluster.requests.router import RequestRouter
from cluster.requests.server import Server
from cluster.requests.service import Definition, Sleep, definition_of
from cluster.requests.workers import Workers
from cluster.rpc.reach import Reach
from cluster.wire.admin import Draining

LEARN_S = 3.0
"""For so long after its start a node that has not heard all others keeps calls of services that it does not know."""


class ServiceHosting:
    """Assembles the parts and keeps the registry by the facts. `zone()`: the nodes in this one's zone. `services`
    are instances; without, the demo services."""

    def __init__(
        self,
        node: str,
        env: Env,
        messenger: Messenger,
        facts: Facts,
        reach: Reach,
        record: Recorder,
        sleep: Sleep,
        future: Callable[[], HandlerFuture],
        zone: Callable[[], Sequence[str]],
        services: Sequence[object] | None = None,
    ) -> None:
        self.node = node
        self.registry = Registry()
        self.pools = Pools(self.registry, env.random, record, zone)
        nested = NestedCalls(env.clock, lambda inbound: self.router.on_call(inbound), future)
        self.server = Server(node, env.clock, env.spawn, sleep, record, nested)
        self.router = RequestRouter(
            env.clock, env.random, messenger, self.registry, self.pools, self.server, reach, self.is_learning
        )
        self._clock = env.clock
        self._learn_until = float("-inf")
        self._facts = facts
        self._record = record
        self._offers: dict[int, list[tuple[str, Offer]]] = {0: []}  # by worker; 0 is this node itself
        self._away: dict[int, str] = {}
        self._reach = reach
        self.workers = Workers(
            node, env.clock, messenger, record, self.offer_worker, self.set_worker_away,
            lambda done: facts.tell_all(KIND, done),
        )  # fmt: skip
        self.server.run_worker = self.workers.run
        self._started = False
        for instance in demo_services(env.random) if services is None else services:
            self.host(instance)

    def start(self) -> None:
        """Learn the services of all members, and announce this node's."""

        def on_change(name: str, old: str, new: str) -> None:
            if name == self.node:
                return
            if new == "left":
                self.registry.forget(name)
            else:
                self.registry.set_state(name, new)
            if new == "dead" or "suspect" not in (old, new):
                self.pools.forget(name, self._clock.now())  # it died, or is back, or (alive, alive) is another boot

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
        offers = {**self._offers, 0: [*self._offers[0], (definition.name, offer(definition))]}
        self._check(offers)
        self.server.host(instance)
        self._offers = offers
        self._announce()
        return definition

    def offer_worker(self, worker: int, offers: Mapping[str, Offer]) -> None:
        """Announce that a worker beside this node offers these, by service, instead of what it offered; none: that it
        is gone. `offers` are of one worker, as `registry.offer` makes them. Raises LimitReached."""
        assert worker > 0
        others = {number: its for number, its in self._offers.items() if number != worker}
        self._away.pop(worker, None)
        if offers:
            others = dict(sorted({**others, worker: list(offers.items())}.items()))
            self._check(others)
        self._offers = others
        self._announce()

    def set_worker_away(self, worker: int, why: str) -> None:
        """Nobody is to call this worker now: it drains (`registry.AWAY_DRAINING`), or what is wrong with it. Empty: it
        may be called again."""
        if why != self._away.get(worker, ""):
            self._away = {number: its for number, its in {**self._away, worker: why}.items() if its}
            self._announce()

    def _check(self, offers: dict[int, list[tuple[str, Offer]]]) -> None:
        """Raise LimitReached for more than a node can announce."""
        together = joined(offers, {})
        if sum(map(len, together.values())) > SERVICES_MAX or len(encode_offers(together)) > FACT_BYTES_MAX:
            raise LimitReached(
                f"a node hosts at most {SERVICES_MAX} services, of so many operations as it can announce"
            )
        if len(offers) > WORKERS_MAX + 1:
            raise LimitReached(f"a node has at most {WORKERS_MAX} workers")

    def services(self) -> list[dict[str, Any]]:
        """Every service with its endpoints, and why each is called or not, as this node sees them."""
        now = self._clock.now()
        return [pool.told(self._reach.avoided, now) for pool in self.pools.all(now)]

    def not_ready(self) -> list[dict[str, Any]]:
        """The endpoints that are not called, or fail and are called all the same, as this node sees them."""
        return [
            {"service": told["service"], **one}
            for told in self.services()
            for one in told["endpoints"]
            if one["state"] != "ready" or one["evidence"]["back_in_s"]
        ]

    def panics(self) -> list[str]:
        """The services of which so many endpoints fail that all are called, for people."""
        found = []
        for told in self.services():
            failing = [one["endpoint"] for one in told["endpoints"] if one["evidence"]["back_in_s"]]
            if told["panic"]:
                found.append(
                    f"panic: {', '.join(failing)} of service {told['service']} fail, and are called all the same"
                )
        return found

    def describe(self, service: str, version: int = 0) -> Any:
        """A service that this node, or a worker beside it, hosts, of this version or (0) any. Raises NotFound."""
        definition = self.server.definitions.get(service)
        if definition is None or version not in (0, definition.version):
            found = self.workers.describe(service, version)
            if found is not None:
                return found
        return describe(self._definition(service))

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
        if self._started:
            offers = joined(self._offers, self._away)
            self.registry.update(self.node, offers, "alive")
            self._facts.announce(KIND, encode_offers(offers))

    def _on_fact(self, name: str, kind: str, body: bytes) -> None:
        if name == self.node:
            return
        if kind == KIND_DRAIN:
            self.registry.set_draining(name, bool(body))
            if body:
                self.router.messenger.send(name, Draining(True))  # on the lane of the calls, behind them
        if kind != KIND:
            return
        try:
            self.registry.update(name, decode_offers(body), self._facts.state(name))
        except BadMessage as error:
            self.registry.forget(name)
            self._record("services.ignore", error.message, peer=name)
