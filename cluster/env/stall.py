"""Notices that this process did not run for a while (SIGSTOP, a starved core), and from when to when.

A probe whose window overlaps a stall says nothing about the peer (Lifeguard, Dadgar et al. 2018, argues the same for
slow processing). It dates nothing that arrives: see `cluster.wire.clock`. Pure: fed with `beat` and asked with times.
"""

SWEEP_LATE_S = 0.06
"""Sweeps of deadlines come every 20 ms. One that comes so late shows that this process stood still, and the answers may
wait in its sockets: that sweep decides nothing, and by the next one they have been read."""
READ_FIRST_S = 0.02
"""Enough for some passes of the loop, each of which reads every socket once."""


class StallWatch:
    """A heartbeat that is late by more than `limit` seconds is a stall."""

    __slots__ = ("count", "interval", "last_beat", "limit", "stall_end", "stall_start")

    def __init__(self, now: float, interval: float, limit: float) -> None:
        self.interval = interval
        self.limit = limit
        self.last_beat = now
        self.stall_start = float("-inf")
        self.stall_end = float("-inf")
        self.count = 0

    def beat(self, now: float) -> float:
        """Record that the process runs now. Returns the length of the stall that just ended, or 0."""
        gap = now - self.last_beat - self.interval
        stalled = gap > self.limit
        if stalled:
            self.stall_start, self.stall_end = self.last_beat, now
            self.count += 1
        self.last_beat = now
        return gap if stalled else 0.0

    def overlaps(self, since: float, until: float) -> bool:
        """Whether the window meets the last stall, or one that is under way."""
        return self.stall_end >= since or until - self.last_beat > self.limit + self.interval
