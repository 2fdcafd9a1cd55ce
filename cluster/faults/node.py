"""Faults of a whole node: its process is killed or paused, or its wall clock is wrong.

Kill ends processes with SIGKILL, pause stops them with SIGSTOP, as a long GC pause or a machine that is suspended does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cluster.errors import Usage
from cluster.faults.kind import Ailment, FaultKind, Figure

if TYPE_CHECKING:
    from cluster.faults.fault import Fault

SKEW_MAX_MS: Final = 10 * 365 * 24 * 3600 * 1000.0
"""Ten years: further, and stamps (48 bits of milliseconds) and dates of four digits come near their ends."""


class ProcessKind(FaultKind):
    """Something was done to the processes of `nodes`, or of workers; it ends when all of them run again."""

    scope = "process"
    fields = ("nodes", "returned")
    verb = "failed"


class Kill(ProcessKind):
    """`nodes` were killed; `returned` are those that were started again."""

    name = "kill"
    cure = "restart"


class Pause(ProcessKind):
    """`nodes` do not run; `returned` are those that go on."""

    name = "pause"
    cure = "resume"


class SkewedClock(FaultKind):
    """The wall clocks of `nodes` are ahead by `skew_ms`, or behind when it is negative; their monotonic clocks, and so
    every timeout, are right. `heal` ends it.

    Wall time dates events and stamps values; what replaces what is decided by version vectors, so that a wrong clock
    loses nothing. A stamp that was given stays, and a node gives no lower one after it: healed, a clock that was ahead
    stamps just above its last until time has caught up, or the node restarts.
    """

    name = "clock"
    scope = "clock"
    fields = ("nodes", "skew_ms")
    verb = "skewed"

    def validate(self, fault: Fault) -> None:
        """A node, and a skew that can be."""
        super().validate(fault)
        if not 0 < abs(fault.skew_ms) <= SKEW_MAX_MS:
            raise Usage("a skew is not 0, and ten years at most", help="`dsectl clock n3 --skew 5m`, for example.")

    def figures(self, fault: Fault) -> list[Figure]:
        """The skew."""
        return [Figure("skew", fault.skew_ms / 1000, "skew")]

    def ailment(self, fault: Fault) -> Ailment:
        """Shifts wall time."""
        return Ailment(fault.id, skew_s=fault.skew_ms / 1000)
