"""One fault, as the file of faults and the commands have it: when, which kind, and the fields of that kind. All kinds
by name are in `KINDS`, the one list that commands, views, nodes and the simulation read."""

from typing import Final

import msgspec

from cluster.errors import Usage
from cluster.faults.disk import DiskFlipByte, DiskFull, DiskSlow, DiskWipe
from cluster.faults.kind import FaultKind
from cluster.faults.node import Kill, Pause, SkewedClock
from cluster.faults.partition import Partition
from cluster.faults.slow import Slow

_ALL: Final = (Partition(), Slow(), Kill(), Pause(), DiskSlow(), DiskFull(), DiskFlipByte(), DiskWipe(), SkewedClock())
KINDS: Final[dict[str, FaultKind]] = {kind.name: kind for kind in _ALL}


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which of the fields below `ended` matter is the business of the kind (`FaultKind.fields`)."""

    id: str = ""
    """`f1`, `f2`…, given by `add_fault`."""
    kind: str
    """A name in `KINDS`."""
    at: str
    """When it began, RFC 3339."""
    active: bool = True
    ended: str | None = None

    groups: list[list[str]] = []
    """partition: the sides. Nodes in no group keep all their links."""
    one_way: bool = False
    """partition: traffic from the first group to the others is dropped; from the others to the first it passes, and so
    does what the others send each other."""

    source: str = ""
    """slow: whose packets, a name or `all`."""
    target: str = ""
    """slow: on their way to whom, a name or `all`."""
    both: bool = False
    """slow: the other direction too."""
    delay_ms: float = 0.0
    """slow: of a packet. disk-slow: of each append and sync."""
    jitter_ms: float = 0.0
    """slow: the delay is uniform in delay ± jitter, not below 0."""
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    """slow: probabilities from 0 to 1; duplication and reordering are of datagrams only."""
    rate_bytes_s: float = 0.0
    """slow: how much passes in a second; 0 is no limit."""

    nodes: list[str] = []
    """kill, pause, and those of disks and clocks: the nodes. kill, pause: or workers, as n2/1."""
    returned: list[str] = []
    """kill, pause: those of `nodes` that were brought back; the fault ends with the last."""

    file: str = ""
    offset: int = 0
    """disk-flip-byte: which byte of the node's folder was flipped."""
    files: int = 0
    """disk-wipe: how many files were deleted."""
    skew_ms: float = 0.0
    """clock: by how much the wall clock is ahead; negative: behind."""

    @property
    def of(self) -> FaultKind:
        """Its kind. Raises Usage for one that this version does not know."""
        try:
            return KINDS[self.kind]
        except KeyError:
            raise Usage(f"unknown kind of fault {self.kind!r}: one of {', '.join(KINDS)}") from None

    @property
    def subject(self) -> str:
        """Whom it hits, for people: `n1,n2 | n3`, `n1 -> n2`, `n3`."""
        return self.of.subject(self)

    def validate(self) -> None:
        """Raise Usage, saying what is wrong, for a fault that cannot be."""
        self.of.validate(self)

    def details(self) -> dict[str, object]:
        """The fields of its kind that say something, by name."""
        return {name: value for name in self.of.fields if (value := getattr(self, name))}
