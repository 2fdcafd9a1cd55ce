"""Disk-flip-byte: one byte of a node's log was changed on the disk, once, whether the node ran or not.

A node reads its log when it boots, so it notices then: its next restart finds the record that fails its checksum, and
completes the partition from its peers. `heal` gives no byte back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster.errors import Usage
from cluster.faults.kind import FaultKind

if TYPE_CHECKING:
    from cluster.faults.fault import Fault


class DiskFlipByte(FaultKind):
    """The byte at `offset` of `file`, in the folder of the one node."""

    name = "disk-flip-byte"
    scope = "disk"
    command = "disk"
    cure = "restart"
    fields = ("nodes", "file", "offset")
    verb = "flipped"

    def validate(self, fault: Fault) -> None:
        """One node, and a byte; over as soon as it is done."""
        if len(fault.nodes) != 1 or not fault.file or fault.offset < 0 or fault.active:
            raise Usage("a byte is flipped on one node, in one file, at once")

    def remarks(self, fault: Fault) -> list[str]:
        """Where."""
        return [f"byte {fault.offset} of {fault.file}"]

    def done(self, fault: Fault) -> dict[str, int]:
        """One byte."""
        return {fault.nodes[0]: 1}
