"""The endpoints of one service, as this entry node has them: their loads and failures, and which gets the next call.

What the registry says is everyone's knowledge; what is here is this caller's own: latencies, failures in a row, what
may be spent on retries. Nobody else is told of it, and nobody else's word is taken for it. Pure.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cluster.errors import ClusterError, DependencyFailed, Overloaded
from cluster.ports import Recorder
from cluster.requests.affinity import belongs_to, draw_of, seed_of
from cluster.requests.balancer import PENALTY_S, SHED_PENALTY_S, EndpointLoad, better_of_two, nearest
from cluster.requests.budget import RetryBudget
from cluster.requests.ejection import FAR, FailureRecord, in_use, is_failure, next_return
from cluster.requests.figures import Figures, OperationFigures
from cluster.requests.registry import Endpoint, Registry
from cluster.requests.service import OPERATIONS_MAX
from cluster.wire.requests import Call, CallDone

if TYPE_CHECKING:
    from random import Random

OTHER_OPERATIONS = "*"
"""The row of what is called by too many names to be operations: names come from callers."""
Avoided = Callable[[str], bool]
"""Whether a node does not answer just now."""


class PoolEndpoint(EndpointLoad):
    """One endpoint, as this node has seen it."""

    __slots__ = ("announced", "failures", "figures", "local", "seed", "worker")

    def __init__(self, announced: Endpoint, figures: dict[str, Figures] | None = None) -> None:
        super().__init__()
        self.announced = announced
        self.local = True
        """In this node's zone."""
        self.worker = announced.name if announced.worker else ""
        """What a call to it carries; empty for the node itself."""
        self.seed = seed_of(announced.name)
        self.failures = FailureRecord()
        self.figures = {} if figures is None else figures
        """By operation."""

    def evidence(self, now: float) -> dict[str, Any]:
        """Why it is called, or not."""
        failures = self.failures
        return {
            "in_flight": self.in_flight,
            "latency_ms": round(self.latency_s * 1000, 3),
            "failures_in_row": failures.in_row,
            "last_failure": failures.last,
            "ejections": failures.count,
            "back_in_s": round(max(0.0, failures.ejected_until - now), 3),
        }


Group = tuple[tuple[PoolEndpoint, ...], tuple[PoolEndpoint, ...]]
"""Endpoints in the zone of this node, and those in others."""
NOBODY: Group = ((), ())


