"""Earns back this node's votes after it may have missed writes: asks every live member whether it owes it hints."""

from cluster.ports import Outcome
from cluster.replication.ground import Ground
from cluster.wire.handshake import LANE_CONTROL
from cluster.wire.replication import AskHints, HintsOwed

ASK_INTERVAL_S = 0.1
ASK_TIMEOUT_S = 0.5


class CatchUp:
    """The rounds of `Standing`, driven."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self._asking: dict[str, None] = {}
        self._timer = False

    def begin(self, reason: str) -> None:
        """Votes are suspended until every live member has attested."""
        standing = self.ground.standing
        fresh = not standing.catching_up
        standing.begin(reason)
        self._asking.clear()
        if fresh:
            self.ground.record("owner.catching-up", reason)
        self._step()

    def member_back(self, name: str) -> None:
        """A member is alive again: if it may owe hints, ask it."""
        if name in self.ground.standing.owed_by:
            self._ask(name)

    def _step(self) -> None:
        ground, standing = self.ground, self.ground.standing
        live = [name for name in ground.live() if name != ground.me]
        others = [name for name in ground.members if name != ground.me]
        if standing.settle(live, others):
            owed = f"; {', '.join(standing.owed_by)} may still hold some" if standing.owed_by else ""
            ground.record("owner.voting", f"every live member attests that it holds no hint for this node{owed}")
            return
        if not standing.catching_up:
            return
        for name in standing.missing(live):
            self._ask(name)
        if not self._timer:
            self._timer = True
            ground.env.clock.call_later(ASK_INTERVAL_S, self._tick)

    def _tick(self) -> None:
        self._timer = False
        self._step()

    def _ask(self, name: str) -> None:
        if name in self._asking:
            return
        self._asking[name] = None
        ground, round = self.ground, self.ground.standing.round

        def answered(_: str, outcome: Outcome) -> None:
            if round == ground.standing.round:
                self._asking.pop(name, None)
            if type(outcome) is not HintsOwed:
                return
            ground.standing.on_attest(name, round, outcome.count)
            if outcome.count == 0:
                self._step()

        deadline = ground.env.clock.now() + ASK_TIMEOUT_S
        ground.messenger.request([name], AskHints(ground.me, round), deadline, answered, LANE_CONTROL)
