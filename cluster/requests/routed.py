"""One call on its way to an endpoint: here, or on another node, or on the next when that is harmless.

A call goes to an endpoint not yet tried after a failure that is definite and retryable; after an unknown outcome, or an
error that the operation does not declare, only when it may be repeated (`readonly` or `idempotent`). Attempts are
bounded, the service's budget bounds what they add to the load of the cluster, and the deadline bounds them all. Only
what was surely never sent costs no budget. A call that a handler made carries the attempt of the call above: that one
is tried again, so this one is not. What a handler answered, an error that it declares included, is final.

A node that has just started holds a call of a service that it does not know until it has heard the other nodes: they
may offer it. A readonly call whose client asks for it is *hedged* once it has taken longer than 95 % of the operation's
calls do: it is sent to another endpoint as well, and the first answer counts.

A reply in parts (`cluster.wire.parts`) is passed on part by part, and so is the client's credit, so that nothing of it
is kept here. With its first part the call belongs to the endpoint that sent it: another would begin anew.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from cluster.env import Timer
from cluster.errors import (
    BadMessage,
    ClusterError,
    DeadlinePassed,
    Maybe,
    NoResponders,
    NotFound,
    Overloaded,
    ServiceError,
    Unreachable,
)
from cluster.ports import Inbound, Outcome
from cluster.requests.pool import Pool, PoolEndpoint
from cluster.requests.server import Handle
from cluster.wire.requests import Call, CallDone

if TYPE_CHECKING:
    from cluster.requests.router import RequestRouter

ATTEMPTS_MAX = 3
"""With two choices each, three misses mean that the cluster is the problem."""
LEARN_POLL_S = 0.02
HEDGE_S = 0.05
"""A hedge waits so long while too few calls were seen to know their p95."""
JITTER_S = 0.01
"""A call that was shed, or whose handler failed, waits up to so long before its second attempt, and twice as long
before its third: those that met it in one moment would meet again elsewhere. What was lost has waited already."""


class EndpointCall:
    """One endpoint that was called for a routed call."""

    __slots__ = ("credit", "endpoint", "first_s", "node", "open", "request_id", "routed", "run", "started")

    def __init__(self, routed: "RoutedCall", endpoint: PoolEndpoint, started: float) -> None:
        self.routed = routed
        self.endpoint = endpoint
        self.node = endpoint.announced.node
        self.started = started
        self.open = True
        self.credit: Callable[[int], None] | None = None
        """Where the client's credit goes, once there are parts."""
        self.first_s: float | None = None
        """When the first part came: a stream takes as long as it is read, which says nothing of the endpoint."""
        self.request_id = 0
        self.run: Handle | None = None

    def on_credit(self, function: Callable[[int], None]) -> None:
        """The answer of a handler here will have parts."""
        self.credit = function

    def on_part(self, data: bytes) -> None:
        """A part of the answer came from another node."""
        if self.credit is None:
            self.credit = partial(self.routed.router.messenger.credit, self.request_id)
        self.part(data)

    def part(self, data: bytes) -> bool:
        """Pass a part of the answer on. False when it is lost."""
        if self.first_s is None:
            self.first_s = self.routed.router.clock.now() - self.started
        return self.open and self.routed.part(self, data)

    def on_answer(self, peer: str, outcome: Outcome) -> None:
        """What came from another node, or what became of the way there."""
        self.request_id = 0
        if type(outcome) is not CallDone and not isinstance(outcome, ClusterError):
            outcome = BadMessage(f"{peer} answered a call with {type(outcome).__name__}")
        self.on_outcome(outcome)

    def on_outcome(self, outcome: CallDone | ClusterError) -> None:
        """It ended."""
        routed, now = self.routed, self.routed.router.clock.now()
        self.run = None
        self.open = False
        assert routed.pool is not None
        if self.first_s is not None and now >= routed.inbound.deadline:  # of a stream that had no end
            routed.pool.cancelled(self.endpoint, now - self.first_s, now)
        else:
            routed.pool.end(self.endpoint, routed.call.operation, outcome, self.started, now, self.first_s)
        routed.on_outcome(self, outcome)

    def give_up(self) -> None:
        """The node is silent."""
        call, request_id = self.routed.call, self.request_id
        self.request_id = 0
        self.routed.router.messenger.finish(request_id, cancel=True)
        name = self.endpoint.announced.name
        self.on_outcome(Maybe(f"{name} fell silent while it had {call.service}.{call.operation}: it may have run"))

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        if not self.open:
            return
        self.open = False
        router, pool = self.routed.router, self.routed.pool
        assert pool is not None
        now = router.clock.now()
        pool.cancelled(self.endpoint, self.started if self.first_s is None else now - self.first_s, now)
        if self.run is not None:
            self.run.cancel()
        elif self.request_id:
            router.messenger.finish(self.request_id, cancel=True)


