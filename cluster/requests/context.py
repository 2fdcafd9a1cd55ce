"""What a handler may know of the call it serves, and its only way to wait.

Time comes from the node's clock and waiting from the node's loop, so a handler runs unchanged in the simulated world.
"""

from collections.abc import Awaitable, Callable

from cluster.env import Clock

Sleep = Callable[[float], Awaitable[None]]


class CallContext:
    """One call. `deadline` is on the node's monotonic clock; the handler is cancelled when it passes."""

    __slots__ = ("_clock", "_sleep", "deadline", "key", "node")

    def __init__(self, node: str, key: str, deadline: float, clock: Clock, sleep: Sleep) -> None:
        self.node = node
        self.key = key
        self.deadline = deadline
        self._clock = clock
        self._sleep = sleep

    def remaining(self) -> float:
        """Seconds until the deadline, at least 0."""
        return max(0.0, self.deadline - self._clock.now())

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._sleep(seconds)
