"""The passes of a node's one loop: how a pass ends, long work cut to fit into it, and that none came for a while."""

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

SWEEP_LATE_S = 0.06
"""Sweeps of deadlines come every 20 ms. One that comes so late shows that this process stood still, and the answers may
wait in its sockets: that sweep decides nothing, and by the next one they have been read."""
READ_FIRST_S = 0.02
"""Enough for some passes of the loop, each of which reads every socket once."""


def _nothing() -> None:
    """Until a block registers itself."""


class OutputTick:
    """The end of a pass: runs the two writers once after each pass that armed it, the log's before the sockets'.

    Whatever one pass produced leaves together: first `write_log` (its callbacks may queue acknowledgements), then
    `write_sockets`. So nothing is acknowledged on the wire that the kernel has not been given for the disk, and a pass
    costs one write for the log and one a connection, however many operations it carried (group commit). A pass that
    has much to do ends more than once: with hundreds in flight, all would else move from one process to the next as
    one convoy, and each would wait while another works.
    """

    __slots__ = ("_armed", "_before", "_clock", "_running", "write_log", "write_sockets")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._armed = False
        self._running = False
        self._before: list[Callable[[], None]] = []
        self.write_log: Callable[[], None] = _nothing
        self.write_sockets: Callable[[], None] = _nothing

    def arm(self) -> None:
        """Something is queued: write at the end of this pass."""
        if not self._armed:
            self._armed = True
            self._clock.call_soon(self._run)

    def before_log(self, function: Callable[[], None]) -> None:
        """Call once at the end of this pass, before the log is written: what the pass has gathered becomes one put."""
        self._before.append(function)
        self.arm()

    def arm_sockets(self) -> None:
        """Something is queued for a socket: while the two writers run it leaves with this pass, and needs no other."""
        if not self._running and not self._armed:
            self._armed = True
            self._clock.call_soon(self._run)

    def end_early(self) -> None:
        """So much is queued that it had better leave now, although the pass goes on. Not while the writers run."""
        if self._armed and not self._running:
            self._run()

    def _run(self) -> None:
        if not self._armed:  # it all left early
            return
        self._armed, self._running = False, True
        try:
            if self._before:
                before, self._before = self._before, []
                for function in before:
                    function()
            self.write_log()
            self.write_sockets()
        finally:
            self._running = False


class Slices:
    """The works of one node that are under way: work that grows with the data, done a slice a pass.

    Whatever walks over rows would stop the node for as long as there are rows: its peers would miss it and suspect it,
    and all that waits here would wait. So such work is cut into slices, and between two of them the loop runs what has
    arrived. Of all the works under way only one has its slice in a pass, in turn: a second walk makes the first slower,
    never the passes longer.
    """

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


class StallWatch:
    """Notices that this process did not run for a while (SIGSTOP, a starved core), and from when to when: a heartbeat
    that is late by more than `limit` seconds is a stall.

    A probe whose window overlaps a stall says nothing about the peer (Lifeguard, Dadgar et al. 2018, argues the same
    for slow processing). It dates nothing that arrives: see `cluster.wire.clock`. Pure.
    """

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
