"""Earns back this node's votes after it may have missed writes: asks every live member whether it owes it hints."""

from cluster.ports import Outcome
from cluster.replication.context import ReplicationContext
from cluster.wire.handshake import LANE_CONTROL
from cluster.wire.replication import Attest, Attested

ASK_INTERVAL_S = 0.1
ASK_TIMEOUT_S = 0.5


class CatchUp:
    """The rounds of `VotingStatus`, driven."""

    def __init__(self, context: ReplicationContext) -> None:
        self.context = context
        self._asking: dict[str, None] = {}
        self._timer = False

    def begin(self, reason: str) -> None:
        """Votes are suspended until every live member has attested."""
        status = self.context.status
        fresh = not status.catching_up
        status.begin(reason)
        self._asking.clear()
        if fresh:
            self.context.record("owner.catching-up", reason)
        self._step()

    def member_back(self, name: str) -> None:
        """A member is alive again: if it may owe hints, ask it."""
        if name in self.context.status.may_hold_hints:
            self._ask(name)

    def _step(self) -> None:
        context, status = self.context, self.context.status
        live = [name for name in context.live() if name != context.me]
        others = [name for name in context.view.members if name != context.me]
        if status.settle(live, others):
            others_left = f"; {', '.join(status.may_hold_hints)} may still hold some" if status.may_hold_hints else ""
            context.record(
                "owner.voting", f"every live member attests that it holds no hint for this node{others_left}"
            )
            return
        if not status.catching_up:
            return
        for name in status.missing(live):
            self._ask(name)
        if not self._timer:
            self._timer = True
            context.env.clock.call_later(ASK_INTERVAL_S, self._tick)

    def _tick(self) -> None:
        self._timer = False
        self._step()

    def _ask(self, name: str) -> None:
        if name in self._asking:
            return
        self._asking[name] = None
        context, round = self.context, self.context.status.round

        def answered(_: str, outcome: Outcome) -> None:
            if round == context.status.round:
                self._asking.pop(name, None)
            if type(outcome) is not Attested:
                return
            context.status.on_attest(name, round, outcome.count)
            if outcome.count == 0:
                self._step()

        deadline = context.env.clock.now() + ASK_TIMEOUT_S
        context.messenger.request([name], Attest(context.me, round), deadline, answered, LANE_CONTROL)