class RoutedCall:
    """One call on its way: an attempt, and perhaps another beside it."""

    __slots__ = (
        "call", "ended", "failure", "figures", "hedge_timer", "hedged", "inbound", "nested", "open", "pool", "router",
        "source", "tried", "version",
    )  # fmt: skip

    def __init__(self, router: "RequestRouter", inbound: Inbound, call: Call) -> None:
        self.router = router
        self.inbound = inbound
        self.call = call
        self.version = call.version
        self.nested = call.attempt > 0
        """A handler made the call, and its own call is the one that is tried again."""
        self.pool: Pool | None = None
        self.figures = router.unrouted
        self.tried: list[PoolEndpoint] = []
        self.open: list[EndpointCall] = []
        self.failure: ClusterError | None = None
        self.source: EndpointCall | None = None
        """Whose parts the client gets, once there are any."""
        self.hedged = False
        self.hedge_timer: Timer | None = None
        self.ended = False

    def attempt(self) -> None:
        """Choose an endpoint and call it, or give up."""
        if self.ended:
            return
        router, pool = self.router, self.pool
        now = router.clock.now()
        if pool is None:
            service, operation = self.call.service, self.call.operation
            pool = self.pool = router.pools.of(service, now)
            if pool is not None:
                pool.budget.calls += 1
                self.figures = figures = pool.operations.get(operation) or pool.figures_of(operation)
                figures.in_flight += 1
        endpoint = None if pool is None or len(self.tried) >= ATTEMPTS_MAX else self._choose(pool, now)
        if endpoint is None and not self.tried and now < self.inbound.deadline and router.is_learning():
            router.clock.call_later(LEARN_POLL_S, self.attempt)
        elif endpoint is None or (self.tried and now >= self.inbound.deadline):
            self._end(self._given_up())
        else:
            self._call(endpoint, now)

    def _choose(self, pool: Pool, now: float) -> PoolEndpoint | None:
        router, reach = self.router, self.router.reach
        if self.tried and router.pools.of(self.call.service, now) is not pool:
            return None  # nobody offers it any more
        return pool.choose(self.call, self.version, self.tried, None if reach.all_well() else reach.avoided, now)

    def call_another(self, *, asked: bool = False) -> None:
        """Call another endpoint beside one that is slow, if that is harmless, can be paid for, and there is one.
        `asked` by the client, and not because the node does not run."""
        router, call, pool = self.router, self.call, self.pool
        if self.hedged or self.ended or not self.open or pool is None or not self.may_begin_anew():
            return
        now = router.clock.now()
        if self.nested or now >= self.inbound.deadline or not router.registry.is_readonly(call.service, call.operation):
            return
        endpoint = self._choose(pool, now)
        if endpoint is not None and (pool.budget.take_hedge(now) if asked else pool.budget.take_retry(now)):
            self.hedged = True
            self.figures.hedges += 1
            self._call(endpoint, now)

    def _call(self, endpoint: PoolEndpoint, now: float) -> None:
        router, pool, tried = self.router, self.pool, self.tried
        assert pool is not None
        tried.append(endpoint)
        call, number = self.call, len(tried)
        if number == 1:
            endpoint.in_flight += 1
        else:
            call = self.call = replace(call)  # the one before may still be read
            pool.begin_another(endpoint, call.operation, hedge=bool(self.open))
        if call.attempt < number:
            call.attempt = number
        call.routed = True
        call.endpoint, call.version = endpoint.worker, endpoint.announced.version
        attempt = EndpointCall(self, endpoint, now)
        self.open.append(attempt)
        if attempt.node == router.server.node:
            if number == 1:
                # Counting from the arrival shows what plain handlers before this one in the same pass took: while they
                # run nothing is in flight, and without it this node would keep every call to itself.
                attempt.started = self.inbound.arrived
            run = router.server.run(call, self.inbound.deadline, attempt.on_outcome, attempt)
            if run is not None:  # else it has ended already, and perhaps another attempt is under way
                attempt.run = run
        else:
            attempt.request_id = router.messenger.request(
                (attempt.node,), call, self.inbound.deadline, attempt.on_answer, on_part=attempt.on_part
            )
        if call.hedge and number == 1 and not self.ended:
            p95_s = self.figures.p95_s(now)
            delay_s = HEDGE_S if p95_s is None else p95_s
            self.hedge_timer = router.clock.call_later(delay_s, partial(self.call_another, asked=True))

    def part(self, attempt: EndpointCall, data: bytes) -> bool:
        """Pass a part of an attempt's answer on to the client. False when it is lost."""
        if self.source is None:
            assert attempt.credit is not None
            self.source = attempt
            self.inbound.on_credit(attempt.credit)
            for other in [one for one in self.open if one is not attempt]:  # the loser of a hedge
                other.cancel()
                self.open.remove(other)
        if self.inbound.part(data):
            return True
        if not self.ended:
            self._end(Maybe("a part of the reply was lost: the queue to its reader is full"))
        return False

    def may_begin_anew(self) -> bool:
        """Whether the client has had no part of an answer yet."""
        return self.source is None

    def on_outcome(self, attempt: EndpointCall, outcome: CallDone | ClusterError) -> None:
        """An attempt ended: with it the call, unless another is under way or may follow."""
        self.open.remove(attempt)
        if isinstance(outcome, CallDone):
            announced = attempt.endpoint.announced
            outcome.attempts, outcome.hedged = len(self.tried), self.hedged
            outcome.endpoint, outcome.version = announced.name, announced.version
            self._end(outcome)
            return
        if not self.may_begin_anew():
            if outcome.retryable and not isinstance(outcome, DeadlinePassed):  # it is not as if nothing had happened
                outcome = Maybe(f"{attempt.endpoint.announced.name} stopped in the middle of its reply: {outcome}")
            self._end(outcome)
            return
        may_retry = outcome.retryable
        if not outcome.definite:
            repeatable = self.router.registry.is_repeatable(self.call.service, self.call.operation)
            may_retry = isinstance(outcome, Maybe | ServiceError) and repeatable
        if not may_retry:
            self._end(outcome)
            return
        if self.failure is None or self.failure.definite:
            self.failure = outcome  # an unknown outcome stays unknown, whatever is refused later
        if not self.open:
            self._retry(outcome)

    def _retry(self, outcome: ClusterError) -> None:
        """Go on elsewhere, at once or after a while, if that is allowed."""
        router, pool = self.router, self.pool
        assert pool is not None
        now = router.clock.now()
        if len(self.tried) >= ATTEMPTS_MAX or now >= self.inbound.deadline:
            self._end(self._given_up())
            return
        if not isinstance(outcome, Unreachable) and (
            self.nested or self._choose(pool, now) is None or not pool.budget.take_retry(now)
        ):
            self._end(self._given_up())
            return
        self.figures.retries += 1
        if not isinstance(outcome, Overloaded | ServiceError):
            self.attempt()
            return
        wait_s = router.random.random() * JITTER_S * (1 << len(self.tried) - 1)
        if now + wait_s < self.inbound.deadline:
            router.clock.call_later(wait_s, self.attempt)
        else:
            self._end(self._given_up())

    def _given_up(self) -> ClusterError:
        service, registry = self.call.service, self.router.registry
        if self.failure is None:
            endpoints = registry.endpoints(service)
            if not endpoints:
                return NotFound(
                    f"no live node offers a service {service!r}", help="`dsectl services` lists those there are."
                )
            if self.version and not any(one.version == self.version for one in endpoints):
                known = ", ".join(map(str, sorted({one.version for one in endpoints})))
                return NotFound(f"no node has announced version {self.version} of service {service}: there is {known}")
            assert self.pool is not None
            told, only = self.pool.told(self.router.reach.avoided, self.router.clock.now())["endpoints"], self.call.only
            wanted = [one for one in told if only in ("", one["endpoint"], one["node"])]
            if not wanted:
                offered = ", ".join(one["endpoint"] for one in told)
                return NoResponders(f"{only} does not offer {service}; endpoints are {offered}")
            states = ", ".join(
                f"{one['endpoint']} is {one['state']}" + (f" ({one['reason']})" if one["reason"] else "")
                for one in wanted
                if self.version in (0, one["version"])
            )
            if not states:
                return NoResponders(f"{only} does not offer version {self.version} of {service}")
            return NoResponders(f"no endpoint of {service} can be called: {states}")
        if isinstance(self.failure, Unreachable):
            tried = ", ".join(one.announced.name for one in self.tried)
            return NoResponders(f"no endpoint of {service} answered; tried {tried}: {self.failure}")
        return self.failure

    def _end(self, outcome: CallDone | ClusterError) -> None:
        self.ended = True
        self._leave()
        clock, figures = self.router.clock, self.figures
        seconds = clock.now() - self.inbound.arrived
        if self.source is not None and self.source.first_s is not None:
            seconds = self.source.started + self.source.first_s - self.inbound.arrived
        if type(outcome) is CallDone:
            figures.latencies.note(seconds)
            if outcome.error:
                figures.declared += 1
        elif isinstance(outcome, Overloaded):
            figures.shed += 1
        else:
            figures.latencies.note(seconds)
            figures.failed += 1
        self.router.answers.answer(self.inbound, outcome)

    def _leave(self) -> None:
        """Nothing is under way for it any more."""
        if self.open:  # the loser of a hedge, or the client does not wait
            for attempt in self.open:
                attempt.cancel()
            self.open.clear()
        if self.hedge_timer is not None:
            self.hedge_timer.cancel()
        if self.pool is not None:
            self.figures.in_flight -= 1
        self.router.calls_here.pop(self, None)

    def cancel(self) -> None:
        """The client no longer waits."""
        if not self.ended:
            self.ended = True
            self._leave()
