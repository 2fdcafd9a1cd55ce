"""All kinds of faults, by name: the one list that commands, views, nodes and the simulation read."""

from typing import Final

from cluster.faults.kill import Kill
from cluster.faults.kind import FaultKind
from cluster.faults.partition import Partition
from cluster.faults.pause import Pause
from cluster.faults.slow import Slow

KINDS: Final[dict[str, FaultKind]] = {kind.name: kind for kind in (Partition(), Slow(), Kill(), Pause())}
