"""When operations are due in an open loop: evenly spaced, whatever became of those before. Pure; time is passed in.

An operation that could not be sent in time is not skipped: its latency counts from when it was due. Otherwise a stall
would hide all the operations that nobody sent during it ("coordinated omission": Gil Tene, "How NOT to Measure
Latency", 2013; wrk2 measures in the same way).
"""

from math import ceil, floor

ROUNDING = 1e-6
"""Of one operation: what binary fractions may add to a count that is even in decimal ones."""


class Schedule:
    """`rate` operations a second from `began` until `ends`, both in seconds of one clock.

    `phase`, from 0 to 1, is the part of an interval by which this schedule is shifted, so that several generators take
    turns.
    """

    def __init__(self, rate: float, began: float, ends: float, phase: float = 0.0) -> None:
        assert rate > 0 and ends >= began and 0 <= phase < 1
        self.rate = rate
        self.taken = 0
        self._began = began
        self._phase = phase
        self.ends = ends
        self.total = max(0, ceil((ends - began) * rate - phase - ROUNDING))
        """How many become due in all."""

    def due(self, now: float) -> int:
        """How many operations were due by `now` and are not taken yet."""
        steps = (now - self._began) * self.rate - self._phase
        return max(0, min(self.total, floor(steps) + 1) - self.taken)

    def next_at(self) -> float:
        """When the next one is due."""
        return self._began + (self.taken + self._phase) / self.rate

    def take(self) -> float:
        """Take the next one; returns when it was due."""
        at = self.next_at()
        self.taken += 1
        return at

    def end(self, now: float) -> None:
        """Nothing more becomes due after `now`."""
        if now < self.ends:
            self.total = min(self.total, self.taken + self.due(now))
            self.ends = max(now, self._began)
