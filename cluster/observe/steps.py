"""What single operations did here, for those that asked to be explained: a ring of steps, oldest forgotten first.

An operation that is to be explained carries a W3C traceparent through every node that has a part in it, and each keeps
its own steps; whoever explains it collects them. All others carry nothing and leave nothing. Steps are of this boot.
"""

from collections import deque
from typing import Any

from cluster.env import Clock
from cluster.observe.rfc3339 import format_time
from cluster.wire.trace import trace_id

STEPS_MAX = 4096


class Steps:
    """The ring of one node."""

    def __init__(self, clock: Clock, node: str) -> None:
        self._clock = clock
        self._node = node
        self._ring: deque[tuple[str, dict[str, Any]]] = deque(maxlen=STEPS_MAX)

    def add(self, trace: str, what: str, **fields: Any) -> None:
        """Keep one step of the operation with this traceparent. `fields` are JSON values."""
        id = trace_id(trace)
        if id:
            at = self._clock.wall()
            step = {"at": format_time(at), "unix_s": round(at, 6), "node": self._node, "step": what, **fields}
            self._ring.append((id, step))

    def of(self, id: str) -> list[dict[str, Any]]:
        """The steps of a trace, oldest first."""
        return [step for trace, step in self._ring if trace == id]
