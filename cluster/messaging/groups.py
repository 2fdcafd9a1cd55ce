"""Queue groups: of each group that has a matching subscription, one member gets the message.

As in NATS: a group is its name, whatever patterns its members listen to; members at the node of the publisher come
first, each as likely as the others, then nodes as likely as they have members. Who cannot take it is passed over: a
member without room, a node that does not answer or has no way to it. Pure.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from cluster.messaging.matching import CACHE_SUBJECTS_MAX, Matcher

if TYPE_CHECKING:
    from random import Random

M = TypeVar("M")


class Groups(Generic[M]):
    """The members that this node has, by pattern and group."""

    def __init__(self) -> None:
        self._matcher: Matcher[tuple[str, M]] = Matcher(subjects_max=1)  # what is found is kept below, by group
        self._cache: dict[str, dict[str, tuple[M, ...]]] = {}
        self.count = 0

    def add(self, pattern: str, group: str, member: M) -> None:
        """A member more. Raises Usage for a bad pattern."""
        self._matcher.add(pattern, (group, member))
        self._cache.clear()
        self.count += 1

    def remove(self, pattern: str, group: str, member: M) -> None:
        """A member less."""
        self._cache.clear()
        self.count -= self._matcher.remove(pattern, (group, member))

    def of(self, subject: str) -> dict[str, tuple[M, ...]]:
        """The members that a message of this subject may go to, by group. Raises Usage for a bad subject."""
        found = self._cache.get(subject)
        if found is None:
            by_group: dict[str, list[M]] = {}
            for group, member in self._matcher.match(subject):
                by_group.setdefault(group, []).append(member)
            if len(self._cache) >= CACHE_SUBJECTS_MAX:
                self._cache.clear()
            found = self._cache[subject] = {group: tuple(members) for group, members in by_group.items()}
        return found


def in_turn(members: Sequence[M], random: "Random") -> Iterator[M]:
    """All of them, from one that is drawn on."""
    count = len(members)
    start = int(random.random() * count)
    for place in range(start, start + count):
        yield members[place % count]


def draw_nodes(
    route: Sequence[tuple[str, int]], tried: Collection[str], avoided: Callable[[str], bool], random: "Random"
) -> Iterator[str]:
    """The nodes of a group that were not tried, in the order of a draw by their members; last those that do not answer:
    they may be slow, and nobody else is left."""
    left = [(node, members) for node, members in route if node not in tried]
    while left:
        well = [one for one in left if not avoided(one[0])] or left
        ticket = random.random() * sum(members for _, members in well)
        for chosen in well:
            ticket -= chosen[1]
            if ticket < 0:
                break
        left.remove(chosen)
        yield chosen[0]
