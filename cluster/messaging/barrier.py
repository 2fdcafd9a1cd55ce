"""Announces this node's interest, and says when every live node knows of it.

A message published after the barrier, on any node, reaches the subscription (while the connections hold). Changes of
one pass are announced together, and all that wait share one round. When a member does not confirm within the timeout,
the answer counts this node alone: failure detection will drop that member, or it learns by gossip.
"""

from collections.abc import Callable

from cluster.env import Clock, Timer
from cluster.messaging.interest import KIND
from cluster.ports import Facts

TIMEOUT_S = 1.0
"""Well below the 5 s that a client waits, well above a round trip between loaded nodes."""

Done = Callable[[int], None]


class _Round:
    """Those that wait for one telling; they are answered once, by the facts or by the timer."""

    def __init__(self, waiting: list[Done]) -> None:
        self.waiting = waiting
        self.timer: Timer | None = None

    def finish(self, nodes: int) -> None:
        if self.timer is not None:
            self.timer.cancel()
        waiting, self.waiting = self.waiting, []
        for done in waiting:
            done(nodes)


class Barrier:
    """`encode` gives the fact as it is when a round starts."""

    def __init__(self, clock: Clock, facts: Facts, encode: Callable[[], bytes]) -> None:
        self._clock = clock
        self._facts = facts
        self._encode = encode
        self._waiting: list[Done] = []
        self._armed = False

    def announce(self) -> None:
        """The interest changed: announce it at the end of this pass."""
        if self._armed:
            return
        self._armed = True

        def start() -> None:
            self._armed = False
            self._facts.announce(KIND, self._encode())
            if self._waiting:
                round = _Round(self._waiting)
                self._waiting = []
                round.timer = self._clock.call_later(TIMEOUT_S, round.finish, 1)
                self._facts.tell(KIND, round.finish)

        self._clock.call_soon(start)

    def wait(self, done: Done) -> None:
        """Announce, and call `done(nodes)` when `nodes` nodes, this one among them, know the interest."""
        self._waiting.append(done)
        self.announce()
