"""What a session remembers of each key it read or wrote: the causal context, so that its next write replaces just that.

Bounded: the key used least recently is forgotten first. Forgetting is safe; the next write is then concurrent with what
it did not see, and becomes a sibling.
"""

from cluster.versions.context import encode_clock

CONTEXTS_MAX = 10_000
NOTHING = (b"", encode_clock({}))


class Contexts:
    """Encoded clocks by key."""

    __slots__ = ("_clocks", "_limit")

    def __init__(self, limit: int = CONTEXTS_MAX) -> None:
        assert limit > 0
        self._clocks: dict[str, bytes] = {}
        self._limit = limit

    def __len__(self) -> int:
        return len(self._clocks)

    def remember(self, key: str, clock: bytes) -> None:
        """`clock` covers all that the session knows of `key`; one that covers nothing is forgotten.

        A node answers a blind write beside unseen siblings with such a clock: nothing could cover the one and not them.
        """
        self._clocks.pop(key, None)
        if clock in NOTHING:
            return
        self._clocks[key] = clock
        if len(self._clocks) > self._limit:
            del self._clocks[next(iter(self._clocks))]

    def recall(self, key: str) -> bytes | None:
        """The clock to write `key` with, None when the session does not know the key."""
        clock = self._clocks.pop(key, None)
        if clock is not None:
            self._clocks[key] = clock
        return clock

    def forget(self, key: str) -> None:
        """Write `key` without a context the next time."""
        self._clocks.pop(key, None)
