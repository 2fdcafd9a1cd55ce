"""Takes a client's call to an endpoint: here, or on another node, or on the next when the first surely did not act.

A call is tried again, on an endpoint not yet tried, after a failure that is definite and retryable; after an unknown
outcome only when its operation may be repeated (`readonly` or `idempotent`). Attempts are bounded, and the deadline
bounds them all. What a handler answered, an error included, is never tried again.

A node that has just started holds a call of a service that it does not know until it has heard the other nodes: they
may offer it.

A node that falls silent (rpc/reach.py) ends what waits there: what may be repeated goes elsewhere, anything else is
`maybe` then, and never sent again. A handler that takes its time is no silence, because its node answers pings. Shortly
before the verdict a readonly call is *hedged*: sent to another endpoint as well, and the first answer counts (Dean and
Barroso, "The Tail at Scale", 2013). Hedges have a budget, so that they cannot double the load of a cluster that is
merely slow.
"""

from collections.abc import Callable
from functools import partial

from cluster.env import Clock
from cluster.errors import BadMessage, ClusterError, Maybe, NoResponders, NotFound, Overloaded, Unreachable
from cluster.observe.latency import Latencies
from cluster.ports import Inbound, Messenger, Outcome
from cluster.requests.balancer import Balancer, EndpointLoad
from cluster.requests.registry import Registry
from cluster.requests.server import Run, Server
from cluster.rpc.reach import Reach
from cluster.wire.requests import Call, CallDone

ATTEMPTS_MAX = 3
"""With two choices each, three misses mean that the cluster is the problem."""
ROUTED_MAX = 32768
"""Calls that one node routes at a time."""
LEARN_POLL_S = 0.02
HEDGE_AFTER_S = 0.05
"""How long a ping may be unanswered: one that runs answers it in a few milliseconds, whatever its handlers do."""
HEDGES_PER_CALL, HEDGES_PER_S = 0.2, 10.0
HEDGES_MIN, HEDGES_MAX = 10.0, 1000.0
"""The budget of hedges: a fifth of the calls and ten a second; so many at the start, and at most so many saved up."""


class RequestRouter:
    """The way of calls through one node. `is_learning()`: it may not have heard yet who offers what."""

    def __init__(
        self,
        clock: Clock,
        messenger: Messenger,
        registry: Registry,
        balancer: Balancer,
        server: Server,
        reach: Reach,
        is_learning: Callable[[], bool],
    ) -> None:
        self.clock = clock
        self.messenger = messenger
        self.registry = registry
        self.balancer = balancer
        self.server = server
        self.is_learning = is_learning
        self.reach = reach
        self.calls_here: dict[_Routed, None] = {}
        """The calls that clients brought here and that have not ended, oldest first."""
        self.retried = 0
        self.hedged = 0
        self.calls = Latencies()
        """Of the calls that clients brought here, from their arrival to the answer."""
        self.failed = 0
        self._hedges = HEDGES_MIN
        self._earned_at = clock.now()
        messenger.handle(Call, self.on_call)
        reach.on_silent.append(self._silent)
        reach.on_quiet.append(self._quiet)

    def on_call(self, inbound: Inbound) -> None:
        """Run here what another node has routed; route what a client brings."""
        call: Call = inbound.body
        if call.routed:
            run = self.server.run(call, inbound.deadline, partial(_answer, inbound))
            if run is not None:
                inbound.on_cancel(run.cancel)
        elif len(self.calls_here) >= ROUTED_MAX:
            inbound.fail(Overloaded(f"{self.server.node} routes {ROUTED_MAX} calls already"))
        else:
            if self._hedges < HEDGES_MAX:
                self._hedges += HEDGES_PER_CALL
            routed = _Routed(self, inbound, call)
            self.calls_here[routed] = None
            routed.attempt()
            if not routed.ended:
                inbound.on_cancel(routed.cancel)

    def candidates(self, service: str) -> tuple[str, ...]:
        """The nodes to choose from: those that answer, or all when none does."""
        nodes, reach = self.registry.candidates(service), self.reach
        if reach.all_well():
            return nodes
        return tuple(node for node in nodes if not reach.avoided(node)) or nodes

    # -- silent nodes

    def _attempts_at(self, node: str) -> "list[_EndpointCall]":
        """What waits for another node, the oldest call first. Looked for, since nodes are rarely quiet."""
        return [one for routed in self.calls_here for one in routed.open if one.node == node and one.request_id]

    def _silent(self, node: str) -> None:
        """The node does not run, as far as can be seen from here: what waits there ends."""
        for attempt in self._attempts_at(node):
            if attempt.open:
                attempt.give_up()

    def _quiet(self, node: str, unanswered_s: float) -> None:
        """The node has not even answered a ping for so long."""
        if unanswered_s < HEDGE_AFTER_S:
            return
        now = self.clock.now()
        self._hedges = min(HEDGES_MAX, self._hedges + (now - self._earned_at) * HEDGES_PER_S)
        self._earned_at = now
        for attempt in self._attempts_at(node):
            if attempt.open and now - attempt.started >= HEDGE_AFTER_S and self._hedges >= 1.0:
                attempt.routed.hedge()

    def took_hedge(self) -> None:
        """A call was sent a second time while the first waits."""
        self._hedges -= 1.0
        self.hedged += 1


