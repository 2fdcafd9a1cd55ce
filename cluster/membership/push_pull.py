"""Push-pull: two nodes exchange their whole tables over a stream, as in memberlist.

Rumors are spread a bounded number of times, so a few nodes miss some; a slow anti-entropy finds what they missed. The
same push-pull introduces a node that starts, brings a node that slept up to date, fetches facts too large for a packet,
and, tried with one dead member at a time, joins the sides of a partition that healed.

`Joining` is the first seconds of a node: it makes itself known and learns of everyone, also when all start together.
Gossip of the own `alive` reaches nearly all; push-pull with a few members, one after the other, fetches what was said
before this node listened; and whoever is still unheard after that is greeted with a packet, which a live one answers
with what holds. Then the node is quiet. Others may start later than this node, so a push-pull that is refused is
retried with somebody else, soon.
"""

import math
from collections.abc import Callable

from cluster.env import Timer
from cluster.membership.context import MembershipContext
from cluster.membership.gossip import Gossip
from cluster.membership.member import REACHABLE
from cluster.ports import Outcome
from cluster.wire.handshake import LANE_CONTROL
from cluster.wire.membership import MemberState, PushPull, PushPullReply

TIMEOUT_S = 1.0
UNDER_WAY_MAX = 8
"""Under way at a time."""

SCALE_FROM = 32
"""Up to so many members the interval is as set; it grows with the logarithm beyond (memberlist's pushPullScale)."""


def push_pull_interval_s(interval_s: float, members: int) -> float:
    """How long to wait between two exchanges in a cluster of that size."""
    if members <= SCALE_FROM:
        return interval_s
    return interval_s * (math.ceil(math.log2(members) - math.log2(SCALE_FROM)) + 1)


class PushPulls:
    """This node's push-pulls. `rows` is the whole table; `absorb(rows, via)` takes in another's."""

    def __init__(
        self,
        context: MembershipContext,
        gossip: Gossip,
        rows: Callable[[], list[MemberState]],
        absorb: Callable[[list[MemberState], str], None],
    ) -> None:
        self.context = context
        self.gossip = gossip
        self._rows = rows
        self._absorb = absorb
        self._under_way: dict[str, None] = {}
        self._timer: Timer | None = None
        self._reconnect_timer: Timer | None = None
        self._running = False

    def start(self) -> None:
        """Begin the slow rounds."""
        self._running = True
        self._arm(self.context.random.uniform(0.5, 1.0))
        self.dead_changed()

    def stop(self) -> None:
        """Exchange no more."""
        self._running = False
        for timer in (self._timer, self._reconnect_timer):
            if timer is not None:
                timer.cancel()
        self._timer = self._reconnect_timer = None

    def with_peer(self, peer: str, done: Callable[[bool], None] = lambda succeeded: None) -> None:
        """Exchange tables with `peer`; `done` says whether its table came. Nothing while too many are under way."""
        if peer in self._under_way or len(self._under_way) >= UNDER_WAY_MAX:
            return

        def on_reply(peer: str, outcome: Outcome) -> None:
            del self._under_way[peer]
            if not self._running:
                return
            if isinstance(outcome, PushPullReply):
                self._absorb(outcome.rows, peer)
            done(isinstance(outcome, PushPullReply))

        self._under_way[peer] = None
        self.context.count("push_pulls")
        deadline = self.context.clock.now() + TIMEOUT_S
        self.context.messenger.request([peer], PushPull(self._rows()), deadline, on_reply, LANE_CONTROL)

    def with_anyone(self) -> None:
        """Exchange tables with a random live member."""
        me = self.context.me.name
        others = [name for name in self.context.table.alive() if name != me]
        if others:
            self.with_peer(self.context.random.choice(others))

    def is_under_way(self, peer: str) -> bool:
        """Whether an answer of `peer` is awaited."""
        return peer in self._under_way

    def dead_changed(self) -> None:
        """Members died or revived: retry the dead, as long as there are any."""
        if self._reconnect_timer is None and self._running and self.context.table.dead():
            delay = self.context.settings.reconnect_interval_s * self.context.random.uniform(0.75, 1.25)
            self._reconnect_timer = self.context.clock.call_later(delay, self._reconnect)

    def _arm(self, share: float = 1.0) -> None:
        def round() -> None:
            self._arm()
            self.with_anyone()

        interval = push_pull_interval_s(self.context.settings.push_pull_interval_s, self.context.table.size())
        self._timer = self.context.clock.call_later(share * interval, round)

    def _reconnect(self) -> None:
        """Tell one dead member that it is said to be dead, by a datagram and over a stream."""
        self._reconnect_timer = None
        dead = self.context.table.dead()
        if dead:
            peer = self.context.random.choice(dead)
            self.gossip.send(peer, None, (self.context.table.members[peer].rumor(),))
            self.with_peer(peer)
        self.dead_changed()


INTRODUCTIONS = 3
"""memberlist joins through as many hosts as it is given; of three, some will have been there before us. A node that has
heard everyone needs no more of them."""

RETRY_MIN_S, RETRY_MAX_S = 0.05, 1.0
GREETING_DELAYS_S = (0.25, 0.15, 0.15, 0.2, 0.25, 0.5, 0.5, 1.0)
"""When the unheard are greeted, each after the one before; later the probes find them."""
GREETINGS_MAX, GREETINGS_MANY = 8, 2
"""Up to so many unheard are all greeted; of more, just a few: they are not up yet, and will make themselves known."""


class Joining:
    """Runs once, from the start until everyone is heard or has had its chances."""

    def __init__(self, context: MembershipContext, gossip: Gossip, push_pulls: PushPulls) -> None:
        self.context = context
        self.gossip = gossip
        self.push_pulls = push_pulls
        self._left = INTRODUCTIONS
        self._retry_s = RETRY_MIN_S
        self._timers: dict[str, Timer] = {}

    def start(self) -> None:
        """Introduce this node."""
        self._push_pull()
        self._timers["greet"] = self.context.clock.call_later(GREETING_DELAYS_S[0], self._greet, 0)

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

    def _push_pull(self) -> None:
        def retry() -> None:
            del self._timers["retry"]
            self._next()

        def pulled(succeeded: bool) -> None:
            if succeeded:
                self._left -= 1
                self._retry_s = RETRY_MIN_S
                self._next()
            elif "retry" not in self._timers:
                delay = self.context.random.uniform(0.5, 1.0) * self._retry_s
                self._retry_s = min(RETRY_MAX_S, self._retry_s * 1.5)
                self._timers["retry"] = self.context.clock.call_later(delay, retry)

        others = [name for name in self.context.table.others() if not self.push_pulls.is_under_way(name)]
        if others:
            self.push_pulls.with_peer(self.context.random.choice(others), pulled)

    def _next(self) -> None:
        if self._left == INTRODUCTIONS or (self._left > 0 and self.unheard()):
            self._push_pull()

    def _greet(self, step: int) -> None:
        unheard = self.unheard()
        count = len(unheard) if len(unheard) <= GREETINGS_MAX else GREETINGS_MANY
        for name in self.context.random.sample(unheard, count):
            self.context.count("greetings")
            self.gossip.send(name, None, (self.context.table.members[name].rumor(),))
        if unheard and (step := step + 1) < len(GREETING_DELAYS_S):
            self._timers["greet"] = self.context.clock.call_later(GREETING_DELAYS_S[step], self._greet, step)
