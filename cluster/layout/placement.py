"""Who owns each partition: a pure function of the layout entry, the same on every node.

A layout that follows another carries its owners (`rebalance`). In a first one partitions are taken in order. Each takes
its N owners from its ranking: from distinct zones while there are zones that it has not used (zones beat the cap), the
best-ranked node below its cap, and where nobody is, the least loaded. The rest of the ranking is the fallback list,
where sloppy quorums put replicas that owners cannot take (Dynamo, SOSP 2007, sections 4.3 and 4.6).

Invariant: `owners(p)` are min(n, members) distinct names, and `owners(p)` and `fallbacks(p)` together are all members.
Nothing here knows who is alive, and nothing moves data.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from cluster.layout.entry import LayoutEntry
from cluster.layout.partition import PARTITIONS
from cluster.layout.ranking import rank
from cluster.layout.shares import caps, fair_shares


class Placement:
    """The owners and fallbacks of every partition under one entry. Immutable; get it from `placement`."""

    def __init__(self, owners: Sequence[tuple[str, ...]], fallbacks: Sequence[tuple[str, ...]]) -> None:
        self._owners = tuple(owners)
        self._fallbacks = tuple(fallbacks)
        held: dict[str, list[int]] = {name: [] for name in sorted(self._owners[0] + self._fallbacks[0])}
        for partition, names in enumerate(self._owners):
            for name in names:
                held[name].append(partition)
        self._partitions = {name: tuple(partitions) for name, partitions in held.items()}

    def owners(self, partition: int) -> tuple[str, ...]:
        """The names that hold `partition`, best-ranked first but for what zones and caps displaced."""
        return self._owners[partition]

    def fallbacks(self, partition: int) -> tuple[str, ...]:
        """All other members, in the order in which they serve as fallbacks."""
        return self._fallbacks[partition]

    def partitions_of(self, name: str) -> tuple[int, ...]:
        """The partitions that `name` owns, ascending; none for a name that is no member."""
        return self._partitions.get(name, ())

    def share(self, name: str) -> float:
        """The part of all replicas that `name` holds; the shares of all members sum to 1."""
        return len(self.partitions_of(name)) / (PARTITIONS * len(self._owners[0]))


# A handful: a transition needs two entries, and hundreds of simulated nodes in one process share them.
@lru_cache(maxsize=16)
def placement(entry: LayoutEntry) -> Placement:
    """The placement of a valid `entry`; computed once a process for equal entries."""
    chooser = _OwnerChooser(entry)
    owners, fallbacks = [], []
    for partition, ranking in enumerate(rank(entry.members)):
        chosen = entry.owners[partition] if entry.owners else chooser.choose(ranking)
        owners.append(tuple(chosen))
        fallbacks.append(tuple(name for name in ranking if name not in chosen))
    return Placement(owners, fallbacks)


class _OwnerChooser:
    """Chooses owners one partition after the other, and counts what each node holds so far."""

    def __init__(self, entry: LayoutEntry) -> None:
        self.replicas = entry.replicas
        self.zone_of: Mapping[str, str] = {member.name: member.zone for member in entry.members}
        self.caps = caps(entry.members, entry.replicas)
        self.fair = fair_shares(entry.members, entry.replicas)
        self.load = dict.fromkeys(self.zone_of, 0)

    def choose(self, ranking: Sequence[str]) -> list[str]:
        """The owners of one partition, out of its `ranking`."""
        chosen: list[str] = []
        used = dict.fromkeys(self.zone_of.values(), 0)  # owners in each zone
        for _ in range(self.replicas):
            left = [name for name in ranking if name not in chosen]
            fewest = min(used[self.zone_of[name]] for name in left)
            candidates = [name for name in left if used[self.zone_of[name]] == fewest]
            below_cap = [name for name in candidates if self.load[name] < self.caps[name]]
            name = below_cap[0] if below_cap else min(candidates, key=lambda name: self.load[name] / self.fair[name])
            chosen.append(name)
            used[self.zone_of[name]] += 1
            self.load[name] += 1
        return chosen
