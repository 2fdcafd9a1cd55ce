"""All kinds of faults, by name: the one list that commands, views, nodes and the simulation read."""

from typing import Final

from cluster.faults.clock import SkewedClock
from cluster.faults.disk_flip_byte import DiskFlipByte
from cluster.faults.disk_full import DiskFull
from cluster.faults.disk_slow import DiskSlow
from cluster.faults.disk_wipe import DiskWipe
from cluster.faults.kill import Kill
from cluster.faults.kind import FaultKind
from cluster.faults.partition import Partition
from cluster.faults.pause import Pause
from cluster.faults.slow import Slow

_ALL: Final = (Partition(), Slow(), Kill(), Pause(), DiskSlow(), DiskFull(), DiskFlipByte(), DiskWipe(), SkewedClock())
KINDS: Final[dict[str, FaultKind]] = {kind.name: kind for kind in _ALL}