class _EndpointCall:
    """One endpoint that was called for a routed call."""

    __slots__ = ("load", "node", "open", "request_id", "routed", "run", "started")

    def __init__(self, routed: "_Routed", node: str, started: float, load: EndpointLoad) -> None:
        self.routed = routed
        self.node = node
        self.started = started
        self.load = load
        self.open = True
        self.request_id = 0
        self.run: Run | None = None

    def on_answer(self, peer: str, outcome: Outcome) -> None:
        """What came from another node, or what became of the way there."""
        self.request_id = 0
        if type(outcome) is not CallDone and not isinstance(outcome, ClusterError):
            outcome = BadMessage(f"{peer} answered a call with {type(outcome).__name__}")
        self.on_outcome(outcome)

    def on_outcome(self, outcome: CallDone | ClusterError) -> None:
        """It ended."""
        self.run = None
        self._close(isinstance(outcome, CallDone) or not (outcome.retryable or isinstance(outcome, Maybe)))
        self.routed.on_outcome(self, outcome)

    def give_up(self) -> None:
        """The node is silent."""
        self.cancel(answered=False)
        service = f"{self.routed.call.service}.{self.routed.call.operation}"
        self.routed.on_outcome(self, Maybe(f"{self.node} fell silent while it had {service}: it may have run"))

    def cancel(self, answered: bool = True) -> None:
        """Nobody waits for it any more."""
        if not self.open:
            return
        self._close(answered)
        if self.run is not None:
            self.run.cancel()
        elif self.request_id:
            self.routed.router.messenger.finish(self.request_id, cancel=True)

    def _close(self, answered: bool) -> None:
        router = self.routed.router
        now = router.clock.now()
        self.open = False
        router.balancer.end(self.load, now - self.started, now, answered)


class _Routed:
    """One call on its way: an attempt, and perhaps a hedge beside it."""

    __slots__ = ("call", "ended", "failure", "hedged", "inbound", "open", "router", "tried")

    def __init__(self, router: RequestRouter, inbound: Inbound, call: Call) -> None:
        self.router = router
        self.inbound = inbound
        self.call = call
        self.tried: list[str] = []
        self.open: list[_EndpointCall] = []
        self.failure: ClusterError | None = None
        self.hedged = False
        self.ended = False
        call.routed = True

    def attempt(self) -> None:
        """Choose an endpoint and call it, or give up."""
        if self.ended:
            return
        router, tried = self.router, self.tried
        now = router.clock.now()
        nodes = self._left()
        if not nodes and not tried and now < self.inbound.deadline and router.is_learning():
            router.clock.call_later(LEARN_POLL_S, self.attempt)
        elif not nodes or (tried and now >= self.inbound.deadline):
            self._end(self._given_up())
        else:
            router.retried += bool(tried)
            self._call(router.balancer.choose(nodes, now), now)

    def hedge(self) -> None:
        """Call another endpoint beside the one that is slow, if that is harmless and there is one."""
        router, call = self.router, self.call
        if self.hedged or not router.registry.is_readonly(call.service, call.operation):
            return
        now = router.clock.now()
        nodes = self._left()
        if nodes and now < self.inbound.deadline:
            self.hedged = True
            router.took_hedge()
            self._call(router.balancer.choose(nodes, now), now)

    def _left(self) -> tuple[str, ...]:
        """The endpoints that are left to try."""
        tried, only = self.tried, self.call.only
        if only:
            return () if tried or not self.router.registry.can_call(self.call.service, only) else (only,)
        nodes = self.router.candidates(self.call.service)
        if tried:
            if len(tried) >= ATTEMPTS_MAX:
                return ()
            nodes = tuple(node for node in nodes if node not in tried)
        return nodes

    def _call(self, node: str, now: float) -> None:
        router = self.router
        self.tried.append(node)
        attempt = _EndpointCall(self, node, now, router.balancer.begin(node))
        self.open.append(attempt)
        if node == router.server.node:
            if len(self.tried) == 1:
                # Counting from the arrival shows what plain handlers before this one in the same pass took: while they
                # run nothing is in flight, and without it this node would keep every call to itself.
                attempt.started = self.inbound.arrived
            run = router.server.run(self.call, self.inbound.deadline, attempt.on_outcome)
            if run is not None:  # else it has ended already, and perhaps another attempt is under way
                attempt.run = run
        else:
            attempt.request_id = router.messenger.request((node,), self.call, self.inbound.deadline, attempt.on_answer)

    def on_outcome(self, attempt: _EndpointCall, outcome: CallDone | ClusterError) -> None:
        """An attempt ended: with it the call, unless another is under way or may follow."""
        self.open.remove(attempt)
        if isinstance(outcome, CallDone):
            outcome.attempts = len(self.tried)
            outcome.hedged = self.hedged
            self._end(outcome)
            return
        may_retry = outcome.retryable
        if not outcome.definite:
            registry, call = self.router.registry, self.call
            may_retry = isinstance(outcome, Maybe) and registry.is_repeatable(call.service, call.operation)
        if not may_retry:
            self._end(outcome)
            return
        if self.failure is None or self.failure.definite:
            self.failure = outcome  # an unknown outcome stays unknown, whatever is refused later
        if not self.open:
            self.attempt()

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
        if self.open:  # the loser of a hedge
            for attempt in self.open:
                attempt.cancel()
            self.open.clear()
        router = self.router
        router.calls_here.pop(self, None)
        router.calls.note(router.clock.now() - self.inbound.arrived)
        router.failed += not isinstance(outcome, CallDone)
        _answer(self.inbound, outcome)

    def cancel(self) -> None:
        """The client no longer waits."""
        if self.ended:
            return
        self.ended = True
        self.router.calls_here.pop(self, None)
        for attempt in self.open:
            attempt.cancel()
        self.open.clear()


def _answer(inbound: Inbound, outcome: CallDone | ClusterError) -> None:
    if isinstance(outcome, CallDone):
        inbound.reply(outcome)
    else:
        inbound.fail(outcome)
