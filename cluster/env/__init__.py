"""The seam between the node and the world: clock, randomness, disk, network, spawn.

Everything from `wire` up to `node` reaches the world through an `Env` alone, so the same node runs on real processes
(`cluster.env.real`) and, unchanged, hundreds to an interpreter in virtual time (`cluster.simulation`).
"""

from cluster.env.passes import OutputTick, Slices, StallWatch
from cluster.env.seam import (
    Address,
    AppendFile,
    Clock,
    DatagramSocket,
    Disk,
    DiskFaults,
    Env,
    Link,
    LinkHandler,
    Network,
    Salvaged,
    SortedRows,
    StreamListener,
    Timer,
)

__all__ = [
    "Address",
    "AppendFile",
    "Clock",
    "DatagramSocket",
    "Disk",
    "DiskFaults",
    "Env",
    "Link",
    "LinkHandler",
    "Network",
    "OutputTick",
    "Salvaged",
    "Slices",
    "SortedRows",
    "StallWatch",
    "StreamListener",
    "Timer",
]
