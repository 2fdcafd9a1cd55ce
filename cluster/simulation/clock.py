"""A node's clock in virtual time: it starts anywhere, may run fast or slow, and its wall time may be wrong.

`now` of two nodes has nothing in common, as on two machines; the world's own time is `EventSchedule.now`.
"""

from collections.abc import Callable
from typing import Any

from cluster.simulation.schedule import EventSchedule, ScheduledCall, SimulatedProcess

WALL_START = 1_767_225_600.0  # 2026-01-01 00:00 UTC
ROUNDING = 1e-9  # seconds: above what doubles lose in the conversion for the first months of a run, below any delay


class SimulatedClock:
    """The clock of one process: `now` = `origin` + `rate` x virtual time."""

    __slots__ = ("_on_read", "_process", "_schedule", "_wished", "origin", "rate", "skew")

    def __init__(
        self, schedule: EventSchedule, process: SimulatedProcess, origin: float, rate: float, skew: float
    ) -> None:
        self._schedule = schedule
        self._process = process
        self.origin = origin
        self.rate = rate
        self.skew = skew
        self._wished = 0.0  # the skew of the users' faults, beside it
        self._on_read: Callable[[], object] | None = None

    def now(self) -> float:
        """Monotonic seconds."""
        return self.origin + self.rate * self._schedule.now

    def wall(self) -> float:
        """Unix time in seconds, off by `skew`."""
        if self._on_read is not None:
            self._on_read()
        return WALL_START + self.rate * self._schedule.now + self.skew + self._wished

    def set_skew(self, skew_s: float, on_read: Callable[[], object]) -> None:
        """Let `wall` be ahead by so much more, and say each reading of it; 0: no more."""
        self._wished, self._on_read = skew_s, on_read if skew_s else None

    def call_at(self, when: float, function: Callable[..., object], *args: Any) -> ScheduledCall:
        """Call at the monotonic time `when`, never early: `now` is at least `when` then."""
        due = (when - self.origin) / self.rate
        if self.origin + self.rate * due < when:
            due += ROUNDING
        return self._schedule.at(due, self._process, function, args)

    def call_later(self, delay: float, function: Callable[..., object], *args: Any) -> ScheduledCall:
        """Call after `delay` seconds."""
        now, origin, rate = self._schedule.now, self.origin, self.rate
        due = now + delay / rate
        if origin + rate * due < origin + rate * now + delay:
            due += ROUNDING
        return self._schedule.at(due, self._process, function, args)

    def call_soon(self, function: Callable[..., object], *args: Any) -> ScheduledCall:
        """Call after what is ready."""
        return self._schedule.soon(self._process, function, args)
