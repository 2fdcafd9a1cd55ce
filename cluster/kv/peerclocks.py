"""How far this node's wall clock is from those of its peers.

The last writer wins by a stamp near wall time, so a node whose clock is far off must not give any: ahead, it would win
over all that is written for as long as it is ahead; behind, it would acknowledge what never wins. No node knows the
right time, and the median of all their clocks is right as long as most of them are: with its own among them, so that
of three nodes the two that agree go on. What has expired such a node judges by that median, too. Asked for only where a
bucket needs it.

What is kept of a peer is its wall time at a time of this node's monotonic clock: a jump of either wall clock shows, its
own at once. Pure but for the messages: times and replies are passed in.
"""

from collections.abc import Callable
from math import inf
from typing import Final

from cluster.env import Env
from cluster.errors import WrongClock
from cluster.ports import Inbound, Messenger, Outcome, Recorder
from cluster.versions import AHEAD_MAX_S, stamp_at
from cluster.wire.handshake import LANE_CONTROL
from cluster.wire.kv import ClockRead, ReadClock

POLL_S: Final = 2.0
FIRST_POLL_S: Final = 0.1
"""While nobody has answered yet: a node that boots with a wrong clock is not to give a stamp by it."""
PEERS_MAX: Final = 5
"""Of a larger cluster so many are asked each time, others the next time."""
KEPT_S: Final = 60.0
ROUND_TRIP_MAX_S: Final = 2.0
"""An answer that took longer may be as far off itself."""


class PeerClocks:
    """See above. `needed` says whether any stamp is compared with those of other nodes; `newest_stamp` is the newest
    that this node has given."""

    def __init__(
        self,
        env: Env,
        me: str,
        messenger: Messenger,
        alive: Callable[[], list[str]],
        record: Recorder,
        *,
        needed: Callable[[], bool],
        newest_stamp: Callable[[], int],
    ) -> None:
        self._env = env
        self._me = me
        self._messenger = messenger
        self._alive = alive
        self._needed = needed
        self._newest_stamp = newest_stamp
        self._record = record
        self._read: dict[str, tuple[float, float]] = {}
        """By peer: when it answered, and its wall time less this node's monotonic time."""
        self._middle: tuple[float, float | None, float] | None = None
        """Of those the one below the middle, the one in it if their number is odd, and the one above."""
        self._wrong = False
        messenger.handle(ReadClock, self._answer)

    def start(self) -> None:
        """Look from now on."""
        self.look()
        again_s = FIRST_POLL_S if self._needed() and self._middle is None else POLL_S
        self._env.clock.call_later(again_s, self.start)

    def _answer(self, inbound: Inbound) -> None:
        inbound.reply(ClockRead(self._env.clock.wall(), self._newest_stamp()))

    def look(self) -> None:
        """Ask some peers, if the answer matters to anybody."""
        if self._needed():
            others = [name for name in self._alive() if name != self._me]
            asked = self._env.random.sample(others, PEERS_MAX) if len(others) > PEERS_MAX else others
            self.ask(asked, self._env.clock.now() + ROUND_TRIP_MAX_S, lambda newest: None)

    def ask(self, peers: list[str], deadline: float, done: Callable[[int], None]) -> None:
        """Ask these for their time, and for the newest stamp that they have given: `done` with the newest of all, this
        node's own among them. One further in the future than any clock that gives stamps may be does not count."""
        clock, began = self._env.clock, self._env.clock.now()
        left = dict.fromkeys(peers)
        newest = [self._newest_stamp()]

        def answered(peer: str, outcome: Outcome) -> None:
            now = clock.now()
            del left[peer]
            if type(outcome) is ClockRead:
                if outcome.newest_stamp <= stamp_at(clock.wall() + AHEAD_MAX_S):
                    newest.append(outcome.newest_stamp)
                if now - began <= ROUND_TRIP_MAX_S:
                    self.note(peer, outcome.wall_s - (began + now) / 2, now)
            if not left:
                done(max(newest))

        if peers:
            self._messenger.request(peers, ReadClock(), deadline, answered, LANE_CONTROL)
        else:
            done(newest[0])

    def note(self, peer: str, origin: float, now: float) -> None:
        """A peer's wall clock was at 0 when this node's monotonic clock was at `-origin`."""
        self._read[peer] = now, origin
        for name in [name for name, (at, _) in self._read.items() if now - at > KEPT_S]:
            del self._read[name]
        origins = [-inf, *sorted(origin for _, origin in self._read.values()), inf]
        half, is_odd = divmod(len(origins), 2)
        self._middle = origins[half - 1], origins[half] if is_odd else None, origins[half + is_odd]

    @property
    def ahead_s(self) -> float:
        """How far this node's wall clock is ahead of the median, behind when it is negative. 0 while nobody has said:
        who is alone has nobody to disagree with."""
        return self._ahead_s(self._env.clock.wall())

    def _ahead_s(self, wall_s: float) -> float:
        if self._middle is None:
            return 0.0
        below, middle, above = self._middle
        own = wall_s - self._env.clock.now()
        # With its own among them: where the number of the others is even, the median is the one that is in the middle
        # then, and else the mean of theirs and that one. Each write asks, so nothing is sorted here.
        median = below if own < below else above if own > above else own
        return own - (median if middle is None else (middle + median) / 2)

    def wall_s(self) -> float:
        """Seconds since 1970: by this node's clock, or if that is wrong by the median."""
        wall_s = self._env.clock.wall()
        ahead_s = self._ahead_s(wall_s)
        return wall_s if -AHEAD_MAX_S <= ahead_s <= AHEAD_MAX_S else wall_s - ahead_s

    def check(self) -> None:
        """Raise WrongClock where this node's clock is too far off to give a stamp."""
        ahead_s = self.ahead_s
        if abs(ahead_s) <= AHEAD_MAX_S:
            self._wrong = False
            return
        side = "ahead of" if ahead_s > 0 else "behind"
        what = f"the clock of {self._me} is {abs(ahead_s):.0f} s {side} those of its peers"
        if not self._wrong:
            self._wrong = True
            self._record("clock.wrong", f"{what}: it stamps no write")
        raise WrongClock(f"{what}, and {AHEAD_MAX_S:.0f} s are allowed where the last write wins")
