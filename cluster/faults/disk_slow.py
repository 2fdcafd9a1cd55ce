"""Disk-slow: each append to a node's log, and each sync of it, takes longer. `heal` ends it.

An append is a system call on the node's one thread, so a late one stops the whole node for as long, as a write does
that the kernel throttles; peers may suspect it. A sync runs beside the loop and is late alone: only who waits for it
(durability `always`) waits longer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cluster.errors import Usage
from cluster.faults.kind import Ailment, FaultKind, Figure

if TYPE_CHECKING:
    from cluster.faults.fault import Fault

DELAY_MAX_MS: Final = 10_000.0
"""A node that stands still in an append learns of `heal` only when that returns."""


class DiskSlow(FaultKind):
    """The log of `nodes` is late by `delay_ms`."""

    name = "disk-slow"
    scope = "disk"
    command = "disk"
    fields = ("nodes", "delay_ms")
    verb = "delayed"

    def validate(self, fault: Fault) -> None:
        """A node, and a delay that can be."""
        super().validate(fault)
        if not 0 < fault.delay_ms <= DELAY_MAX_MS:
            help = "`dsectl disk n3 --slow 50ms`, for example; `dsectl pause n3` stops it for longer."
            raise Usage("a slow disk needs a delay above 0, and of 10s at most", help=help)

    def figures(self, fault: Fault) -> list[Figure]:
        """The delay."""
        return [Figure("delay", fault.delay_ms / 1000, "s")]

    def ailment(self, fault: Fault) -> Ailment:
        """Delays the log."""
        return Ailment(fault.id, log_delay_s=fault.delay_ms / 1000)
