"""Spreads this node's facts and takes in those of others; see facts.py for what a fact is.

`tell` is the barrier: it sends a fact to every live member at once and counts who has it, for callers that must not go
on before the others know (a subscription, say). Gossip and push-pull reach the rest.
"""

from collections.abc import Callable

from cluster.membership.context import Context
from cluster.membership.exchange import Exchange
from cluster.membership.facts import FactEffect, Facts
from cluster.membership.gossip import Gossip
from cluster.ports import Outcome
from cluster.wire.handshake import LANE_CONTROL
from cluster.wire.membership import Rumor, Tell, Told

TELL_TIMEOUT_S = 1.0
RUMOR_OVERHEAD_BYTES = 160
"""Of a fact in a packet, besides its body: names, kind, numbers."""


class Announcing:
    """One node's facts and those it knows of."""

    def __init__(self, context: Context, gossip: Gossip, exchange: Exchange) -> None:
        self.context = context
        self.facts = Facts(gossip.space - RUMOR_OVERHEAD_BYTES)
        self.on_fact: list[Callable[[str, str, bytes], None]] = []
        self._gossip = gossip
        self._exchange = exchange

    def announce(self, kind: str, body: bytes) -> None:
        """A new fact of this node."""
        me = self.context.table.me
        rumor = self.facts.announce(me.name, me.incarnation.epoch, kind, body)
        self._gossip.add(self.facts.for_packet(rumor))
        self._notify(me.name, kind, body)

    def renew(self) -> None:
        """This node's epoch rose beyond its boot's: its facts must, too."""
        me = self.context.table.me
        for fact in self.facts.of(me.name):
            rumor = self.facts.announce(me.name, me.incarnation.epoch, fact.kind, fact.body)
            self._gossip.add(self.facts.for_packet(rumor))

    def tell(self, kind: str, done: Callable[[int], None]) -> None:
        """Send the own fact to all live members; `done(count)` when all have answered or had a second to."""
        context = self.context
        me = context.me.name
        peers = [name for name in context.table.alive() if name != me]
        if not peers:
            context.clock.call_soon(done, 1)
            return
        answers = _Answers(len(peers), done)
        body = Tell([self.facts.rumor(me, kind)])
        context.messenger.request(peers, body, context.clock.now() + TELL_TIMEOUT_S, answers.take, LANE_CONTROL)

    def take(self, rumor: Rumor, via: str) -> None:
        """A rumor of a fact."""
        if self.facts.knows(rumor):
            return  # as most rumors are
        member = self.context.table.members.get(rumor.name)
        if member is None or rumor.name == self.context.me.name:
            return
        effect = self.facts.merge(rumor, member.incarnation.epoch)
        if effect is FactEffect.NEW:
            small = self.facts.for_packet(rumor)
            if small is rumor or self.facts.is_news(rumor):
                self._gossip.add(small)
            self._notify(rumor.name, rumor.kind, rumor.body)
        elif effect is FactEffect.FIRST_PULL or effect is FactEffect.PULL:
            if effect is FactEffect.FIRST_PULL:
                self._gossip.add(rumor)
            self._exchange.with_peer(rumor.name)
        elif effect is FactEffect.REFUSED:
            self.context.count("rumors_refused")

    def expire(self, name: str, epoch: int) -> None:
        """A member booted: what it announced before is void."""
        for kind in self.facts.expire(name, epoch):
            self._notify(name, kind, b"")

    def _notify(self, name: str, kind: str, body: bytes) -> None:
        for listener in tuple(self.on_fact):
            listener(name, kind, body)


class _Answers:
    """Counts who holds the fact."""

    def __init__(self, waiting: int, done: Callable[[int], None]) -> None:
        self.waiting = waiting
        self.count = 1
        self.done = done

    def take(self, peer: str, outcome: Outcome) -> None:
        self.waiting -= 1
        self.count += isinstance(outcome, Told)
        if self.waiting == 0:
            self.done(self.count)