class Pool:
    """The endpoints of one service. `weights` are in percent, by version."""

    def __init__(self, service: str, random: "Random", record: Recorder, now: float) -> None:
        self.service = service
        self.generation = -1
        """The registry's when this was filled."""
        self.endpoints: dict[tuple[str, int], PoolEndpoint] = {}
        """All that were announced, by name and version."""
        self.weights: Mapping[int, float] = {}
        self.budget = RetryBudget(now)
        self.operations: dict[str, OperationFigures] = {}
        self.panic = False
        """So many are ejected that all are called."""
        self.look_at = now
        """When a second ends, or an ejection."""
        self._random = random.random
        self._record = record
        self._returns_at = FAR
        """When the first ejection ends."""
        self._callable: list[PoolEndpoint] = []
        self._routable: list[PoolEndpoint] = []
        self._named: dict[str, tuple[PoolEndpoint, ...]] = {}
        self._all = NOBODY
        self._versions: dict[int, Group] = {}
        self._shares: list[tuple[float, int]] = []

    # -- what is known

    def fill(self, registry: Registry, weights: Mapping[int, float], zone: Sequence[str], now: float) -> None:
        """Take over what the registry says by now."""
        known, announced, near = self.endpoints, registry.endpoints(self.service), dict.fromkeys(zone)
        self.endpoints = {}
        for one in announced:
            endpoint = known.get((one.name, one.version)) or PoolEndpoint(one)
            endpoint.announced, endpoint.local = one, one.node in near
            self.endpoints[one.name, one.version] = endpoint
        self._callable = [one for one in self.endpoints.values() if registry.can_call(one.announced)]
        self._routable = [one for one in self._callable if one.announced.state == "ready"] or self._callable
        self._named.clear()
        self.weights, self.generation = weights, registry.generation
        self._divide(now)

    def forget(self, node: str, now: float) -> None:
        """The node died or came back: what was seen of it says nothing any more, but for the figures."""

        def anew(one: PoolEndpoint) -> PoolEndpoint:
            return PoolEndpoint(one.announced, one.figures) if one.announced.node == node else one

        self.endpoints = {key: anew(one) for key, one in self.endpoints.items()}
        self.generation = -1  # to be filled again

    def look(self, now: float) -> None:
        """A second has ended, or an ejection."""
        self.budget.turn(now)
        if now >= self._returns_at:
            self._divide(now)
        self.look_at = min(self.budget.second_ends, self._returns_at)

    def _divide(self, now: float) -> None:
        """Set apart who may be chosen."""
        used, self.panic = in_use(self._routable, now)
        self._returns_at = next_return(self._routable, now)
        self.look_at = min(self.budget.second_ends, self._returns_at)
        self._all = _group(used)
        versions = {one.announced.version: None for one in used}
        self._versions = {
            version: _group([one for one in used if one.announced.version == version]) for version in versions
        }
        counts = {version: len(local) + len(others) for version, (local, others) in self._versions.items()}
        self._shares = shares(counts, self.weights) if self.weights else []

    # -- which

    def choose(
        self, call: Call, version: int, tried: list[PoolEndpoint], avoided: Avoided | None, now: float
    ) -> PoolEndpoint | None:
        """The endpoint for the next attempt of a call that may go to `version` (0: to any); None when none is left.
        `avoided` is given when some node does not answer."""
        if call.only:
            named = self._named.get(call.only) or self._name(call.only)
            if len(named) == 1 and not tried and not version:
                return named[0]
            group: Group = tuple(one for one in named if version in (0, one.announced.version)), ()
        elif version:
            group = self._versions.get(version, NOBODY)
        elif self.weights:
            drawn = draw_of(call.key) if call.key else self._random()
            group = next((self._versions[version] for until, version in self._shares if drawn < until), NOBODY)
        else:
            group = self._all
        if tried or avoided is not None:
            left = _left(group, tried, avoided)
            if left is NOBODY and not call.only and not version:  # none of the version that was drawn
                groups = [self._versions[version] for _, version in self._shares]
                left = _left((sum((one for one, _ in groups), ()), sum((far for _, far in groups), ())), tried, avoided)
            group = left
        local, others = group
        if not others and not call.key:
            return better_of_two(local, self._random, now) if local else None
        if not local and not others:
            return None
        if call.key:
            return belongs_to(call.key, (*local, *others))
        return nearest(local, others, self._random, now)

    def _name(self, only: str) -> tuple[PoolEndpoint, ...]:
        """An endpoint by its name, or all of a node by its."""
        found = tuple(one for one in self._callable if only in (one.announced.name, one.announced.node))
        if found:  # names come from callers
            self._named[only] = found
        return found

    # -- what became of it

    def begin_another(self, endpoint: PoolEndpoint, operation: str, *, hedge: bool) -> None:
        """An attempt that is not a call's first is sent to it. Of a first one the router raises `in_flight`."""
        endpoint.in_flight += 1
        figures = self.figures_at(endpoint, operation)
        figures.retries += not hedge
        figures.hedges += hedge

    def end(
        self,
        endpoint: PoolEndpoint,
        operation: str,
        outcome: CallDone | ClusterError,
        began: float,
        now: float,
        first_s: float | None = None,
    ) -> None:
        """The attempt ended. `first_s`: of an answer in parts, after how long the first of them came."""
        assert endpoint.in_flight > 0
        endpoint.in_flight -= 1
        seconds = now - began if first_s is None else first_s
        figures = endpoint.figures.get(operation) or self.figures_at(endpoint, operation)
        if isinstance(outcome, CallDone):
            figures.latencies.note(seconds)
            if outcome.error:
                figures.declared += 1
            endpoint.observe(seconds, now)
        elif isinstance(outcome, Overloaded):
            figures.shed += 1
            endpoint.observe(max(seconds, SHED_PENALTY_S), now)
            return
        elif is_failure(outcome):
            figures.latencies.note(seconds)
            figures.failed += 1
            endpoint.observe(max(seconds, PENALTY_S), now)
            if not isinstance(
                outcome, DependencyFailed
            ):  # others may reach it, but to leave this one out mends nothing
                self._failed(endpoint, f"{outcome.code}: {outcome.message}", now)
            return
        else:  # the caller's mistake, or an answer that says no
            figures.latencies.note(seconds)
            figures.failed += 1
            endpoint.observe(seconds, now)
        failures = endpoint.failures
        if (failures.in_row or began < failures.ejected_until) and failures.succeeded(began):
            self._record(
                "endpoint.returned",
                f"{endpoint.announced.name} answered a call that it got in a panic",
                service=self.service,
                endpoint=endpoint.announced.name,
            )
            self._divide(now)

    def cancelled(self, endpoint: PoolEndpoint, began: float, now: float) -> None:
        """Nobody waits for the attempt any more."""
        assert endpoint.in_flight > 0
        endpoint.in_flight -= 1
        endpoint.took_at_least(now - began, now)

    def figures_at(self, endpoint: PoolEndpoint, operation: str) -> Figures:
        """The row of an operation at an endpoint."""
        if operation not in endpoint.figures and len(endpoint.figures) >= 2 * OPERATIONS_MAX:
            operation = OTHER_OPERATIONS
        return endpoint.figures.setdefault(operation, Figures())

    def figures_of(self, operation: str) -> OperationFigures:
        """The row of an operation."""
        if operation not in self.operations and len(self.operations) >= 2 * OPERATIONS_MAX:
            operation = OTHER_OPERATIONS
        return self.operations.setdefault(operation, OperationFigures())

    def _failed(self, endpoint: PoolEndpoint, why: str, now: float) -> None:
        if endpoint.failures.failed(why, now):
            self._divide(now)
            seconds = endpoint.failures.ejected_until - now
            panic = "; with it so many fail that all are called" if self.panic else ""
            self._record(
                "endpoint.ejected",
                f"{endpoint.announced.name} failed too often in a row, for {seconds:.0f} s{panic}; the last: {why}",
                service=self.service,
                endpoint=endpoint.announced.name,
            )

    # -- for people

    def told(self, avoided: Avoided, now: float) -> dict[str, Any]:
        """The service with its endpoints and why each is called or not, as this node sees it."""
        return {
            "service": self.service,
            "panic": in_use(self._routable, now)[1],
            "weights": {str(version): share for version, share in self.weights.items()},
            "endpoints": [self._told(one, avoided, now) for one in self.endpoints.values()],
        }

    def _share(self, version: int) -> float:
        """What a version gets by the weights, in percent; without one of its own, what is left for all such."""
        return self.weights.get(version, 100.0 - sum(self.weights.values()))

    def _told(self, one: PoolEndpoint, avoided: Avoided, now: float) -> dict[str, Any]:
        announced = one.announced
        state, reason = announced.state, announced.reason
        if state == "ready" and one.failures.ejected_until > now:
            if in_use(self._routable, now)[1]:
                reason = "fails, and is called all the same: too many fail (panic)"
            else:
                back_s = one.failures.ejected_until - now
                state, reason = "ejected", f"failed too often in a row; called again in {back_s:.0f} s"
        elif state == "ready" and avoided(announced.node):
            state, reason = "unreachable", "does not answer"
        elif state == "ready" and self._share(announced.version) <= 0:
            reason = f"version {announced.version} gets 0% of the calls"
        return {
            "endpoint": announced.name,
            "node": announced.node,
            "version": announced.version,
            "state": state,
            "reason": reason,
            "evidence": one.evidence(now),
        }


