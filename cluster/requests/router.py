"""Takes a client's call to an endpoint: here, or on another node, or on the next when the first surely did not act.

A call is tried again, on an endpoint not yet tried, after a failure that is definite and retryable; after an unknown
outcome only when the operation is readonly. Attempts are bounded, and the deadline bounds them all. What a handler
answered, an error included, is never tried again.
"""

from functools import partial

from cluster.env import Clock
from cluster.errors import BadMessage, ClusterError, Maybe, NoResponders, NotFound, Overloaded, Unreachable
from cluster.observe.latency import Latencies
from cluster.ports import Inbound, Messenger, Outcome
from cluster.requests.balancer import Balancer, Load
from cluster.requests.registry import Registry
from cluster.requests.server import Run, Server
from cluster.wire.requests import Call, CallDone

ATTEMPTS_MAX = 3
"""With two choices each, three misses mean that the cluster is the problem."""
ROUTED_MAX = 32768
"""Calls that one node routes at a time."""


class Router:
    """The way of calls through one node."""

    def __init__(
        self, clock: Clock, messenger: Messenger, registry: Registry, balancer: Balancer, server: Server
    ) -> None:
        self.clock = clock
        self.messenger = messenger
        self.registry = registry
        self.balancer = balancer
        self.server = server
        self.in_flight = 0
        self.retried = 0
        self.calls = Latencies()
        """Of the calls that clients brought here, from their arrival to the answer."""
        self.failed = 0
        messenger.handle(Call, self._on_call)

    def _on_call(self, inbound: Inbound) -> None:
        call: Call = inbound.body
        if call.routed:
            run = self.server.run(call, inbound.deadline, partial(_answer, inbound))
            if run is not None:
                inbound.on_cancel(run.cancel)
        elif self.in_flight >= ROUTED_MAX:
            inbound.fail(Overloaded(f"{self.server.node} routes {self.in_flight} calls already"))
        else:
            self.in_flight += 1
            routed = _Routed(self, inbound, call)
            routed.attempt()
            if not routed.ended:
                inbound.on_cancel(routed.cancel)


class _Routed:
    """One call on its way."""

    load: Load
    __slots__ = ("call", "ended", "failure", "inbound", "load", "request_id", "router", "run", "started", "tried")

    def __init__(self, router: Router, inbound: Inbound, call: Call) -> None:
        self.router = router
        self.inbound = inbound
        self.call = call
        self.tried: list[str] = []
        self.started = 0.0
        self.request_id = 0
        self.run: Run | None = None
        self.failure: ClusterError | None = None
        self.ended = False
        call.routed = True

    def attempt(self) -> None:
        """Choose an endpoint and call it, or give up."""
        router, tried = self.router, self.tried
        nodes = router.registry.candidates(self.call.service)
        if self.call.only:
            nodes = (self.call.only,) if self.call.only in nodes else ()
        if tried:
            nodes = tuple(node for node in nodes if node not in tried)
        self.started = now = router.clock.now()
        if not nodes or len(tried) >= ATTEMPTS_MAX or (tried and now >= self.inbound.deadline):
            self._end(self._given_up())
            return
        node = router.balancer.choose(nodes, now)
        if tried:
            router.retried += 1
        tried.append(node)
        self.load = router.balancer.begin(node)
        if node == router.server.node:
            if len(tried) == 1:
                # Counting from the arrival shows what plain handlers before this one in the same pass took: while they
                # run nothing is in flight, and without it this node would keep every call to itself.
                self.started = self.inbound.arrived
            run = router.server.run(self.call, self.inbound.deadline, self._on_outcome)
            if run is not None:  # else it has ended already, and perhaps another attempt is under way
                self.run = run
        else:
            self.request_id = router.messenger.request((node,), self.call, self.inbound.deadline, self._on_answer)

    def _on_answer(self, peer: str, outcome: Outcome) -> None:
        self.request_id = 0
        if not isinstance(outcome, CallDone | ClusterError):
            outcome = BadMessage(f"{peer} answered a call with {type(outcome).__name__}")
        self._on_outcome(outcome)

    def _on_outcome(self, outcome: CallDone | ClusterError) -> None:
        self.run = None
        router = self.router
        now = router.clock.now()
        if isinstance(outcome, CallDone):
            router.balancer.end(self.load, now - self.started, now)
            outcome.attempts = len(self.tried)
            self._end(outcome)
            return
        silent = outcome.retryable or isinstance(outcome, Maybe)
        router.balancer.end(self.load, now - self.started, now, answered=not silent)
        if not self._may_retry(outcome):
            self._end(outcome)
            return
        if self.failure is None or self.failure.definite:
            self.failure = outcome  # an unknown outcome stays unknown, whatever is refused later
        self.attempt()

    def _may_retry(self, error: ClusterError) -> bool:
        if error.definite:
            return error.retryable
        return isinstance(error, Maybe) and self.router.registry.is_readonly(self.call.service, self.call.operation)

    def _given_up(self) -> ClusterError:
        service, registry = self.call.service, self.router.registry
        if self.failure is None:
            endpoints = registry.endpoints(service)
            if not endpoints:
                return NotFound(f"no node has announced a service {service!r}")
            states = ", ".join(f"{one.node} is {one.state} ({one.reason})" for one in endpoints)
            return NoResponders(f"no endpoint of {service} can be called: {states}")
        if isinstance(self.failure, Unreachable):
            return NoResponders(f"no endpoint of {service} answered; tried {', '.join(self.tried)}: {self.failure}")
        return self.failure

    def _end(self, outcome: CallDone | ClusterError) -> None:
        self.ended = True
        router = self.router
        router.in_flight -= 1
        router.calls.note(router.clock.now() - self.inbound.arrived)
        if not isinstance(outcome, CallDone):
            router.failed += 1
        _answer(self.inbound, outcome)

    def cancel(self) -> None:
        """The client no longer waits."""
        if self.ended:
            return
        self.ended = True
        router = self.router
        router.in_flight -= 1
        now = router.clock.now()
        router.balancer.end(self.load, now - self.started, now)
        if self.run is not None:
            self.run.cancel()
        else:
            router.messenger.finish(self.request_id, cancel=True)


def _answer(inbound: Inbound, outcome: CallDone | ClusterError) -> None:
    if isinstance(outcome, CallDone):
        inbound.reply(outcome)
    else:
        inbound.fail(outcome)
