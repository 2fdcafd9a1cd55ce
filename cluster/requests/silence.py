"""Which nodes have gone silent while calls wait at them: what a stopped process looks like from outside.

A handler may take long, so that no reply for a while says nothing. A node that also leaves a ping unanswered, while
another node answered one, does not run: its calls are hedged, then given up, and no new one is sent there until it is
heard again. Failure detection comes to the same verdict seconds later, after asking others; a caller cannot wait for
that.

On a starved machine everybody is slow, so how long a ping may take follows those that were answered lately, and time
in which this process did not run does not count. Pure: fed with what was sent and heard, and with time.
"""

from enum import Enum, auto
from math import exp

PING_AFTER_S = 0.05
"""Well over a round trip: most calls have ended by then and cost no ping."""
HEDGE_AFTER_S = 0.05
"""From the ping on: when a call that may be repeated is sent elsewhere as well."""
SILENT_AFTER_S = 0.15
"""From the ping on, so 0.2 s in all: when the node is avoided, and what waits there ends."""
SLOWER_BY = 3.0
"""A ping that takes so many times as long as the slowest lately is no more answered than one after a fixed time."""
SLOWEST_TAU_S = 5.0
PING_AGAIN_S = 0.25
SILENT_MAX_S = 5.0
"""Then the node gets calls again, if failure detection has not taken it out by then."""
LATE_S = 0.05
"""A sweep that is so late shows that this process was held up itself."""


class Step(Enum):
    """What to do about the calls that wait at a node."""

    WAIT = auto()
    PING = auto()
    HEDGE = auto()
    GIVE_UP = auto()


class Signs:
    """What was heard of one node. `pinged_at` is when the ping was sent that is not answered yet."""

    __slots__ = ("heard_at", "pinged_at", "silent_at")

    def __init__(self) -> None:
        self.heard_at = float("-inf")
        self.pinged_at: float | None = None
        self.silent_at: float | None = None


class Silence:
    """The signs of all nodes that calls go to."""

    def __init__(self) -> None:
        self.signs: dict[str, Signs] = {}
        self._resumed_at = float("-inf")  # this process was held up until then
        self._swept_at: float | None = None
        self._slowest_s = 0.0
        self._slowest_at = 0.0

    # -- what happened

    def heard(self, node: str, now: float) -> None:
        """Something came from the node."""
        signs = self._of(node)
        signs.heard_at = now
        if signs.pinged_at is not None:
            self._note_round_trip(now - signs.pinged_at, now)
            signs.pinged_at = None
        signs.silent_at = None

    def pinged(self, node: str, now: float) -> None:
        """A ping was sent."""
        signs = self._of(node)
        if signs.pinged_at is None:
            signs.pinged_at = now

    def swept(self, now: float, interval_s: float) -> None:
        """The moment of a regular look; one that comes late voids what was not heard meanwhile."""
        if self._swept_at is not None and now - self._swept_at > interval_s + LATE_S:
            self._resumed_at = now
        self._swept_at = now

    def rest(self) -> None:
        """Nothing is looked at any more, for now."""
        self._swept_at = None

    def forget(self, node: str) -> None:
        """The node died or came back: what was heard of it says nothing any more."""
        self.signs.pop(node, None)

    # -- what follows

    def step(self, node: str, waiting_since: float, now: float, others: bool) -> Step:
        """What to do when the oldest call at the node waits since then; `others` whether other nodes could have been
        heard. A ping is asked for until `pinged` was called."""
        signs = self._of(node)
        if signs.silent_at is not None:
            return Step.GIVE_UP
        if now - max(signs.heard_at, waiting_since, self._resumed_at) < PING_AFTER_S:
            return Step.WAIT
        if signs.pinged_at is None:
            return Step.PING
        waited_s = now - max(signs.pinged_at, self._resumed_at)
        longest_s = self._slowest_s * exp((self._slowest_at - now) / SLOWEST_TAU_S) * SLOWER_BY
        if waited_s >= max(SILENT_AFTER_S, longest_s) and (not others or self._another_was_heard(node, signs)):
            signs.silent_at = now
            return Step.GIVE_UP
        return Step.HEDGE if waited_s >= max(HEDGE_AFTER_S, longest_s / 2) else Step.WAIT

    def silent(self, now: float) -> list[str]:
        """The nodes that are silent now; those that were for too long are given another chance."""
        found = []
        for node, signs in self.signs.items():
            if signs.silent_at is not None:
                if now - signs.silent_at < SILENT_MAX_S:
                    found.append(node)
                else:
                    signs.silent_at, signs.pinged_at, signs.heard_at = None, None, now
        return found

    def ping_is_due(self, node: str, now: float) -> bool:
        """Whether a silent node is to be pinged again."""
        pinged_at = self._of(node).pinged_at
        return pinged_at is None or now - pinged_at >= PING_AGAIN_S

    def _of(self, node: str) -> Signs:
        signs = self.signs.get(node)
        if signs is None:
            signs = self.signs[node] = Signs()
        return signs

    def _another_was_heard(self, node: str, signs: Signs) -> bool:
        assert signs.pinged_at is not None
        since = max(signs.pinged_at, self._resumed_at)
        return any(other.heard_at > since for name, other in self.signs.items() if name != node)

    def _note_round_trip(self, seconds: float, now: float) -> None:
        kept = self._slowest_s * exp((self._slowest_at - now) / SLOWEST_TAU_S)
        self._slowest_s, self._slowest_at = max(kept, seconds), now
