"""Disk-wipe: all that a node kept was deleted, once, as when a disk is replaced by an empty one.

The node was killed first and started afterwards, under a new id; its peers complete it. `heal` gives nothing back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster.errors import Usage
from cluster.faults.kind import FaultKind

if TYPE_CHECKING:
    from cluster.faults.fault import Fault


class DiskWipe(FaultKind):
    """So many `files` of the one node."""

    name = "disk-wipe"
    scope = "disk"
    command = "disk"
    cure = "restart"
    fields = ("nodes", "files")
    verb = "deleted"

    def validate(self, fault: Fault) -> None:
        """One node; over as soon as it is done."""
        if len(fault.nodes) != 1 or fault.files < 0 or fault.active:
            raise Usage("the disk of one node is wiped, at once")

    def remarks(self, fault: Fault) -> list[str]:
        """How much."""
        return [f"{fault.files} files"]

    def done(self, fault: Fault) -> dict[str, int]:
        """The files."""
        return {fault.nodes[0]: fault.files} if fault.files else {}
