"""One entry of the control chain, and the entries that may follow it. Pure.

An entry holds all that its slot decides: the layout, and which acceptors vote on the next slot. Slot and layout number
are two numbers: every entry raises the slot, and only one that changes where data belongs raises the layout number, so
that definitions make no request stale.

A change of members takes two entries. The first names the owners to come beside those in force: data moves, writes go
to both. The second, decided once the owners to come hold everything (`transition`), leaves only them; or a *revert*
leaves only those in force. Between the two nothing but these, and forgetting a member that died, can be decided.
"""

from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from cluster.errors import Damaged, NotFound, TooFewNodes, TooFewOwners, TransitionUnderWay, Usage
from cluster.layout.entry import Coming, LayoutEntry, LayoutMember
from cluster.layout.partition import PARTITIONS
from cluster.layout.placement import placement
from cluster.layout.rebalance import rebalanced


class ChainEntry(Struct, frozen=True, omit_defaults=True):
    """What slot `slot` decided."""

    slot: int
    what: str
    """The change, for people: `add n6`."""
    layout: LayoutEntry
    acceptors: dict[str, str]
    """Who votes on the next slot, by name: the id under which an acceptor keeps its promises. Whoever lost them takes
    another id, and votes again from the entry that names it."""
    joining: dict[str, str] = {}
    """Who votes in addition once the transition has ended."""
    gone: tuple[str, ...] = ()
    """Members in force that are dead for good: nobody waits for what they hold."""
    lossy: bool = False
    """What only those held may be lost: who runs the cluster has accepted that."""
    change_id: str = ""
    """Given by whoever asked for the change: asked again, of another node, it is found and not made twice."""

    def validate(self) -> None:
        """Raise Usage for an entry that no node may take over."""
        self.layout.validate()
        if self.slot < 1:
            raise Usage(f"slot {self.slot} is not positive")
        names = {member.name for member in self.layout.members}
        if not self.acceptors or not names.issuperset(self.acceptors) or not names.issuperset(self.gone):
            raise Usage(f"slot {self.slot} names acceptors that are not members")
        ids = [*self.acceptors.values(), *self.joining.values()]
        if len(set(ids)) != len(ids):
            raise Usage(f"slot {self.slot} names an acceptor twice")

    @property
    def moving(self) -> bool:
        """Whether a transition is under way."""
        return self.layout.coming is not None


Change = Callable[[ChainEntry], ChainEntry]
"""Makes the entry that follows; raises Usage, NotFound, AlreadyExists for a change that cannot be."""


def genesis(layout: LayoutEntry) -> ChainEntry:
    """The first entry: every member is an acceptor, under its own name."""
    return ChainEntry(1, "the first layout", layout, {member.name: member.name for member in layout.members})


def added(entry: ChainEntry, members: Sequence[LayoutMember]) -> ChainEntry:
    """These join."""
    _refuse_second_change(entry)
    names = {member.name for member in entry.layout.members}
    for member in members:
        if member.name in names:
            raise Usage(f"{member.name} is a member already")
    what = f"add {', '.join(member.name for member in members)}"
    next = _begin(entry, (*entry.layout.members, *members), what)
    # A name may return: the slot keeps the votes of its former holder apart.
    return replace(next, joining={member.name: f"{member.name}.{next.slot}" for member in members})


def left(entry: ChainEntry, names: Sequence[str], *, gone: bool, lossy: bool = False) -> ChainEntry:
    """These leave. `gone`: they are dead, nothing that they hold is waited for. `lossy`: not even where too few other
    owners are left to be sure that they have everything."""
    layout = entry.layout
    if gone and not lossy:
        _refuse_loss(entry, names)
    if entry.moving and gone:
        return replace(_struck(entry, names), lossy=lossy or entry.lossy)
    _refuse_second_change(entry)
    _check_members(entry, names)
    stay = tuple(member for member in layout.members if member.name not in names)
    if len(stay) < layout.replicas:
        raise TooFewNodes(f"{len(stay)} nodes would be left for {layout.replicas} copies of each key")
    next = _begin(entry, stay, f"{'forget' if gone else 'leave'} {', '.join(names)}")
    return replace(_strike(next, names), lossy=lossy) if gone else next


