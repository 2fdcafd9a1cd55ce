"""Virtual time and a simulated world: the same nodes as on real processes, seeded, thousands of runs a minute.

`World` makes the `Env` of each node and holds the faults. One seed gives one run, to the last event.
"""

from cluster.simulation.disk import SimulatedDisk
from cluster.simulation.route import Quality
from cluster.simulation.world import World

__all__ = ["Quality", "SimulatedDisk", "World"]
