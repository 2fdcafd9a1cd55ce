"""Disk-full: whatever a node writes is refused, as on a disk without room (ENOSPC). `heal` ends it.

The batch that is refused is undone, the node says so, and goes on reading. It cannot boot meanwhile: a boot begins with
a record of itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster.faults.kind import Ailment, FaultKind

if TYPE_CHECKING:
    from cluster.faults.fault import Fault


class DiskFull(FaultKind):
    """The disks of `nodes` have no room."""

    name = "disk-full"
    scope = "disk"
    command = "disk"
    fields = ("nodes",)
    verb = "refused"

    def ailment(self, fault: Fault) -> Ailment:
        """Refuses writes."""
        return Ailment(fault.id, full=True)