class Pools:
    """Those of all services. `zone()`: the nodes in this one's zone."""

    def __init__(
        self, registry: Registry, random: "Random", record: Recorder, zone: Callable[[], Sequence[str]]
    ) -> None:
        self._registry = registry
        self._random = random
        self._record = record
        self._zone = zone
        self._weights: Mapping[str, Mapping[int, float]] = {}
        self._pools: dict[str, Pool] = {}

    def of(self, service: str, now: float) -> Pool | None:
        """That of a service which somebody has announced."""
        pool = self._pools.get(service)
        if pool is None:
            if not self._registry.endpoints(service):  # names come from callers
                return None
            pool = self._pools[service] = Pool(service, self._random, self._record, now)
        if pool.generation != self._registry.generation:
            pool.fill(self._registry, self._weights.get(service, {}), self._zone(), now)
        if now >= pool.look_at:
            pool.look(now)
        return pool if pool.endpoints else None

    def all(self, now: float) -> list[Pool]:
        """All that somebody has announced, sorted by service."""
        found = [self.of(service, now) for service in self._registry.services()]
        return [pool for pool in found if pool is not None]

    def ever(self) -> list[Pool]:
        """Also those that nobody announces any more: what they have counted stays counted."""
        return [pool for _, pool in sorted(self._pools.items())]

    def weigh(self, weights: Mapping[str, Mapping[int, float]]) -> None:
        """The weights of versions, in percent, by service."""
        if weights != self._weights:
            self._weights = weights
            for pool in self._pools.values():
                pool.generation = -1  # to be filled again

    def forget(self, node: str, now: float) -> None:
        """The node died or came back."""
        for pool in self._pools.values():
            pool.forget(node, now)


def shares(counts: Mapping[int, int], weights: Mapping[int, float]) -> list[tuple[float, int]]:
    """Which version a number from 0 to 1 draws: the first whose bound is above it. `counts` are the endpoints of each
    version that can be called. Versions without a weight share what is left of 100 % by their endpoints, and what
    belongs to versions that cannot be called goes to the others, but never to one of 0 %."""
    rest, plain = max(0.0, 100.0 - sum(weights.values())), sum(counts[one] for one in counts if one not in weights)
    parts = {
        version: weights[version] if version in weights else rest * counts[version] / plain
        for version in sorted(counts)
    }
    total = sum(parts.values())
    found, until = [], 0.0
    for version, part in parts.items():
        if part > 0:
            until += part / total
            found.append((until, version))
    return [*found[:-1], (1.0, found[-1][1])] if found else []


def _left(group: Group, tried: list[PoolEndpoint], avoided: Avoided | None) -> Group:
    """Those that were not tried: on nodes that answer, and not on a node that was tried, while there are such."""
    left = [one for part in group for one in part if one not in tried]
    if avoided is not None:
        left = [one for one in left if not avoided(one.announced.node)] or left
    if tried:
        nodes = [one.announced.node for one in tried]
        left = [one for one in left if one.announced.node not in nodes] or left
    return _group(left) if left else NOBODY


def _group(endpoints: Sequence[PoolEndpoint]) -> Group:
    return tuple(one for one in endpoints if one.local), tuple(one for one in endpoints if not one.local)
