"""The seam between the node and the world: clock, randomness, disk, network, spawn.

Everything from `wire` up to `node` reaches the world through an `Env` alone, so the same node runs on real processes
(`cluster.env.real`) and, unchanged, hundreds to an interpreter in virtual time (`cluster.simulation`).
"""

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
    StreamListener,
    Timer,
)
from cluster.env.slices import Slices
from cluster.env.stall import StallWatch
from cluster.env.tick import OutputTick

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
    "Slices",
    "StallWatch",
    "StreamListener",
    "Timer",
]
