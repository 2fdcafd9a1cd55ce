"""Green, amber or red: how many owners of each partition vote, and who takes writes, as the nodes say themselves. Pure.

Green: every partition has all of its N owners voting, and no disk is full. Amber: all have R of them, and W nodes take
writes, so everything is served. Red: some have fewer. An owner that is recovering or catching up stores and
acknowledges, and does not vote; one whose disk is full votes, and refuses writes.
"""

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from cluster.layout import PARTITIONS, placement
from cluster.layout.entry import LayoutEntry


class Serves(Struct, frozen=True):
    """What one node does for the cluster."""

    runs: bool
    """False while it does not run, or cannot be reached."""
    votes: bool = True
    """False while it is catching up."""
    recovering: Collection[int] = ()
    """The partitions in which it does not vote although it does in the others."""
    full: bool = False
    """Whether its disk refuses writes."""


class ClusterVerdict(Struct, frozen=True):
    """The colour, and how many partitions have how many voting owners."""

    colour: str
    by_voters: dict[int, int]
    full: tuple[str, ...] = ()
    """The nodes that refuse writes."""

    @property
    def fewest(self) -> int:
        """The voting owners of the partition that has the fewest."""
        return min(self.by_voters)

    @property
    def short(self) -> int:
        """How many partitions have as few as that."""
        return self.by_voters[self.fewest]


def judge(owners: Sequence[Sequence[str]], nodes: Mapping[str, Serves], r: int, w: int) -> ClusterVerdict:
    """The verdict over the owners of each partition; a node that is not named does not run."""
    assert owners and r >= 1 and w >= 1
    by_voters: dict[int, int] = {}
    complete = True
    for partition, names in enumerate(owners):
        there = [node for name in names if (node := nodes.get(name)) is not None and node.runs and node.votes]
        voting = sum(1 for node in there if partition not in node.recovering)
        by_voters[voting] = by_voters.get(voting, 0) + 1
        complete = complete and voting == len(names)
    full = tuple(name for name, node in nodes.items() if node.full)
    writing = sum(1 for node in nodes.values() if node.runs and not node.full)  # owner or fallback
    served = min(by_voters) >= r and (writing >= w or not full)
    colour = "green" if complete and not full else "amber" if served else "red"
    return ClusterVerdict(colour, dict(sorted(by_voters.items())), full)


def judge_layout(entry: LayoutEntry, nodes: Mapping[str, Serves]) -> ClusterVerdict:
    """The verdict over the owners that a layout gives each partition."""
    place = placement(entry)
    owners = [place.owners(partition) for partition in range(PARTITIONS)]
    return judge(owners, nodes, min(entry.r, entry.replicas), min(entry.w, entry.replicas))