def _refuse_loss(entry: ChainEntry, names: Sequence[str]) -> None:
    """Of each partition so many owners must be left that one of any write quorum is among them."""
    layout = entry.layout
    placed, away = placement(layout), {*names, *entry.gone}
    needed = layout.replicas - min(layout.w, layout.replicas) + 1
    short = [p for p in range(PARTITIONS) if sum(name not in away for name in placed.owners(p)) < needed]
    if short:
        shown = " ".join(map(str, short[:20])) + (f" and {len(short) - 20} more" if len(short) > 20 else "")
        raise TooFewOwners(
            f"too few owners would be left to have all that was acknowledged in {len(short)} partitions: {shown}"
        )


def _struck(entry: ChainEntry, names: Sequence[str]) -> ChainEntry:
    """Members that died in the middle of a transition are struck from both layouts."""
    coming = entry.layout.coming
    assert coming is not None
    _check_members(entry, names)
    stay = tuple(member for member in coming.members if member.name not in names)
    if len(stay) < entry.layout.replicas:
        raise TooFewNodes(f"{len(stay)} nodes would be left for {entry.layout.replicas} copies of each key")
    owners = rebalanced(coming.owners, stay, entry.layout.n)
    next = _follow(entry, f"forget {', '.join(names)}", replace(entry.layout, coming=Coming(stay, owners)))
    return _strike(next, [name for name in names if name in entry.acceptors])


def _strike(entry: ChainEntry, names: Sequence[str]) -> ChainEntry:
    acceptors = {name: id for name, id in entry.acceptors.items() if name not in names}
    if not acceptors:
        raise Usage("somebody must be left to vote")
    members = {member.name for member in entry.layout.members}
    gone = tuple(dict.fromkeys((*entry.gone, *(name for name in names if name in members))))
    return replace(entry, acceptors=acceptors, gone=gone)


def switched(entry: ChainEntry) -> ChainEntry:
    """Only the owners to come are left."""
    if not entry.moving:
        raise Usage("no transition is under way")
    layout = entry.layout.after()
    voters = {**entry.acceptors, **entry.joining}
    stay = {member.name: voters[member.name] for member in layout.members if member.name in voters}
    return ChainEntry(entry.slot + 1, f"{entry.what}: done", layout, stay)


def reverted(entry: ChainEntry) -> ChainEntry:
    """The transition is taken back: only the owners in force are left."""
    if not entry.moving:
        raise Usage("no transition is under way")
    if entry.gone:
        raise Usage(f"{', '.join(entry.gone)} were forgotten, and cannot come back with the data that they held")
    return replace(_follow(entry, f"revert: {entry.what}", replace(entry.layout, coming=None)), joining={})


def renamed(entry: ChainEntry, name: str, acceptor: str) -> ChainEntry:
    """A member that lost its promises votes under another id from here on."""
    if name not in entry.acceptors or acceptor in entry.acceptors.values():
        raise Usage(f"{name} votes as {entry.acceptors.get(name, 'nobody')}")
    acceptors = {**entry.acceptors, name: acceptor}
    return replace(entry, slot=entry.slot + 1, what=f"{name} votes again", acceptors=acceptors)


def _refuse_second_change(entry: ChainEntry) -> None:
    if entry.moving:
        raise TransitionUnderWay(f"a transition is under way ({entry.what})")


def _check_members(entry: ChainEntry, names: Sequence[str]) -> None:
    members = [member.name for member in entry.layout.all_members]
    for name in names:
        if name not in members:
            raise NotFound(f"{name} is not a member; the members are {', '.join(members)}")


def _begin(entry: ChainEntry, members: tuple[LayoutMember, ...], what: str) -> ChainEntry:
    layout = entry.layout
    placed = placement(layout)
    before = [placed.owners(partition) for partition in range(PARTITIONS)]
    owners = rebalanced(before, members, layout.n)
    return _follow(entry, what, replace(layout, coming=Coming(members, owners)))


def _follow(entry: ChainEntry, what: str, layout: LayoutEntry) -> ChainEntry:
    layout = replace(layout, number=layout.number + 1, previous=layout.number)
    return replace(entry, slot=entry.slot + 1, what=what, layout=layout)


_decoder = msgspec.json.Decoder(ChainEntry)


def encode_chain(entry: ChainEntry) -> bytes:
    """The entry as JSON: equal entries give equal bytes."""
    return msgspec.json.encode(entry)


def decode_chain(blob: bytes) -> ChainEntry:
    """The valid entry that `blob` holds; raises Damaged for anything else."""
    try:
        entry = _decoder.decode(blob)
        entry.validate()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, Usage) as error:
        raise Damaged(f"the chain entry cannot be read: {error}") from error
    return entry
