"""Green, amber or red: how many owners of each partition vote, out of the nodes' own standings. Pure.

Green: every partition has all of its N owners voting. Amber: all have R of them, so everything is served. Red: some
have fewer, so a strict read of those keys fails. An owner that is recovering or catching up stores and acknowledges,
and does not vote.
"""

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from cluster.layout import PARTITIONS, placement
from cluster.layout.entry import LayoutEntry


class Voice(Struct, frozen=True):
    """What one node says of its right to vote."""

    votes: bool
    """False while it does not run, cannot be reached or is catching up."""
    recovering: Collection[int] = ()
    """The partitions in which it does not vote although it does in the others."""


class Verdict(Struct, frozen=True):
    """The colour, and how many partitions have how many voting owners."""

    colour: str
    by_voters: dict[int, int]

    @property
    def fewest(self) -> int:
        """The voting owners of the partition that has the fewest."""
        return min(self.by_voters)

    @property
    def short(self) -> int:
        """How many partitions have as few as that."""
        return self.by_voters[self.fewest]


def judge(owners: Sequence[Sequence[str]], voices: Mapping[str, Voice], r: int) -> Verdict:
    """The verdict over the owners of each partition; who has no voice does not vote."""
    assert owners and r >= 1
    by_voters: dict[int, int] = {}
    complete = True
    for partition, names in enumerate(owners):
        voting = sum(1 for name in names if _votes(voices.get(name), partition))
        by_voters[voting] = by_voters.get(voting, 0) + 1
        complete = complete and voting == len(names)
    colour = "green" if complete else "amber" if min(by_voters) >= r else "red"
    return Verdict(colour, dict(sorted(by_voters.items())))


def judge_layout(entry: LayoutEntry, voices: Mapping[str, Voice]) -> Verdict:
    """The verdict over the owners that a layout gives each partition."""
    place = placement(entry)
    return judge([place.owners(partition) for partition in range(PARTITIONS)], voices, min(entry.r, len(entry.members)))


def _votes(voice: Voice | None, partition: int) -> bool:
    return voice is not None and voice.votes and partition not in voice.recovering
