"""One entry of the control chain, and the entries that may follow it. Pure.

An entry holds all that its slot decides: the layout, and which acceptors vote on the next slot. Slot and layout number
are two numbers: every entry raises the slot, and only one that changes where data belongs raises the layout number, so
that definitions make no request stale.

A change of members takes two entries. The first names the owners to come beside those in force: data moves, writes go
to both. The second, decided once the owners to come hold everything (`transition`), leaves only them; or a *revert*
leaves only those in force. Between the two nothing but these, and forgetting a member that died, can be decided.

Each entry carries the digest of the one before, so that no chain can be continued with entries of another. Where no
majority is left, those that stay may go on by themselves (`forced`): a fork. Should the others be alive, then there are
two chains, and the one with the higher fork number is right. Layout numbers of a fork begin at a new million, with a
random offset, so that no request is routed by a number that both branches have.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from cluster.ballot.proposer import majority
from cluster.chain.bucket import LWW, Bucket, check_count
from cluster.chain.queue import BINDINGS_MAX, Queue, check_queues
from cluster.chain.weights import Weights, check_weights
from cluster.errors import (
    AlreadyExists,
    Damaged,
    NotFound,
    QuorumMissing,
    TooFewNodes,
    TooFewOwners,
    TransitionUnderWay,
    Usage,
)
from cluster.layout.entry import Coming, LayoutEntry, LayoutMember
from cluster.layout.partition import PARTITIONS
from cluster.layout.placement import placement
from cluster.layout.rebalance import rebalanced

FOLDER: Final = "chain"
FORK_NUMBERS: Final = 1_000_000
"""So many layout numbers a fork has."""
NOT_NEEDED: Final = "`dsectl forget` without --force is enough: with a majority there is one chain."


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
    follows: str = ""
    """The digest of the entry before."""
    fork: int = 0
    """The number of the layout that was forced last; 0: none ever was."""
    buckets: dict[str, Bucket] = {}
    """By name, in the order of the names, so that equal entries give equal bytes."""
    queues: dict[str, Queue] = {}
    """By name, in the order of the names."""
    weights: Weights = {}
    """How calls are shared by the versions of services."""
    goes_on: str = ""
    """The change of members that is under way still, where `what` is something else that was decided meanwhile."""

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
        check_count(self.buckets)
        for name, bucket in self.buckets.items():
            bucket.validate(name, self.layout.n)
        check_queues(self.queues, self.slot)
        check_weights(self.weights)

    @property
    def change_of_members(self) -> str:
        """The change of members that is under way, or that this entry is, for people."""
        return self.goes_on or self.what

    @property
    def moving(self) -> bool:
        """Whether a transition is under way."""
        return self.layout.coming is not None


Change = Callable[[ChainEntry], ChainEntry]
"""Makes the entry that follows, or returns the one it is given where nothing is left to be changed; raises Usage,
NotFound, AlreadyExists for a change that cannot be."""


def genesis(layout: LayoutEntry) -> ChainEntry:
    """The first entry: every member is an acceptor, under its own name."""
    return ChainEntry(1, "the first layout", layout, {member.name: member.name for member in layout.members})


def first_entries(layout: LayoutEntry, buckets: Mapping[str, Bucket]) -> list[ChainEntry]:
    """The chain of a cluster that is born with these buckets: nobody has to decide them."""
    entries = [genesis(layout)]
    for name, bucket in buckets.items():
        entries.append(replace(with_bucket(entries[-1], name, bucket), follows=digest(entries[-1])))
    return entries


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


def left(
    entry: ChainEntry, names: Sequence[str], *, gone: bool, lossy: bool = False, fewest: int | None = None
) -> ChainEntry:
    """These leave. `gone`: they are dead, nothing that they hold is waited for. `lossy`: not even where too few other
    owners are left to be sure that they have everything. `fewest`: so many nodes must be left, or one for each copy.
    """
    layout = entry.layout
    members = [member.name for member in layout.all_members]
    for name in names:
        if name not in members:
            raise NotFound(f"{name} is not a member; the members are {', '.join(members)}")
    voters = [name for name in entry.acceptors if name not in names]
    if gone and fewest is None and len(voters) < majority(len(entry.acceptors)):
        raise QuorumMissing(f"{', '.join(voters) or 'nobody'} would be no majority; `forget --force` goes on without")
    if gone and not lossy:
        _refuse_loss(entry, names)
    if not gone or not entry.moving:
        _refuse_second_change(entry)
    stay = tuple(one for one in (layout.coming or layout).members if one.name not in names)
    if len(stay) < (layout.replicas if fewest is None else fewest):
        nodes = "1 node" if len(stay) == 1 else f"{len(stay)} nodes"
        raise TooFewNodes(f"{nodes} would be left for {layout.replicas} copies of each key")
    what = f"{'forget' if gone else 'leave'} {', '.join(names)}"
    if not gone:
        return _begin(entry, stay, what)
    if layout.coming is None:
        return replace(_strike(_begin(entry, stay, what), names), lossy=lossy)
    # Who died in the middle of a transition is struck from both layouts.
    coming = Coming(stay, rebalanced(layout.coming.owners, stay, layout.n))
    next = _follow(entry, what, replace(layout, coming=coming))
    return replace(_strike(next, names), lossy=lossy or entry.lossy)


def forced(entry: ChainEntry, names: Sequence[str], offset: int, *, lossy: bool) -> ChainEntry:
    """These are forgotten by the acceptors that are left, all of them, where those are no majority: a fork. `offset` is
    random, below FORK_NUMBERS; it tells forks apart that several sides make at once."""
    assert 0 <= offset < FORK_NUMBERS // 2
    voters = [name for name in entry.acceptors if name not in names]
    if len(voters) >= majority(len(entry.acceptors)):
        raise Usage(f"{', '.join(voters)} are a majority of the members", help=NOT_NEEDED)
    next = left(entry, names, gone=True, lossy=lossy, fewest=1)
    number = (entry.layout.number // FORK_NUMBERS + 1) * FORK_NUMBERS + offset
    return replace(next, what=f"{next.what} by force", layout=replace(next.layout, number=number), fork=number)


def forgotten(entries: Sequence[ChainEntry]) -> list[LayoutMember]:
    """Whom a fork left behind, and who is no member again: they may live, and have a chain of their own."""
    members = {member.name for member in entries[-1].layout.all_members}
    found = {
        member.name: member
        for before, entry in pairwise(entries)
        if entry.fork != before.fork
        for member in entry.layout.members
        if member.name in entry.gone and member.name not in members
    }
    return list(found.values())


def last_copies(entry: ChainEntry, names: Sequence[str]) -> list[int]:
    """The partitions that none but these, and who was forgotten before, own."""
    return _short(entry, names, 1)


def _short(entry: ChainEntry, names: Sequence[str], needed: int) -> list[int]:
    """The partitions of which fewer than `needed` owners are left without these."""
    placed, away = placement(entry.layout), {*names, *entry.gone}
    return [p for p in range(PARTITIONS) if sum(name not in away for name in placed.owners(p)) < needed]


def _refuse_loss(entry: ChainEntry, names: Sequence[str]) -> None:
    """Of each partition so many owners must be left that one of any write quorum is among them."""
    replicas = entry.layout.replicas
    short = _short(entry, names, replicas - min(entry.layout.w, replicas) + 1)
    if short:
        shown = " ".join(map(str, short[:20])) + (f" and {len(short) - 20} more" if len(short) > 20 else "")
        raise TooFewOwners(
            f"too few owners would be left to have all that was acknowledged in {len(short)} partitions: {shown}"
        )


def _strike(entry: ChainEntry, names: Sequence[str]) -> ChainEntry:
    acceptors = {name: id for name, id in entry.acceptors.items() if name not in names}
    if not acceptors:
        raise Usage("somebody must be left to vote")
    joining = {name: id for name, id in entry.joining.items() if name not in names}
    members = {member.name for member in entry.layout.members}
    gone = tuple(dict.fromkeys((*entry.gone, *(name for name in names if name in members))))
    return replace(entry, acceptors=acceptors, joining=joining, gone=gone)


def switched(entry: ChainEntry) -> ChainEntry:
    """Only the owners to come are left."""
    if not entry.moving:
        raise Usage("no transition is under way")
    layout = entry.layout.after()
    voters = {**entry.acceptors, **entry.joining}
    stay = {member.name: voters[member.name] for member in layout.members if member.name in voters}
    what = f"{entry.change_of_members}: done"
    return ChainEntry(
        entry.slot + 1, what, layout, stay,
        fork=entry.fork, buckets=entry.buckets, queues=entry.queues, weights=entry.weights,
    )  # fmt: skip


def reverted(entry: ChainEntry) -> ChainEntry:
    """The transition is taken back: only the owners in force are left."""
    if not entry.moving:
        raise Usage("no transition is under way")
    if entry.gone:
        raise Usage(f"{entry.change_of_members} cannot be taken back: who was forgotten cannot come back")
    what = f"revert: {entry.change_of_members}"
    return replace(_follow(entry, what, replace(entry.layout, coming=None)), joining={})


def renamed(entry: ChainEntry, name: str, acceptor: str) -> ChainEntry:
    """A member that lost its promises votes under another id from here on."""
    if name not in entry.acceptors or acceptor in entry.acceptors.values():
        raise Usage(f"{name} votes as {entry.acceptors.get(name, 'nobody')}")
    return replace(_aside(entry, f"{name} votes again"), acceptors={**entry.acceptors, name: acceptor})


def with_bucket(entry: ChainEntry, name: str, bucket: Bucket) -> ChainEntry:
    """A bucket is defined; `entry` itself where it is defined so already."""
    bucket.validate(name, entry.layout.n)
    there = entry.buckets.get(name)
    if there is not None:
        if there.same_options(bucket):
            return entry
        raise AlreadyExists(f"bucket {name} exists, with other options")
    buckets = dict(sorted({**entry.buckets, name: bucket}.items()))
    check_count(buckets)
    return replace(_aside(entry, f"create bucket {name}"), buckets=buckets)


def with_emptied(entry: ChainEntry, name: str, stamp: int) -> ChainEntry:
    """A bucket is emptied, of all that was written with a stamp up to this one."""
    bucket = entry.buckets.get(name)
    if bucket is None:
        raise NotFound(f"no bucket {name!r}")
    if bucket.resolver != LWW:
        raise Usage(f"bucket {name} keeps siblings, which have no order by which to end them: delete its keys")
    emptied = replace(bucket, emptied=max(stamp, bucket.emptied + 1))
    return replace(_aside(entry, f"empty bucket {name}"), buckets={**entry.buckets, name: emptied})


def with_queue(entry: ChainEntry, name: str, queue: Queue) -> ChainEntry:
    """A queue is created, and its id is the slot of that entry; `entry` itself where there is one with the same
    options."""
    there = entry.queues.get(name)
    if there is not None:
        if there.same_options(queue):
            return entry
        raise AlreadyExists(f"queue {name} exists, with other options")
    next = _aside(entry, f"create queue {name}")
    return _with_queues(next, {**entry.queues, name: replace(queue, id=next.slot)})


def with_options(entry: ChainEntry, name: str, options: Mapping[str, Any]) -> ChainEntry:
    """A queue goes on with other options; `entry` itself where it has them. How many shards it has is fixed."""
    queue = _queue(entry, name)
    changed = replace(queue, **options)
    if changed == queue:
        return entry
    return _with_queues(_aside(entry, f"alter queue {name}"), {**entry.queues, name: changed})


def without_queue(entry: ChainEntry, name: str) -> ChainEntry:
    """A queue is deleted, with all that is in it."""
    _queue(entry, name)
    for other, queue in entry.queues.items():
        if queue.dead_letter == name:
            raise Usage(f"queue {other} sends its dead letters to {name}: delete {other} first")
    left = {one: queue for one, queue in entry.queues.items() if one != name}
    return _with_queues(_aside(entry, f"delete queue {name}"), left)


def with_binding(entry: ChainEntry, name: str, pattern: str, *, bound: bool) -> ChainEntry:
    """A queue takes what is published to subjects that match, or takes it no more."""
    queue = _queue(entry, name)
    if (pattern in queue.patterns) == bound:
        if bound:
            return entry
        raise NotFound(f"queue {name} is not bound to {pattern}")
    left = tuple(one for one in queue.patterns if one != pattern)
    if bound and len(left) == BINDINGS_MAX:
        raise Usage(f"a queue is bound to at most {BINDINGS_MAX} patterns")
    changed = replace(queue, patterns=(*left, pattern) if bound else left)
    what = f"{'bind' if bound else 'unbind'} queue {name} {'to' if bound else 'from'} {pattern}"
    return _with_queues(_aside(entry, what), {**entry.queues, name: changed})


def with_weights(entry: ChainEntry, service: str, shares: Mapping[int, float]) -> ChainEntry:
    """The calls of a service are shared so by its versions, or evenly by endpoint again (none); `entry` itself where
    they are already."""
    weights = {name: one for name, one in entry.weights.items() if name != service}
    if shares:
        weights[service] = dict(sorted(shares.items()))
    if weights == entry.weights:
        return entry
    check_weights(weights)
    return replace(_aside(entry, f"weigh the versions of service {service}"), weights=dict(sorted(weights.items())))


def _queue(entry: ChainEntry, name: str) -> Queue:
    queue = entry.queues.get(name)
    if queue is None:
        raise NotFound(f"no queue {name!r}", help="`dsectl queue list` lists the queues.")
    return queue


def _with_queues(entry: ChainEntry, queues: dict[str, Queue]) -> ChainEntry:
    changed = replace(entry, queues=dict(sorted(queues.items())))
    check_queues(changed.queues, changed.slot)
    return changed


def _refuse_second_change(entry: ChainEntry) -> None:
    if entry.moving:
        raise TransitionUnderWay(f"a transition is under way ({entry.change_of_members})")


def _begin(entry: ChainEntry, members: tuple[LayoutMember, ...], what: str) -> ChainEntry:
    layout = entry.layout
    placed = placement(layout)
    before = [placed.owners(partition) for partition in range(PARTITIONS)]
    owners = rebalanced(before, members, layout.n)
    return _follow(entry, what, replace(layout, coming=Coming(members, owners)))


def _follow(entry: ChainEntry, what: str, layout: LayoutEntry) -> ChainEntry:
    layout = replace(layout, number=layout.number + 1, previous=layout.number)
    return replace(entry, slot=entry.slot + 1, what=what, layout=layout, goes_on="")


def _aside(entry: ChainEntry, what: str) -> ChainEntry:
    """An entry that leaves the layout as it is, and a transition under way."""
    return replace(entry, slot=entry.slot + 1, what=what, goes_on=entry.change_of_members if entry.moving else "")


_decoder = msgspec.json.Decoder(ChainEntry)


def encode_chain(entry: ChainEntry) -> bytes:
    """The entry as JSON: equal entries give equal bytes."""
    return msgspec.json.encode(entry)


def behind(before: ChainEntry, entry: ChainEntry) -> ChainEntry:
    """The entry, with the very layout of the one before where it is the same: a bucket may be emptied every second, and
    a layout with its owners is some ten kilobytes in memory."""
    return replace(entry, layout=before.layout) if entry.layout == before.layout else entry


def entry_path(slot: int) -> str:
    """Where a node keeps an entry; the names sort as the slots do."""
    return f"{FOLDER}/{slot:08}.json"


def digest(entry: ChainEntry) -> str:
    """What the next entry says that it follows."""
    return blake2b(encode_chain(entry), digest_size=16).hexdigest()


def decode_chain(blob: bytes) -> ChainEntry:
    """The valid entry that `blob` holds; raises Damaged for anything else."""
    try:
        entry = _decoder.decode(blob)
        entry.validate()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, Usage) as error:
        raise Damaged(f"the chain entry cannot be read: {error}") from error
    return entry
