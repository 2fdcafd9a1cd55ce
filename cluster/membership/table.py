"""The table of members and the one rule by which rumors change it.

SWIM (2002) section 4.2: of two statements about a member the one of the higher incarnation wins; within an incarnation
alive < leaving < suspect < dead < left. So a row only ever moves up in one total order, and merging is commutative,
associative and idempotent: it does not matter in which order, how often, or by which way rumors come. Two departures
from the paper, both memberlist's: a dead member that proves a higher incarnation is alive again, and members are kept
until `forget`. A new boot epoch is a higher incarnation, so it is alive whatever was said of the former one.

Pure. What is said about this node itself does not pass here: see `answer_to` in rumors.py.
"""

from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple

from cluster.membership.member import (
    ALIVE,
    DEAD,
    EPOCH_MAX,
    RANK,
    REACHABLE,
    SUSPECT,
    Incarnation,
    Member,
    OwnIdentity,
    SeedMember,
    is_sound,
)
from cluster.wire.membership import Rumor

MEMBERS_MAX = 1024


class Effect(Enum):
    """What a rumor did to the table."""

    REFUSED = auto()  # implausible
    OLD = auto()  # about an incarnation or state that is behind
    KNOWN = auto()
    CONFIRMED = auto()  # a suspicion that is held already, of another accuser
    CHANGED = auto()


class Merged(NamedTuple):
    """The effect of a rumor; the member, and what it was before, are set when the effect is CHANGED or CONFIRMED."""

    effect: Effect
    member: Member | None = None
    old_state: str = ""
    old_incarnation: Incarnation = Incarnation(0, 0)


_REFUSED, _OLD, _KNOWN = Merged(Effect.REFUSED), Merged(Effect.OLD), Merged(Effect.KNOWN)


