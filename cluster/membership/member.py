"""A member: who it is, what this node believes of it, and the order of what is said about it.

That order is (boot epoch, refutations), compared lexicographically. SWIM (2002) section 4.2 numbers the lives of a
member so that a newer statement beats an older one; only the member itself raises its number. Here the boot epoch comes
first: it is durable and grows with every start, so a restarted process needs not know what was said of its former life.
Pure.
"""

from dataclasses import dataclass
from typing import NamedTuple

from cluster.env import Address
from cluster.layout.entry import NAME
from cluster.limits import FACT_BYTES_MAX
from cluster.wire.membership import Rumor

EPOCH_MAX = 2**40
"""Starting a million times a second would take twelve days to get here: what claims more is refused."""


class Incarnation(NamedTuple):
    """One life of a member, and how often it had to contradict rumors in it."""

    epoch: int
    refutations: int

    def above(self, heard: "Incarnation") -> "Incarnation":
        """The smallest incarnation of this life that beats `heard`."""
        return self if self > heard else Incarnation(heard.epoch, heard.refutations + 1)

    def boot_after(self, heard: "Incarnation") -> "Incarnation":
        """A new life after `heard`, of which this one knew nothing.

        Our directory was emptied, say, so that counting began anew: without this nobody would ever believe us again.
        """
        return self if self > heard else Incarnation(heard.epoch + 1, 0)

    def is_plausible(self) -> bool:
        """Whether any honest node could have said it."""
        return 0 <= self.epoch <= EPOCH_MAX and 0 <= self.refutations <= EPOCH_MAX


UNHEARD = Incarnation(0, 0)
"""Of a member that the layout names and nobody has heard: every boot is newer, epochs begin at 1."""


ALIVE, LEAVING, SUSPECT, DEAD, LEFT = "alive", "leaving", "suspect", "dead", "left"
FACT, NEWS = "fact", "news"
"""Rumors about what a member announces: in full, or only that there is a version too large for a packet."""

RANK = {ALIVE: 0, LEAVING: 1, SUSPECT: 2, DEAD: 3, LEFT: 4}
"""Which statement wins within one incarnation. SWIM (2002) section 4.2, with the two states of a graceful leave."""

REACHABLE = frozenset((ALIVE, LEAVING, SUSPECT))
"""States in which a member is probed and gossiped to."""


ID_CHARACTERS_MAX = 128
HOST_CHARACTERS_MAX = 255
KIND_CHARACTERS_MAX = 64
"""Of what a fact is about, or a suspicion rests on."""


def is_sound(rumor: Rumor) -> bool:
    """Whether the names and sizes in a rumor can be: a proven peer may be wrong, too, and what one node believes all
    others are sent. What it says of a state or a fact is judged apart."""
    return (
        NAME.fullmatch(rumor.name) is not None
        and (not rumor.by or NAME.fullmatch(rumor.by) is not None)
        and (not rumor.zone or NAME.fullmatch(rumor.zone) is not None)
        and len(rumor.id) <= ID_CHARACTERS_MAX
        and len(rumor.host) <= HOST_CHARACTERS_MAX
        and len(rumor.kind) <= KIND_CHARACTERS_MAX
        and (rumor.id + rumor.host + rumor.kind).isprintable()
        and 0 <= rumor.port < 65536
        and -1 < rumor.version <= EPOCH_MAX
        and len(rumor.body) <= FACT_BYTES_MAX
    )


@dataclass(frozen=True)
class SeedMember:
    """A member that the layout names."""

    name: str
    zone: str
    address: Address


@dataclass(frozen=True)
class OwnIdentity:
    """This node: its name has the place in the layout, its id the causality, its epoch counts its boots."""

    name: str
    id: str
    epoch: int
    zone: str
    address: Address


@dataclass(frozen=True)
class MemberView:
    """What this node believes of a member. `since` is when the state began, on the local monotonic clock; `heard` says
    whether anything of this boot of ours came from it, directly or as a rumor of its being alive."""

    name: str
    id: str
    state: str
    epoch: int
    refutations: int
    zone: str
    address: Address
    heard: bool
    since: float


class Member:
    """A row of the table; changed by `Table` alone. `by` is who suspects it or declared it dead."""

    __slots__ = ("address", "by", "heard", "id", "incarnation", "name", "since", "state", "told", "zone")

    def __init__(self, name: str, id: str, incarnation: Incarnation, zone: str, address: Address, now: float) -> None:
        self.name = name
        self.id = id
        self.state = ALIVE
        self.incarnation = incarnation
        self.zone = zone
        self.address = address
        self.heard = False
        self.since = now
        self.by = ""
        self.told: Rumor | None = None  # what `rumor` made, until the row changes

    def is_known(self) -> bool:
        """Whether anything but the layout or an old file says that it exists, and nothing says that it failed."""
        return self.state == ALIVE and self.heard and self.incarnation.epoch > 0

    def rumor(self) -> Rumor:
        """What this node believes, as it tells others."""
        if self.told is None:
            host, port = self.address
            self.told = Rumor(self.state, self.name, *self.incarnation, self.by, self.id, self.zone, host, port)
        return self.told

    def accusation(self, by: str, kind: str = "") -> Rumor:
        """That `by` suspects this incarnation of it."""
        return Rumor(SUSPECT, self.name, *self.incarnation, by=by, kind=kind)

    def view(self) -> MemberView:
        """A frozen copy."""
        epoch, refutations = self.incarnation
        return MemberView(
            self.name, self.id, self.state, epoch, refutations, self.zone, self.address, self.heard, self.since
        )
