"""A clock that a test moves by hand."""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any


class HandTimer:
    """A call that is still to come."""

    def __init__(self, function: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.function: Callable[..., object] | None = function
        self.args = args

    def cancel(self) -> None:
        self.function = None


class HandClock:
    """Calls are made in the order of their times, then of their making."""

    def __init__(self, wall_s: float = 1_700_000_000.0) -> None:
        self.time = 0.0
        self.wall_s = wall_s
        self._calls: list[tuple[float, int, HandTimer]] = []
        self._made = 0

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return self.wall_s + self.time

    def call_at(self, when: float, function: Callable[..., object], *args: Any) -> HandTimer:
        timer = HandTimer(function, args)
        self._made += 1
        heappush(self._calls, (max(when, self.time), self._made, timer))
        return timer

    def call_later(self, delay: float, function: Callable[..., object], *args: Any) -> HandTimer:
        return self.call_at(self.time + delay, function, *args)

    def call_soon(self, function: Callable[..., object], *args: Any) -> HandTimer:
        return self.call_at(self.time, function, *args)

    def advance(self, seconds: float = 0.0) -> None:
        """Make all calls that are due up to `seconds` from now."""
        until = self.time + seconds
        while self._calls and self._calls[0][0] <= until:
            when, _, timer = heappop(self._calls)
            self.time = when
            if timer.function is not None:
                timer.function(*timer.args)
        self.time = until

    def stall(self, seconds: float) -> None:
        """Let time pass in which nothing runs: what was due comes late."""
        self.time += seconds
        self._calls = [(max(when, self.time), made, timer) for when, made, timer in sorted(self._calls)]

    def pending(self) -> int:
        """How many calls are still to come."""
        return sum(timer.function is not None for _, _, timer in self._calls)
