"""Work that grows with the data, done a slice a pass of the loop.

Whatever walks over rows would stop the node for as long as there are rows: its peers would miss it and suspect it, and
all that waits here would wait. So such work is cut into slices, and between two of them the loop runs what has arrived.
Of all the works under way only one has its slice in a pass, in turn: a second walk makes the first slower, never the
passes longer.
"""

from collections import deque
from collections.abc import Callable

from cluster.env.seam import Clock

REST_S = 0.001
"""Between two slices at least, in which the loop, and on a small machine the other processes too, do what is asked of
them."""
REST_SHARE = 6
"""A rest is so many times as long as the slice before it: a seventh of a core at most. Nodes that share a machine run
their slices at the same time, and a slice that had to wait for a core is followed by a longer rest."""

Slice = Callable[[], bool]
"""Does a little, a fraction of a millisecond; returns whether there is more to do."""


class Slices:
    """The works of one node that are under way."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._works: deque[Slice] = deque()

    def __len__(self) -> int:
        return len(self._works)

    def begin(self, work: Slice) -> None:
        """Call it once a pass, in turn with the others, until it has no more to do; the first time in the next pass."""
        self._works.append(work)
        if len(self._works) == 1:
            self._clock.call_soon(self._run)

    def _run(self) -> None:
        work = self._works[0]
        began, more = self._clock.now(), False
        try:
            more = work()
        finally:  # a work that raises is over, and must not end the others
            self._works.popleft()
            if more:
                self._works.append(work)
            if self._works:
                took = self._clock.now() - began
                self._clock.call_later(max(REST_S, REST_SHARE * took), self._run)
