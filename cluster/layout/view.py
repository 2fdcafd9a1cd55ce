"""What one node asks about the layout: who owns a partition now, who else does, who comes next.

A pure machine that holds the entry in force. Everybody who needs owners asks it at the time of use, and keeps no answer
longer than a pass: an operation that began under one entry may go on under the next. The number only goes forward; an
entry that is not newer changes nothing.

In a transition the owners in force decide reads and coordinate, and every write goes to the owners to come as well: a
partition whose owners change has two sets of them, side by side, until an entry says that only the new ones are left.

How an entry is decided, and where it is stored, is no concern of this file: see `entry` and the node.
"""

from collections.abc import Callable

from cluster.layout.entry import LayoutEntry
from cluster.layout.partition import PARTITIONS
from cluster.layout.placement import placement


class LayoutView:
    """The layout as node `me` sees it. `on_change` is called with each entry that is taken over."""

    def __init__(self, me: str, entry: LayoutEntry) -> None:
        self.me = me
        self.on_change: list[Callable[[LayoutEntry], None]] = []
        self._use(entry)

    def _use(self, entry: LayoutEntry) -> None:
        me, placed = self.me, placement(entry)
        self.entry = entry
        self.number = entry.number
        self.members = tuple(member.name for member in entry.all_members)
        """The names of all members, those to come included, in the order of the entry."""
        # Lists by partition, since each write and read asks several times: a look-up costs what an attribute does.
        self._owners = [placed.owners(partition) for partition in range(PARTITIONS)]
        self._fallbacks = [placed.fallbacks(partition) for partition in range(PARTITIONS)]
        self._hint_holders = self._fallbacks
        self._others = [tuple(name for name in names if name != me) for names in self._owners]
        self._mine = [me in names for names in self._owners]
        self.mine: Callable[[int], bool] = self._mine.__getitem__
        """Whether this node is an owner of a partition. The look-up itself: each operation asks several times."""
        self.moving = entry.coming is not None
        """Whether a transition is under way: only then can `coming` differ from the owners."""
        self._coming = self._owners
        self._joining: list[tuple[str, ...]] = [()] * PARTITIONS
        self.holds = self.mine
        """Whether this node takes copies of a partition: as an owner, or as one to come."""
        if entry.coming is None:
            return
        after = placement(entry.after())
        self._coming = [after.owners(partition) for partition in range(PARTITIONS)]
        pairs = list(zip(self._owners, self._coming, strict=True))
        self._joining = [tuple(name for name in coming if name not in owners) for owners, coming in pairs]
        self.holds = [me in owners or me in coming for owners, coming in pairs].__getitem__
        # Who may be gone with the end of the transition, or when it is taken back, takes no hint that it would have to
        # deliver before; nor does who is to own the partition: it has a copy of its own.
        stay = {member.name for member in entry.coming.members}
        self._fallbacks = [
            tuple(name for name in names if name in stay and name not in coming)
            for names, coming in zip(self._fallbacks, self._coming, strict=True)
        ]

    def adopt(self, entry: LayoutEntry) -> bool:
        """Go on under `entry` if it is newer than the one in force. Returns whether it is."""
        if entry.number <= self.number:
            return False
        self._use(entry)
        for listener in self.on_change:
            listener(entry)
        return True

    def owners(self, partition: int) -> tuple[str, ...]:
        """The owners of `partition`, in order."""
        return self._owners[partition]

    def others(self, partition: int) -> tuple[str, ...]:
        """Its owners without this node, in order."""
        return self._others[partition]

    def coming(self, partition: int) -> tuple[str, ...]:
        """Its owners after the transition; the owners themselves when none is under way."""
        return self._coming[partition]

    def joining(self, partition: int) -> tuple[str, ...]:
        """Its owners to come that are none yet."""
        return self._joining[partition]

    def takers(self, partition: int) -> tuple[str, ...]:
        """Who takes copies of it: the owners, then those to come."""
        return self._owners[partition] + self._joining[partition]

    def held_partitions(self) -> list[int]:
        """The partitions of which this node takes copies, ascending."""
        return [partition for partition in range(PARTITIONS) if self.holds(partition)]

    def fallbacks(self, partition: int) -> tuple[str, ...]:
        """All other members, in the order in which they take the place of an owner; in a transition without those that
        join or leave."""
        return self._fallbacks[partition]

    def hint_holders(self, partition: int) -> tuple[str, ...]:
        """Who may have been a fallback of it, in that order: also those that leave."""
        return self._hint_holders[partition]

    def my_partitions(self) -> list[int]:
        """The partitions that this node owns, ascending."""
        return [partition for partition, mine in enumerate(self._mine) if mine]
