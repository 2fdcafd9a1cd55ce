"""How many retries and hedges the calls of one service may cost this entry node.

A retry is load that no client asked for. Without a budget those of a service that fails multiply what is asked of it,
and keep it down after what made it fail has gone. So over the last ten seconds retries are at most a fifth of the
calls, and a few more, so that a quiet service has some at all (Finagle's RetryBudget; "Addressing Cascading Failures",
Site Reliability Engineering, 2016). Hedges come from the same budget and are at most a twentieth (Dean and Barroso,
"The Tail at Scale", 2013). Pure.
"""

from collections import deque

WINDOW_S = 10
RETRIES_PER_CALL, RETRIES_PER_S = 0.2, 10
HEDGES_PER_CALL, HEDGES_PER_S = 0.05, 1


class RetryBudget:
    """The calls of the last ten seconds, by second, and what was spent on them."""

    __slots__ = ("_past", "_second", "calls", "hedges", "retries")

    def __init__(self, now: float) -> None:
        self._second = now
        self._past: deque[tuple[int, int, int]] = deque(maxlen=WINDOW_S - 1)
        self.calls = 0
        """In this second; the router counts each call here."""
        self.retries = 0
        """In this second, hedges included."""
        self.hedges = 0

    @property
    def second_ends(self) -> float:
        """When `turn` is due."""
        return self._second + 1.0

    def turn(self, now: float) -> None:
        """Begin another second, when it is time."""
        for _ in range(min(WINDOW_S, int(now - self._second))):
            self._past.append((self.calls, self.retries, self.hedges))
            self.calls = self.retries = self.hedges = 0
        self._second += max(0, int(now - self._second))

    def take_retry(self, now: float) -> bool:
        """Whether there may be one more retry; it is counted."""
        self.turn(now)
        calls, retries, _ = self._spent()
        if retries + 1 > RETRIES_PER_CALL * calls + RETRIES_PER_S * WINDOW_S:
            return False
        self.retries += 1
        return True

    def take_hedge(self, now: float) -> bool:
        """Whether there may be one more hedge; it is counted, also as a retry."""
        self.turn(now)
        calls, _, hedges = self._spent()
        if hedges + 1 > HEDGES_PER_CALL * calls + HEDGES_PER_S * WINDOW_S or not self.take_retry(now):
            return False
        self.hedges += 1
        return True

    def _spent(self) -> tuple[int, int, int]:
        calls, retries, hedges = self.calls, self.retries, self.hedges
        for one in self._past:
            calls, retries, hedges = calls + one[0], retries + one[1], hedges + one[2]
        return calls, retries, hedges
