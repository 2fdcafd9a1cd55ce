"""The end of a loop pass: the log is written before the sockets.

Whatever one pass produced leaves together: first `write_log` (its callbacks may queue acknowledgements), then
`write_sockets`. So nothing is acknowledged on the wire that the kernel has not been given for the disk, and a pass
costs one write for the log and one a connection, however many operations it carried (group commit).
"""

from collections.abc import Callable

from cluster.env.seam import Clock


def _nothing() -> None:
    """Until a block registers itself."""


class OutputTick:
    """Runs the two writers once after each pass that armed it."""

    __slots__ = ("_armed", "_clock", "_running", "write_log", "write_sockets")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._armed = False
        self._running = False
        self.write_log: Callable[[], None] = _nothing
        self.write_sockets: Callable[[], None] = _nothing

    def arm(self) -> None:
        """Something is queued: write at the end of this pass."""
        if not self._armed:
            self._armed = True
            self._clock.call_soon(self._run)

    def arm_sockets(self) -> None:
        """Something is queued for a socket: while the two writers run it leaves with this pass, and needs no other."""
        if not self._running and not self._armed:
            self._armed = True
            self._clock.call_soon(self._run)

    def _run(self) -> None:
        self._armed, self._running = False, True
        try:
            self.write_log()
            self.write_sockets()
        finally:
            self._running = False
