"""The way of calls through one node: what clients bring is routed, what other nodes have routed is run here.

This node is the *entry node* of a call that a client brings, and alone in trying again (`routed.py`). A node that falls
silent (rpc/reach.py) ends what waits there: what may be repeated goes elsewhere, anything else is `maybe` then, and
never sent again. A handler that takes its time is no silence, because its node answers pings. Shortly before the
verdict a readonly call is sent to another endpoint as well, and the first answer counts.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from cluster.env import Clock
from cluster.errors import Overloaded
from cluster.observe.latency import Latencies
from cluster.ports import Inbound, Messenger
from cluster.requests.figures import OperationFigures
from cluster.requests.pool import Pools
from cluster.requests.registry import Registry
from cluster.requests.replying import CallAnswers
from cluster.requests.routed import EndpointCall, RoutedCall
from cluster.requests.server import Server
from cluster.rpc.reach import Reach
from cluster.wire.requests import Call

if TYPE_CHECKING:
    from random import Random

ROUTED_MAX = 32768
"""Calls that one node routes at a time."""
QUIET_S = 0.05
"""How long a ping may be unanswered: one that runs answers it in a few milliseconds, whatever its handlers do."""


class RequestRouter:
    """The way of calls through one node. `is_learning()`: it may not have heard yet who offers what."""

    def __init__(
        self,
        clock: Clock,
        random: "Random",
        messenger: Messenger,
        registry: Registry,
        pools: Pools,
        server: Server,
        reach: Reach,
        is_learning: Callable[[], bool],
    ) -> None:
        self.clock = clock
        self.random = random
        self.messenger = messenger
        self.registry = registry
        self.pools = pools
        self.server = server
        self.is_learning = is_learning
        self.reach = reach
        self.calls_here: dict[RoutedCall, None] = {}
        """The calls that clients brought here and that have not ended, oldest first."""
        self.unrouted = OperationFigures()
        """Of calls of services that nobody has announced."""
        self.answers = CallAnswers(clock)
        messenger.handle(Call, self.on_call)
        reach.on_silent.append(self._silent)
        reach.on_quiet.append(self._quiet)

    def on_call(self, inbound: Inbound) -> None:
        """Run here what another node has routed; route what a client brings."""
        call: Call = inbound.body
        if call.routed:
            run = self.server.run(call, inbound.deadline, partial(self.answers.answer, inbound), inbound)
            if run is not None:
                inbound.on_cancel(run.cancel)
        elif len(self.calls_here) >= ROUTED_MAX:
            inbound.fail(Overloaded(f"{self.server.node} routes {ROUTED_MAX} calls already"))
        else:
            routed = RoutedCall(self, inbound, call)
            self.calls_here[routed] = None
            routed.attempt()
            if not routed.ended:
                inbound.on_cancel(routed.cancel)

    def totals(self) -> tuple[Latencies, int]:
        """How long the calls took that clients brought here, from their arrival to the answer, and how many failed."""
        figures = [self.unrouted, *(one for pool in self.pools.ever() for one in pool.operations.values())]
        calls = Latencies()
        calls.counts = [sum(counts) for counts in zip(*(one.latencies.counts for one in figures), strict=True)]
        return calls, sum(one.failed + one.shed for one in figures)

    def figures(self) -> list[dict[str, Any]]:
        """What became of the calls that clients brought here: a row an operation, whose endpoint is empty, and a row
        for the attempts at each endpoint."""
        rows = []
        for pool in self.pools.ever():
            for operation, of in pool.operations.items():
                row = {"service": pool.service, "operation": operation, "endpoint": "", "version": 0}
                rows.append({**row, "in_flight": of.in_flight, **of.told()})
            for (name, version), endpoint in pool.endpoints.items():
                for operation, at in endpoint.figures.items():
                    row = {"service": pool.service, "operation": operation, "endpoint": name, "version": version}
                    rows.append({**row, "in_flight": endpoint.in_flight, **at.told()})
        return rows

    # -- silent nodes

    def _attempts_at(self, node: str) -> list[EndpointCall]:
        """What waits for another node, the oldest call first. Looked for, since nodes are rarely quiet."""
        return [one for routed in self.calls_here for one in routed.open if one.node == node and one.request_id]

    def _silent(self, node: str) -> None:
        """The node does not run, as far as can be seen from here: what waits there ends."""
        for attempt in self._attempts_at(node):
            if attempt.open:
                attempt.give_up()

    def _quiet(self, node: str, unanswered_s: float) -> None:
        """The node has not even answered a ping for so long."""
        if unanswered_s < QUIET_S:
            return
        now = self.clock.now()
        for attempt in self._attempts_at(node):
            if attempt.open and now - attempt.started >= QUIET_S:
                attempt.routed.call_another()
