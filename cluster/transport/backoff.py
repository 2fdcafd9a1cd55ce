"""When a peer that could not be reached may be dialled again: exponential, with full jitter.

Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015). Pure: time and randomness are passed in.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random


class Backoff:
    """One peer's redial times."""

    __slots__ = ("_delay", "_max", "_min", "_until")

    def __init__(self, min_s: float, max_s: float) -> None:
        self._min = min_s
        self._max = max_s
        self._delay = min_s
        self._until = float("-inf")

    def blocked(self, now: float) -> bool:
        """Whether it is too early to dial."""
        return now < self._until

    def failed(self, now: float, random: "Random") -> None:
        """A dial failed: wait longer than last time."""
        self._until = now + random.uniform(self._min / 2, self._delay)
        self._delay = min(self._delay * 2, self._max)

    def reset(self) -> None:
        """The peer was heard: dial at once."""
        self._delay = self._min
        self._until = float("-inf")
