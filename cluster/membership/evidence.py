"""Evidence from data connections: a refused dial or a broken connection tells of a death before any probe does.

The kernel of a dead process refuses new connections and ends the open ones, so on one machine (and often on several) a
crash shows at once. A refused dial is strong evidence, but one node's word: the rumor says `refused`, and who hears it
dials for itself and confirms. A connection that merely broke is only a reason to look. Nothing of the kind is in the
papers; the verdict is still SWIM's. So that somebody notices when nobody talks to the dead, each node holds open
connections to its successors in the ring of names.
"""

from collections.abc import Callable, Sequence

from cluster.env import Timer
from cluster.membership.context import MembershipContext, is_refusal
from cluster.membership.gossip import Gossip
from cluster.membership.member import REACHABLE
from cluster.ports import Outcome
from cluster.wire.handshake import LANE_CONTROL
from cluster.wire.membership import StreamPing, StreamPong

REFUSED = "refused"
"""The `kind` of a suspicion that rests on a closed port."""

WATCH_DELAY_S = 0.2
"""Changes of the live set come in bursts; the links follow once."""


class Evidence:
    """Looks into what connections tell."""

    def __init__(self, context: MembershipContext, gossip: Gossip, accuse: Callable[[str, str], None]) -> None:
        self.context = context
        self.gossip = gossip
        self._accuse = accuse
        self._checking: dict[str, None] = {}

    def note(self, peer: str, reason: str) -> None:
        """A connection to `peer` failed or ended."""
        member = self.context.table.members.get(peer)
        if member is None or not member.heard or member.state not in REACHABLE or peer == self.context.me.name:
            return  # no news: not yet started, or known to be dead
        if reason == REFUSED:
            self._accuse(peer, "its port refused a connection")
        elif reason in ("reset", "closed"):
            self.check(peer)

    def check(self, peer: str) -> None:
        """Dial, and see what comes; one check of a peer at a time."""
        if peer in self._checking:
            return

        def checked(peer: str, outcome: Outcome) -> None:
            del self._checking[peer]
            member = self.context.table.members.get(peer)
            if member is None or member.state not in REACHABLE:
                return
            if is_refusal(outcome):
                self._accuse(peer, "its port refused a connection")
            elif isinstance(outcome, StreamPong) and not member.is_known():
                self.gossip.send(peer, None, (member.rumor(),))  # it lives: let it contradict what is said

        self._checking[peer] = None
        self.context.count("checks")
        deadline = self.context.clock.now() + self.context.probe_timeout_s()
        self.context.messenger.request([peer], StreamPing(peer), deadline, checked, LANE_CONTROL)


def successors(names: Sequence[str], me: str, count: int) -> list[str]:
    """The next `count` names after `me` in the ring of sorted names, without `me`."""
    after = [name for name in names if name > me] + [name for name in names if name < me]
    return after[:count]


class WatchLinks:
    """Holds the connections to this node's successors open, so that each member is watched by its predecessors."""

    def __init__(self, context: MembershipContext) -> None:
        self.context = context
        self._watched: dict[str, None] = {}
        self._timer: Timer | None = None
        self._running = False

    def start(self) -> None:
        """Watch, a little later."""
        self._running = self.context.settings.watch_links > 0
        self.changed()

    def changed(self) -> None:
        """The live set changed, or a link may be down: look at it soon."""
        if self._timer is not None or not self._running:
            return
        context, lanes = self.context, self.context.lanes

        def look() -> None:
            self._timer = None
            wanted = successors(context.table.alive(), context.me.name, context.settings.watch_links)
            for peer in [peer for peer in self._watched if peer not in wanted]:
                lanes.unwatch(peer)
            for peer in wanted:
                lanes.watch(peer)  # those watched already too: a link that could not be made is tried again
            self._watched = dict.fromkeys(wanted)

        self._timer = context.clock.call_later(WATCH_DELAY_S, look)

    def stop(self) -> None:
        """Watch nobody."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for peer in self._watched:
            self.context.lanes.unwatch(peer)
        self._watched.clear()
