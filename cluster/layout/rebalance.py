"""The owners after a change of members, such that as few replicas move as can.

A ranking alone moves more than it must: a cap that one node just meets pushes replicas from node to node (1.4 times the
least at 19 members). So an entry that follows another carries its owners, made from those before: what a member holds
it keeps, what a former member held goes to whoever holds least, a new member is filled to its fair share by those that
hold most. The first entry of a cluster is ranked (`placement`). Dynamo (SOSP 2007), section 6.2, strategy 3, where a
node steals partitions when it joins and gives them back when it leaves.

Promises: the owners of a partition are distinct, and over zones as even as the members allow. Nobody holds more than
`ceil(1.05 x fair)` or less than its fair share rounded down, where zones allow; what is displaced for it may pass over
several nodes, since the one with room may be in a zone that the partition has already. Pure, and the same on every
node: ties go by ranking and by name.
"""

from collections.abc import Callable, Iterable, Sequence
from math import ceil, floor

from cluster.layout.entry import LayoutMember, Rows
from cluster.layout.partition import PARTITIONS
from cluster.layout.ranking import rank
from cluster.layout.shares import CAP_FACTOR, fair_shares

_ROUNDING = 1e-6  # a share that is whole but for rounding is whole


def rebalanced(previous: Sequence[Sequence[str]], members: Sequence[LayoutMember], n: int) -> Rows:
    """The owners under `members` with `n` replicas (or all members, where there are fewer), made from `previous`."""
    table = _Table(previous, members, min(n, len(members)))
    table.fill()
    table.even_out()
    return table.rows()


class _Table:
    """Owners in the making: rows by partition, and the partitions that each node holds."""

    def __init__(self, previous: Sequence[Sequence[str]], members: Sequence[LayoutMember], replicas: int) -> None:
        self.replicas = replicas
        self.zone_of = {member.name: member.zone for member in sorted(members, key=lambda one: one.name)}
        self.fair = fair_shares(members, replicas)
        self.least = {name: floor(share + _ROUNDING) for name, share in self.fair.items()}
        self.most = {name: min(ceil(CAP_FACTOR * share - _ROUNDING), PARTITIONS) for name, share in self.fair.items()}
        self.place = [{name: place for place, name in enumerate(ranking)} for ranking in rank(members)]
        self.owners: list[dict[str, None]] = [{} for _ in range(PARTITIONS)]
        self.held: dict[str, dict[int, None]] = {name: {} for name in self.zone_of}
        for partition, names in enumerate(previous):
            for name in names:
                if name in self.zone_of and len(self.owners[partition]) < replicas:
                    self._give(partition, name)
            self._drop_crowded(partition)

    def rows(self) -> Rows:
        """The result, each row in the order of its ranking."""
        return tuple(
            tuple(sorted(row, key=place.__getitem__)) for row, place in zip(self.owners, self.place, strict=True)
        )

    def fill(self) -> None:
        """Give each partition the owners that it lacks."""
        for partition, (row, place) in enumerate(zip(self.owners, self.place, strict=True)):
            while len(row) < self.replicas:
                open_to = self._open_to(partition)
                room = [name for name in open_to if self._has_room(name)]
                if not room:  # make some first at one of them, if that can be
                    self._pass_on(open_to, self._has_room)
                _, _, chosen = min((self._load(name), place[name], name) for name in room or open_to)
                self._give(partition, chosen)

    def even_out(self) -> None:
        """Take from whoever holds too much, and give to whoever holds too little."""
        for name in sorted(self.zone_of, key=self._load, reverse=True):
            while len(self.held[name]) > self.most[name] and (
                self._pass_on([name], lambda to: len(self.held[to]) + _ROUNDING < self.fair[to])
                or self._pass_on([name], self._has_room)
            ):
                pass
        for name in sorted(self.zone_of, key=self._load):
            while len(self.held[name]) < self.least[name]:
                donors = [donor for donor in self.zone_of if len(self.held[donor]) > self.least[donor]]
                donors.sort(key=self._load, reverse=True)
                if not any(self._pass_on([donor], name.__eq__) for donor in donors):
                    break

    def _has_room(self, name: str) -> bool:
        return len(self.held[name]) < self.most[name]

    def _load(self, name: str) -> float:
        return len(self.held[name]) / self.fair[name]

    def _give(self, partition: int, name: str) -> None:
        self.owners[partition][name] = None
        self.held[name][partition] = None

    def _take(self, partition: int, name: str) -> None:
        del self.owners[partition][name]
        del self.held[name][partition]

    def _used(self, row: Iterable[str]) -> dict[str, int]:
        used = dict.fromkeys(self.zone_of.values(), 0)
        for name in row:
            used[self.zone_of[name]] += 1
        return used

    def _open_to(self, partition: int, without: str = "") -> list[str]:
        """Who may become an owner, in place of `without`: the others, from the zones that are used least."""
        row = [name for name in self.owners[partition] if name != without]
        used = self._used(row)
        left = [name for name in self.zone_of if name not in row]
        fewest = min(used[self.zone_of[name]] for name in left)
        return [name for name in left if used[self.zone_of[name]] == fewest and name != without]

    def _drop_crowded(self, partition: int) -> None:
        """Let go of owners that share a zone while another zone has none to spare them: the zones have changed."""
        row = self.owners[partition]
        while len(row) > 1:
            used = self._used(row)
            fewest = min((used[zone] for name, zone in self.zone_of.items() if name not in row), default=self.replicas)
            crowded = [name for name in row if used[self.zone_of[name]] > fewest + 1]
            if not crowded:
                return
            self._take(partition, max(crowded, key=self.place[partition].__getitem__))

    def _pass_on(self, givers: Sequence[str], takes: Callable[[str], bool]) -> bool:
        """Move one replica from one of `givers` to a node that `takes` it, over as few nodes as can be."""
        reached: dict[str, tuple[str, int] | None] = dict.fromkeys(givers)  # node -> from whom it gets which partition
        edge = list(givers)
        while edge:
            found: list[tuple[float, int, str, str, int]] = []
            following: list[str] = []
            for giver in edge:
                for partition in self.held[giver]:
                    for taker in self._open_to(partition, giver):
                        if taker not in reached and takes(taker):
                            found.append((self._load(taker), self.place[partition][taker], taker, giver, partition))
                        elif taker not in reached:
                            reached[taker] = (giver, partition)
                            following.append(taker)
            if found:
                *_, taker, giver, partition = min(found)
                step: tuple[str, int] | None = (giver, partition)
                while step is not None:
                    giver, partition = step
                    self._take(partition, giver)
                    self._give(partition, taker)
                    taker, step = giver, reached[giver]
                return True
            edge = following
        return False