class MemberTable:
    """All members by name, this node included."""

    def __init__(self, me: OwnIdentity, seeds: list[SeedMember], now: float) -> None:
        self.me = Member(me.name, me.id, Incarnation(me.epoch, 0), me.zone, me.address, now)
        self.me.heard = True
        self.members: dict[str, Member] = {me.name: self.me}
        self.forgotten: dict[str, int] = {}
        self.is_named: Callable[[str], bool] = lambda name: True
        """Whether the layout names a member: a rumor introduces no other."""
        self._names_by_id: dict[str, str] = {me.id: me.name}
        self._alive: list[str] | None = None
        self._others: list[str] | None = None
        self._dead = 0
        for seed in sorted(seeds, key=lambda seed: seed.name):
            if seed.name != me.name:
                self.members[seed.name] = Member(seed.name, "", Incarnation(0, 0), seed.zone, seed.address, now)

    # -- questions

    def alive(self) -> list[str]:
        """Sorted names of the members that are alive, with this node. Do not change the list."""
        if self._alive is None:
            self._alive = sorted(name for name, member in self.members.items() if member.state == ALIVE)
        return self._alive

    def others(self) -> list[str]:
        """Sorted names of the others that are probed and gossiped to. Do not change the list."""
        if self._others is None:
            reachable = (name for name, member in self.members.items() if member.state in REACHABLE)
            self._others = sorted(name for name in reachable if name != self.me.name)
        return self._others

    def size(self) -> int:
        """The n of SWIM's formulas: members that take part, this node included."""
        return len(self.others()) + 1

    def is_alive(self, name: str) -> bool:
        """Whether a member is there, and alive."""
        member = self.members.get(name)
        return member is not None and member.state == ALIVE

    def dead(self) -> list[str]:
        """Sorted names of the members that are dead."""
        if not self._dead:
            return []
        return sorted(name for name, member in self.members.items() if member.state == DEAD)

    def knows(self, rumor: Rumor) -> bool:
        """Whether a member is alive just as the rumor has it: then there is nothing to merge."""
        member = self.members.get(rumor.name)
        return (
            member is not None
            and member.heard
            and member.state == rumor.state == ALIVE
            and member.incarnation == (rumor.epoch, rumor.refutations)
        )

    def name_of(self, id: str) -> str | None:
        """Who has this id now."""
        return self._names_by_id.get(id)

    # -- changes

    def merge(self, rumor: Rumor, now: float) -> Merged:
        """Take in a rumor about another member."""
        assert rumor.name != self.me.name
        if self.knows(rumor):
            return _KNOWN  # as most rumors are
        member = self.members.get(rumor.name)
        incarnation = Incarnation(rumor.epoch, rumor.refutations)
        rank = RANK.get(rumor.state)
        if rank is None or not incarnation.is_plausible() or not is_sound(rumor):
            return _REFUSED
        if rumor.id and self._names_by_id.get(rumor.id, rumor.name) != rumor.name:
            return _REFUSED  # an id has one name
        if member is None:
            if not self._admits(rumor):
                return _REFUSED
            member = Member(rumor.name, "", Incarnation(0, 0), rumor.zone, (rumor.host, rumor.port), now)
            self.members[rumor.name] = member
            self._alive = self._others = None
            return self._advance(member, rumor, incarnation, now)
        if rumor.state == ALIVE and rumor.epoch > 0 and incarnation >= member.incarnation:
            member.heard = True
        held = RANK[member.state]
        if (incarnation, rank) < (member.incarnation, held):
            return _OLD
        if (incarnation, rank) == (member.incarnation, held):
            if rumor.state == SUSPECT and rumor.by != member.by:
                return Merged(Effect.CONFIRMED, member, member.state, member.incarnation)
            return _KNOWN
        return self._advance(member, rumor, incarnation, now)

    def recall(self, name: str, id: str, epoch: int) -> None:
        """Set what a file of a former boot says of a member: its id, and which epoch it had at least."""
        member = self.members.get(name)
        if member is not None and not member.heard and member is not self.me:
            member.incarnation = max(member.incarnation, Incarnation(epoch, 0))
            member.told = None
            self._rename(member, id)

    def raise_own(self, incarnation: Incarnation) -> None:
        """This node contradicts a rumor with a higher incarnation of itself."""
        assert incarnation > self.me.incarnation
        self.me.incarnation = incarnation
        self.me.told = None

    def admit(self, candidate: SeedMember, now: float) -> None:
        """The layout names a member more; it may bear the name of one that was forgotten."""
        self.forgotten.pop(candidate.name, None)
        if candidate.name not in self.members:
            member = Member(candidate.name, "", Incarnation(0, 0), candidate.zone, candidate.address, now)
            self.members[candidate.name] = member
            self._alive = self._others = None

    def forget(self, name: str) -> Member | None:
        """Drop a member, and refuse what is still said of it until it is admitted again."""
        assert name != self.me.name
        member = self.members.pop(name, None)
        self.forgotten[name] = EPOCH_MAX
        if member is not None:
            self._names_by_id.pop(member.id, None)
            self._alive = self._others = None
            self._dead -= member.state == DEAD
        return member

    # -- inside

    def _admits(self, rumor: Rumor) -> bool:
        """Whether a rumor may introduce a member: it must say what is needed to talk to it."""
        return (
            len(self.members) < MEMBERS_MAX
            and self.is_named(rumor.name)
            and rumor.epoch > self.forgotten.get(rumor.name, 0)
            and rumor.port > 0
            and rumor.host != ""
        )

    def _advance(self, member: Member, rumor: Rumor, incarnation: Incarnation, now: float) -> Merged:
        old_state, old_incarnation = member.state, member.incarnation
        member.incarnation = incarnation
        member.by = rumor.by
        member.told = None
        if rumor.state != old_state:
            member.state = rumor.state
            member.since = now
            self._alive = self._others = None
            self._dead += (member.state == DEAD) - (old_state == DEAD)
        if rumor.state == ALIVE and rumor.epoch > 0:
            member.heard = True
        if rumor.id:
            self._rename(member, rumor.id)
        if rumor.host and rumor.port:
            member.address, member.zone = (rumor.host, rumor.port), rumor.zone
        return Merged(Effect.CHANGED, member, old_state, old_incarnation)

    def _rename(self, member: Member, id: str) -> None:
        if id and id != member.id:
            self._names_by_id.pop(member.id, None)
            member.id = id
            self._names_by_id[id] = member.name
