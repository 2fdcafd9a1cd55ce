"""The first seconds of a node: it makes itself known and hears everyone, also when all nodes start together.

Gossip of the own `alive` reaches nearly all; push-pull with a few members, one after the other, fetches what was said
before this node listened; and whoever is still unheard after that is greeted with a packet, which a live one answers
with what holds. Then the node is quiet. Others may start later than this node, so an exchange that is refused is
retried with somebody else, soon.
"""

from cluster.env import Timer
from cluster.membership.context import Context
from cluster.membership.exchange import Exchange
from cluster.membership.gossip import Gossip
from cluster.membership.member import REACHABLE

EXCHANGES = 3
"""memberlist joins through as many hosts as it is given; of three, some will have been there before us. A node that has
heard everyone needs no more of them."""

RETRY_MIN_S, RETRY_MAX_S = 0.05, 1.0
GREETING_DELAYS_S = (0.25, 0.15, 0.15, 0.2, 0.25, 0.5, 0.5, 1.0)
"""When the unheard are greeted, each after the one before; later the probes find them."""
GREETINGS_MAX, GREETINGS_MANY = 8, 2
"""Up to so many unheard are all greeted; of more, just a few: they are not up yet, and will make themselves known."""


class Joining:
    """Runs once, from the start until everyone is heard or has had its chances."""

    def __init__(self, context: Context, gossip: Gossip, exchange: Exchange) -> None:
        self.context = context
        self.gossip = gossip
        self.exchange = exchange
        self._left = EXCHANGES
        self._retry_s = RETRY_MIN_S
        self._timers: dict[str, Timer] = {}

    def start(self) -> None:
        """Introduce this node."""
        self._exchange()
        self._greet_after(0)

    def stop(self) -> None:
        """Give up."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._left = 0

    def unheard(self) -> list[str]:
        """Members of which nothing is known in this boot."""
        members = self.context.table.members.values()
        return [member.name for member in members if not member.heard and member.state in REACHABLE]

    def _exchange(self) -> None:
        others = [name for name in self.context.table.others() if not self.exchange.is_under_way(name)]
        if others:
            self.exchange.with_peer(self.context.random.choice(others), self._exchanged)

    def _exchanged(self, succeeded: bool) -> None:
        if succeeded:
            self._left -= 1
            self._retry_s = RETRY_MIN_S
            self._next()
        elif "retry" not in self._timers:
            delay = self.context.random.uniform(0.5, 1.0) * self._retry_s
            self._retry_s = min(RETRY_MAX_S, self._retry_s * 1.5)
            self._timers["retry"] = self.context.clock.call_later(delay, self._retry)

    def _retry(self) -> None:
        del self._timers["retry"]
        self._next()

    def _next(self) -> None:
        if self._left == EXCHANGES or (self._left > 0 and self.unheard()):
            self._exchange()

    def _greet_after(self, step: int) -> None:
        if step < len(GREETING_DELAYS_S):
            self._timers["greet"] = self.context.clock.call_later(GREETING_DELAYS_S[step], self._greet, step)

    def _greet(self, step: int) -> None:
        unheard = self.unheard()
        count = len(unheard) if len(unheard) <= GREETINGS_MAX else GREETINGS_MANY
        for name in self.context.random.sample(unheard, count):
            self.context.count("greetings")
            self.gossip.send(name, None, (self.context.table.members[name].rumor(),))
        if unheard:
            self._greet_after(step + 1)
