"""Local health: how much this node distrusts itself, as a score from 0 (healthy) to a maximum.

Lifeguard (2018) section IV.A, "LHA-Probe"; memberlist's awareness.go. A node that is slow to process messages sees all
others as failed, so evidence of its own slowness (failed probes whose helpers did not even send a nack, refutations of
its own suspicion, stalls) lengthens its probe interval and timeout by score + 1. Pure.
"""


class Awareness:
    """The local health multiplier."""

    __slots__ = ("maximum", "score")

    def __init__(self, maximum: int) -> None:
        assert maximum >= 0
        self.maximum = maximum
        self.score = 0

    def apply(self, delta: int) -> None:
        """Worse by a positive `delta`, better by a negative one."""
        self.score = min(self.maximum, max(0, self.score + delta))

    def scale(self, seconds: float) -> float:
        """A timeout or an interval, as long as this node's health demands."""
        return seconds * (self.score + 1)
