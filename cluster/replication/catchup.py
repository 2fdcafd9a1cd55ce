"""Earns back this node's votes after it may have missed writes: asks every live member whether it holds hints for it.

Each ask says in which boot and round it is asked, so that an answer to an earlier life attests nothing. A member that
lost hint records does not know: then this node may lack anything that it owns, and is recovering, on its disk, before
it asks again.
"""

from collections.abc import Callable
from typing import Final

from cluster.errors import ClusterError
from cluster.ports import Outcome
from cluster.replication.context import ReplicationContext
from cluster.replication.voting import Pass
from cluster.wire.handshake import LANE_CONTROL
from cluster.wire.replication import Attest, Attested

ASK_INTERVAL_S: Final = 0.1
ASK_TIMEOUT_S: Final = 0.5


class CatchUp:
    """The rounds of `VotingStatus`, driven. `lost` is called when all that this node owns may lack something."""

    def __init__(self, context: ReplicationContext, lost: Callable[[str], None]) -> None:
        self.context = context
        self._lost = lost
        self._asking: dict[str, Pass] = {}
        """Members that were asked, and in which pass."""
        self._known: dict[str, str] = {}
        """Losses of hint records that are on this node's disk, by member."""
        self._said = False
        self._timer = False

    def begin(self, reason: str, *, quiet: bool = False) -> None:
        """Votes are suspended until every live member has attested. `quiet`: probably nothing was missed; it is said
        only when something was."""
        fresh = not self.context.status.catching_up
        self.context.status.begin(reason)
        if fresh:
            self._said = False
        if not quiet:
            self._say()
        self._step()

    def _say(self) -> None:
        if not self._said:
            self._said = True
            self.context.record("owner.catching-up", self.context.status.reason)

    def member_back(self, name: str) -> None:
        """A member is alive again: if it may hold hints, ask it."""
        if name in self.context.status.may_hold_hints:
            self._step()

    def layout_changed(self) -> None:
        """Members may have left."""
        self.context.status.keep(self.context.view.members)
        self._step()

    def waits_for(self) -> tuple[list[str], list[str]]:
        """The live members whose attestation is missing, with what they hold as far as they said, and the dead ones
        that may hold hints."""
        status, live = self.context.status, self._live()
        said = [(name, status.pending.get(name, 0)) for name in status.to_ask(live)]
        waited_for = [f"{name} ({number} hints)" if number else name for name, number in said]
        return waited_for, [name for name in status.may_hold_hints if name not in live]

    def _others(self) -> list[str]:
        return [name for name in self.context.view.members if name != self.context.me]

    def _live(self) -> list[str]:
        live = dict.fromkeys(self.context.live())
        return [name for name in self._others() if name in live]

    def _step(self) -> None:
        context, status = self.context, self.context.status
        live = self._live()
        if status.settle(live, self._others()) and self._said:
            left = f"; {', '.join(status.may_hold_hints)} may still hold some" if status.may_hold_hints else ""
            context.record("owner.voting", f"every live member attests that it holds no hint for this node{left}")
        to_ask = status.to_ask(live)
        for name in to_ask:
            self._ask(name)
        if to_ask and not self._timer:
            self._timer = True
            context.env.clock.call_later(ASK_INTERVAL_S, self._tick)

    def _tick(self) -> None:
        self._timer = False
        self._step()

    def _ask(self, name: str) -> None:
        context, asked_in = self.context, self.context.status.asked_in
        if self._asking.get(name) == asked_in:
            return
        self._asking[name] = asked_in

        def answered(_: str, outcome: Outcome) -> None:
            if self._asking.get(name) == asked_in:
                del self._asking[name]
            if type(outcome) is not Attested:
                return
            if outcome.loss:
                self._on_loss(name, outcome)
                return
            self.context.status.on_attest(name, asked_in, outcome.hints, outcome.in_flight)
            if outcome.hints or outcome.in_flight:
                self._say()  # and it is asked again at the next tick
            else:
                self._step()

        body = Attest(context.me, context.boot, asked_in[0], self._known.get(name, ""))
        context.messenger.request([name], body, context.env.clock.now() + ASK_TIMEOUT_S, answered, LANE_CONTROL)

    def _on_loss(self, name: str, answer: Attested) -> None:
        """It does not know. Once that is on this node's disk, it is asked again, and told so."""
        self._say()
        if self._known.get(name) == answer.loss:
            return
        try:
            self._lost(f"{name} lost hint records that may have been for this node ({answer.reason})")
        except ClusterError:
            return  # the disk is full: nothing is said before it is kept
        self._known[name] = answer.loss
        self._step()
