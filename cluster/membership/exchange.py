"""Push-pull: two nodes exchange their whole tables over a stream, as in memberlist.

Rumors are spread a bounded number of times, so a few nodes miss some; a slow anti-entropy finds what they missed. The
same exchange introduces a node that starts, brings a node that slept up to date, fetches facts too large for a packet,
and, tried with one dead member at a time, joins the sides of a partition that healed.
"""

import math
from collections.abc import Callable

from cluster.env import Timer
from cluster.membership.context import Context
from cluster.membership.gossip import Gossip
from cluster.ports import Outcome
from cluster.wire.handshake import LANE_CONTROL
from cluster.wire.membership import MemberState, PushPull, PushPullReply

EXCHANGE_TIMEOUT_S = 1.0
EXCHANGES_MAX = 8
"""Under way at a time."""

SCALE_FROM = 32
"""Up to so many members the interval is as set; it grows with the logarithm beyond (memberlist's pushPullScale)."""


def push_pull_interval_s(interval_s: float, members: int) -> float:
    """How long to wait between two exchanges in a cluster of that size."""
    if members <= SCALE_FROM:
        return interval_s
    return interval_s * (math.ceil(math.log2(members) - math.log2(SCALE_FROM)) + 1)


class Exchange:
    """This node's push-pulls. `rows` is the whole table; `absorb(rows, via)` takes in another's."""

    def __init__(
        self,
        context: Context,
        gossip: Gossip,
        rows: Callable[[], list[MemberState]],
        absorb: Callable[[list[MemberState], str], None],
    ) -> None:
        self.context = context
        self.gossip = gossip
        self._rows = rows
        self._absorb = absorb
        self._under_way: dict[str, Callable[[bool], None]] = {}
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
        if peer in self._under_way or len(self._under_way) >= EXCHANGES_MAX:
            return
        self._under_way[peer] = done
        self.context.count("push_pulls")
        deadline = self.context.clock.now() + EXCHANGE_TIMEOUT_S
        self.context.messenger.request([peer], PushPull(self._rows()), deadline, self._done, LANE_CONTROL)

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

    def _done(self, peer: str, outcome: Outcome) -> None:
        done = self._under_way.pop(peer)
        if not self._running:
            return
        if isinstance(outcome, PushPullReply):
            self._absorb(outcome.rows, peer)
        done(isinstance(outcome, PushPullReply))

    def _arm(self, share: float = 1.0) -> None:
        interval = push_pull_interval_s(self.context.settings.push_pull_interval_s, self.context.table.size())
        self._timer = self.context.clock.call_later(share * interval, self._round)

    def _round(self) -> None:
        self._arm()
        self.with_anyone()

    def _reconnect(self) -> None:
        """Tell one dead member that it is said to be dead, by a datagram and over a stream."""
        self._reconnect_timer = None
        dead = self.context.table.dead()
        if dead:
            peer = self.context.random.choice(dead)
            self.gossip.send(peer, None, (self.context.table.members[peer].rumor(),))
            self.with_peer(peer)
        self.dead_changed()
