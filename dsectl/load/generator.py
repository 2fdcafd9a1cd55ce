"""Starts operations when they are due (open loop), or when a client is free (closed loop). Waiting is all it does.

In an open loop operations are due evenly spaced, whatever became of those before. One that could not be sent in time is
not skipped: its latency counts from when it was due. Otherwise a stall would hide all the operations that nobody sent
during it ("coordinated omission": Gil Tene, "How NOT to Measure Latency", 2013; wrk2 measures in the same way).

Timers of the loop are exact to a millisecond, so what is due within one is started together. Nothing here waits for an
answer: `ended` is called by whoever got it. The loads of all families, and their operations, have a common part here.
"""

import asyncio
from collections.abc import Callable
from math import ceil, floor
from time import monotonic

from cluster.client.aio import Calls, Outcome
from dsectl.load.tally import US, KindTally, Tally

ROUNDING = 1e-6
"""Of one operation: what binary fractions may add to a count that is even in decimal ones."""


class ArrivalSchedule:
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


BURST = 200
BURST_S = 0.002
"""Operations started in one go, and the time that they may take, before the loop may read answers again. Without the
limit of time a generator that is slow would send all that is due in one go, and count nothing as missed."""
TICK_S = 0.001
LAST_S = 0.1
"""What became due in so short a time before the end is sent all the same, late: a machine that was busy just then
proves nothing about the rate. It is the lag from which on a schedule counts as not kept."""
LAST_BURST_S = 0.02
"""And so long that may take, so that a generator that is too slow for its rate does not catch up after the end."""
REFUSED_PAUSE_S = 0.01
"""A client of a closed loop that was refused waits so long, as one would; else it would do nothing but be refused."""


class Generator:
    """`start(due)` begins one operation, which was due at that time of `monotonic`. At most `limit` are under way."""

    def __init__(
        self, start: Callable[[float], None], tally: Tally, limit: int, schedule: ArrivalSchedule | None
    ) -> None:
        assert limit >= 1
        self.in_flight = 0
        self.over = False
        self._start = start
        self._tally = tally
        self._lag = tally.lag.fresh.append
        self._limit = limit
        self._schedule = schedule
        self._free_at = 0.0  # when a place became free for operations that had to wait for one
        self._full = False
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None
        self._idle = self._loop.create_future()

    def begin(self) -> None:
        """Start offering."""
        if self._schedule is not None:
            self._tick()
            return
        for _ in range(self._limit):
            self._next()

    def end(self, now: float) -> None:
        """Offer nothing more, but for what has just become due. What was due before and is not sent has waited until
        now: the report counts it as `unsent` when it waited for answers, with its waiting among the latencies; as
        `missed` when it waited for this generator."""
        schedule = self._schedule
        if schedule is not None:
            schedule.end(now)
            able = min(schedule.due(now), self._limit - self.in_flight)
            if able <= max(1.0, schedule.rate * LAST_S):
                self._send(schedule, able, LAST_BURST_S)
            left = schedule.due(now)
            if self.in_flight < self._limit:
                self._tally.found.missed = left
            else:
                self._tally.found.unsent = left
                self._tally.unsent.fresh += [int((now - schedule.take()) * US) for _ in range(left)]
        self.over = True
        if self._timer is not None:
            self._timer.cancel()
        if self.in_flight == 0 and not self._idle.done():
            self._idle.set_result(None)

    async def idle(self) -> None:
        """Wait for the operations that are under way; each ends by itself."""
        await self._idle

    def ended(self, refused: bool = False) -> None:
        """An operation is over."""
        self.in_flight -= 1
        if self.over:
            if self.in_flight == 0 and not self._idle.done():
                self._idle.set_result(None)
        elif self._schedule is None:
            if refused:
                self._loop.call_later(REFUSED_PAUSE_S, self._next)
            else:
                self._next()
        elif self._full:
            self._full = False
            self._free_at = monotonic()
            self._again(0)

    def _next(self) -> None:
        """A client of the closed loop goes on."""
        if not self.over:
            self.in_flight += 1
            self._tally.offered += 1
            self._start(monotonic())

    def _tick(self) -> None:
        """Start what is due, and see when to go on."""
        schedule = self._schedule
        assert schedule is not None
        now = monotonic()
        self._send(schedule, min(schedule.due(now), self._limit - self.in_flight, BURST), BURST_S)
        if not schedule.due(now):
            self._again(max(TICK_S, schedule.next_at() - monotonic()))
        elif self.in_flight >= self._limit:
            self._full = True  # `ended` goes on
        else:
            self._again(0)

    def _send(self, schedule: ArrivalSchedule, count: int, seconds: float) -> None:
        """Start so many that are due, or as many as can be started in a time."""
        now = monotonic()
        stop = now + seconds
        for _ in range(count):
            self.in_flight += 1
            self._tally.offered += 1
            at = schedule.take()
            self._lag(max(0, int((now - max(at, self._free_at)) * US)))
            self._start(at)
            now = monotonic()
            if now >= stop:
                break

    def _again(self, after_s: float) -> None:
        if self.over:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(after_s, self._tick) if after_s else self._loop.call_soon(self._tick)


# -- what is started


class FamilyLoad:
    """One family's load. What it finds goes into the tally's report. `ended(refused)` is to be set before the first
    `start`."""

    def __init__(self, calls: Calls, tally: Tally) -> None:
        self.calls = calls
        self.tally = tally
        self.found = tally.found
        self.ended: Callable[[bool], None] = lambda refused: None

    def start(self, due: float) -> None:
        """Begin one operation that was due then."""
        raise NotImplementedError

    async def check(self, patience_s: float) -> None:
        """Look again at what was promised, once nothing more is offered; may be cancelled."""

    def end(self) -> None:
        """Write down what can be said only when nothing follows."""

    async def remove(self) -> None:
        """Take away what it made for itself and nobody needs afterwards; may be cancelled."""


class OfferedOperation:
    """One operation, called back with its outcome. Small, since a process begins tens of thousands a second."""

    __slots__ = ("due", "kind", "load", "sent")

    def __init__(self, load: FamilyLoad, kind: KindTally, due: float) -> None:
        self.load = load
        self.kind = kind
        self.due = due
        self.sent = monotonic()

    def answered_at(self) -> float:
        """Until when its latency counts; called at its end."""
        return monotonic()

    def count(self, outcome: Outcome, succeeded: bool) -> bool:
        """Count it as ended; returns whether it was refused."""
        now = self.answered_at()
        if succeeded:
            self.kind.ok += 1
            self.kind.timed(self.due, self.sent, now)
            return False
        return self.load.tally.went_wrong(self.kind, outcome, self.due, self.sent, now)
