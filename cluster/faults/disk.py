"""Faults of a node's disk, and what its disk asks of them. Pure: the disk does the waiting.

A slow or a full disk ails until `heal`; a flipped byte and a wiped disk are done at once, and `heal` gives nothing
back. What writes the receipts is part of the instrument, not of what is tested: it always finds room, or a full disk
would go on counting the attempts to write down its own count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cluster.errors import Usage
from cluster.faults.kind import Ailment, FaultKind, Figure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cluster.faults.fault import Fault

RECEIPTS: Final = "receipts.json"
DELAY_MAX_MS: Final = 10_000.0
"""A node that stands still in an append learns of `heal` only when that returns."""


class AilingDisk:
    """The active ailments of a disk, at least one."""

    def __init__(self, ailments: Sequence[Ailment], count: Callable[[Iterable[str]], None]) -> None:
        self._slow = [one.id for one in ailments if one.log_delay_s]
        self._delay_s = sum(one.log_delay_s for one in ailments)
        self._full = [one.id for one in ailments if one.full]
        self._count = count

    def delay_s(self) -> float:
        """By how many seconds an append to the log, or a sync of it, is late."""
        self._count(self._slow)
        return self._delay_s

    def refuses(self, path: str) -> bool:
        """Whether what is written to this file of the node finds no room."""
        if not self._full or path == RECEIPTS:
            return False
        self._count(self._full)
        return True


class DiskSlow(FaultKind):
    """Each append to the log of `nodes`, and each sync of it, is late by `delay_ms`.

    An append is a system call on the node's one thread, so a late one stops the whole node for as long, as a write does
    that the kernel throttles; peers may suspect it. A sync runs beside the loop and is late alone: only who waits for
    it (durability `always`) waits longer.
    """

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


class DiskFull(FaultKind):
    """Whatever `nodes` write is refused, as on disks without room (ENOSPC).

    The batch that is refused is undone, the node says so, and goes on reading. It cannot boot meanwhile: a boot begins
    with a record of itself.
    """

    name = "disk-full"
    scope = "disk"
    command = "disk"
    fields = ("nodes",)
    verb = "refused"

    def ailment(self, fault: Fault) -> Ailment:
        """Refuses writes."""
        return Ailment(fault.id, full=True)


class DiskFlipByte(FaultKind):
    """The byte at `offset` of `file`, in the folder of the one node, was changed, whether the node ran or not.

    A node reads its log when it boots, so it notices then: its next restart finds the record that fails its checksum,
    and completes the partition from its peers.
    """

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


class DiskWipe(FaultKind):
    """All that the one node kept was deleted, so many `files`, as when a disk is replaced by an empty one.

    The node was killed first and started afterwards, under a new id; its peers complete it.
    """

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
