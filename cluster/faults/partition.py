"""Partition: nothing passes between groups of nodes.

A partition on a real network drops packets; it refuses and resets nothing. So a stream keeps what it holds and goes on
when the partition heals, dials hang, and the end of a stream stays unseen on the other side (see `FaultBook`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster.errors import Usage
from cluster.faults.kind import FaultKind, FaultRule

if TYPE_CHECKING:
    from cluster.faults.fault import Fault


class Partition(FaultKind):
    """The links between the groups are cut; one way, only what the first group sends is lost."""

    name = "partition"
    scope = "link"
    fields = ("groups", "one_way")
    verb = "dropped"

    def subject(self, fault: Fault) -> str:
        """`n1,n2 | n3`, `n1 -> n2`."""
        return (" -> " if fault.one_way else " | ").join(",".join(group) for group in fault.groups)

    def validate(self, fault: Fault) -> None:
        """Two groups or more, nobody in two of them."""
        if len(fault.groups) < 2 or not all(fault.groups):
            raise Usage("a partition needs at least two groups with a node in each")
        seen: dict[str, None] = {}
        for name in (name for group in fault.groups for name in group):
            if name in seen:
                raise Usage(f"node {name} is named twice in the partition")
            seen[name] = None

    def remarks(self, fault: Fault) -> list[str]:
        """Its direction."""
        return ["one way"] if fault.one_way else []

    def rule(self, fault: Fault) -> FaultRule:
        """Stops packets between groups."""
        return PartitionRule(fault)


class PartitionRule(FaultRule):
    """Stops packets between groups."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.one_way = fault.one_way
        self._side = {name: index for index, group in enumerate(fault.groups) for name in group}

    def involves(self, name: str) -> bool:
        """Whether the node is in a group."""
        return name in self._side

    def stops(self, source: str, target: str) -> bool:
        """Whether the two are in different groups, and the way between them is cut."""
        ours, theirs = self._side.get(source), self._side.get(target)
        if ours is None or theirs is None or ours == theirs:
            return False
        return ours == 0 if self.one_way else True
