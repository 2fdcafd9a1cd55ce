"""Clock: the wall clock of a node is wrong; its monotonic clock, and so every timeout, is right. `heal` ends it.

Wall time dates events and stamps values; what replaces what is decided by version vectors, so that a wrong clock
loses nothing. A stamp that was given stays, and a node gives no lower one after it: healed, a clock that was ahead
stamps just above its last until time has caught up, or the node restarts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cluster.errors import Usage
from cluster.faults.kind import Ailment, FaultKind, Figure

if TYPE_CHECKING:
    from cluster.faults.fault import Fault

SKEW_MAX_MS: Final = 10 * 365 * 24 * 3600 * 1000.0
"""Ten years: further, and stamps (48 bits of milliseconds) and dates of four digits come near their ends."""


class SkewedClock(FaultKind):
    """The clocks of `nodes` are ahead by `skew_ms`, or behind when it is negative."""

    name = "clock"
    scope = "clock"
    fields = ("nodes", "skew_ms")
    verb = "times read"

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
