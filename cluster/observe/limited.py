"""A recorder that a flood cannot fill: the first of a kind are recorded, the rest of an interval are counted.

Who connects and is refused decides how often that happens, not this node; its events and its log must stay readable.
"""

from typing import Any

from cluster.env import Clock
from cluster.ports import Recorder

FIRST = 5
INTERVAL_S = 10.0


class LimitedRecorder:
    """A `ports.Recorder` before another one."""

    def __init__(self, clock: Clock, record: Recorder) -> None:
        self._clock = clock
        self._record = record
        self._counts: dict[str, int] = {}  # by kind, in this interval
        self._armed = False

    def __call__(self, kind: str, cause: str, **fields: Any) -> object:
        """One more event of the kind."""
        self._counts[kind] = count = self._counts.get(kind, 0) + 1
        if not self._armed:
            self._armed = True
            self._clock.call_later(INTERVAL_S, self._close)
        return self._record(kind, cause, **fields) if count <= FIRST else None

    def _close(self) -> None:
        counts, self._counts, self._armed = self._counts, {}, False
        for kind, count in counts.items():
            if count > FIRST:
                self._record(kind, f"{count - FIRST} more in {INTERVAL_S:.0f} s", count=count - FIRST)
