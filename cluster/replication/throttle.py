"""How fast a node moves data that no user waits for, so that those who wait do not suffer.

One bucket of tokens, in bytes, for all of it: partitions that are handed over or completed, hints that are delivered,
rows that are looked at for differences, repaired or dropped. Whoever moves something takes its bytes, which may leave a
debt, and rests until that is nearly paid; so nothing is held up half-way, and a large object needs no large bucket.

The rate follows the node's own foreground latencies. While their p99 is over `LIMIT_FACTOR` times what it was before
anything moved, what was used of the rate is cut by a factor; else the rate grows by a step, if it was used (AIMD; Chiu
and Jain, "Analysis of the Increase and Decrease Algorithms for Congestion Avoidance", 1989). It never falls below a
floor, so every move ends.
"""

from collections import Counter, deque
from collections.abc import Mapping
from typing import Final

from cluster.env.seam import Clock
from cluster.observe.latency import Latencies, quantile_s

LOOKED_AT_BYTES: Final = 64
"""What it costs to look at a row, or to drop one, in bytes that are moved: some microseconds."""
BURST_S: Final = 0.05
"""Nobody rests for a debt that is paid in so short a time: one pass may have many small things to move."""
WINDOW_S: Final = 0.5
"""Long enough for a p99 of some hundred operations, and short enough to follow what a user feels."""
LIMIT_FACTOR: Final = 1.5
"""Users may wait three times as long as before. A node sees half of that: what waits in a client's socket, and in its
own before it is read, comes on top; the buckets of latencies are up to a quarter wide, and the cut comes a window
late."""
RATE_MIN: Final = 1 << 19
"""Bytes a second. A sixth node's share of a million values of 1 KiB is some 540 MiB, which five nodes give in four
minutes at the very worst."""
RATE_MAX: Final = 1 << 28
RATE_START: Final = 2 << 20
"""With users there, before anything is known of how they fare."""
STEP: Final = 1 << 19
CUT: Final = 0.6
QUIET_WINDOWS: Final = 20
"""The base is the median p99 of the last so many windows in which nothing moved: what a change of members costs at its
beginning, as a process that starts, is no part of it."""
REST_WINDOWS: Final = 4
"""So many without a move have passed when a move is over: a source that is tried again does not begin another."""
SAMPLES_MIN: Final = 50
"""With fewer operations in a window nobody is disturbed whom a p99 could show."""
BASE_S: Final = 0.005
"""The base where nobody was there before the move."""
BASE_MIN_S: Final = 0.001
"""What is faster is not slow at twice as long."""


class RateControl:
    """The rate, from one window to the next. Pure."""

    def __init__(self) -> None:
        self.rate = float(RATE_MAX)
        self.base_s = BASE_S
        self.p99_s: float | None = None
        """Of the last window in which something moved; None when there were too few operations to say."""
        self._still = REST_WINDOWS
        """Windows since something moved."""
        self._quiet: deque[float | None] = deque(maxlen=QUIET_WINDOWS)
        """The p99 of each."""

    def on_window(self, counts: Mapping[int, int], used: float | None) -> None:
        """A window has passed, with these foreground durations (by bucket, as `Latencies` has them). `used`: how many
        bytes a second were moved, 0 while older ones are paid for, None when there was nothing to move."""
        p99_s = quantile_s(counts, 0.99) if sum(counts.values()) >= SAMPLES_MIN else None
        if used is None:
            self._still += 1
            if self._still > REST_WINDOWS:
                self._quiet.append(p99_s)
                known = sorted(one for one in self._quiet if one is not None)
                self.base_s = max(BASE_MIN_S, known[len(known) // 2]) if known else BASE_S
                self.rate = float(RATE_START if known else RATE_MAX)
            return
        self._still = 0
        self.p99_s = p99_s
        if p99_s is None:
            self.rate = min(RATE_MAX, 2 * self.rate)
        elif p99_s > LIMIT_FACTOR * self.base_s:
            self.rate = max(RATE_MIN, CUT * min(self.rate, used or self.rate))
        elif not used or used > self.rate / 2:  # a limit that nobody meets says nothing about a higher one
            self.rate = min(RATE_MAX, self.rate + STEP)


class Throttle:
    """The bucket, filled at the rate of the moment. `foreground`: what users wait for at this node."""

    def __init__(self, clock: Clock) -> None:
        self.control = RateControl()
        self.foreground: list[Latencies] = []
        self.taken_bytes = 0
        """Since the boot."""
        self._clock = clock
        self._paid_at = clock.now()
        """When what was taken is paid for, at the rate of the moment."""
        self._taken_before = 0
        self._counts: Counter[int] = Counter()

    def start(self) -> None:
        """Look at latencies from now on."""
        self._clock.call_later(WINDOW_S, self._window)

    def take(self, size: int) -> float:
        """So many bytes are moved now. Returns for how long to rest then, in seconds."""
        self.taken_bytes += size
        self._paid_at = max(self._paid_at, self._clock.now()) + size / self.control.rate
        return self.rest_s()

    def rest_s(self) -> float:
        """How long to rest before more is moved."""
        return max(0.0, self._paid_at - self._clock.now() - BURST_S)

    def status(self) -> dict[str, float | None]:
        """The rate in bytes a second, and the latencies that it follows."""
        control = self.control
        p99_ms = None if control.p99_s is None else round(control.p99_s * 1000, 3)
        return {"rate": round(control.rate), "p99_ms": p99_ms, "base_ms": round(control.base_s * 1000, 3)}

    def _window(self) -> None:
        before, self._counts = self._counts, Counter()
        for latencies in self.foreground:
            self._counts.update(dict(latencies.sparse()))
        moved, self._taken_before = self.taken_bytes - self._taken_before, self.taken_bytes
        busy = moved or self._paid_at > self._clock.now()
        self.control.on_window(self._counts - before, moved / WINDOW_S if busy else None)
        self._clock.call_later(WINDOW_S, self._window)
