"""Dotted version vector sets: all that a replica knows of one key.

An object is a clock (a version vector: for each actor the highest number seen) and the siblings that nothing seen has
superseded, each with its own dot. A dot that the clock covers and no sibling carries is a write that was seen and
superseded. This is the dotted version vector set of Almeida, Baquero, Goncalves, Preguica and Fonte, "Scalable and
Accurate Causality Tracking for Eventually Consistent Stores" (DAIS 2014), section 5, written as a set of dots. The
paper's (actor, n, values) is here `clock[actor] == n` and the siblings of that actor, whose dots the paper leaves
implicit in the order of the values. With explicit dots `merge` is a join of sets, an actor's siblings need not be its
latest writes, and each sibling can carry an operation id, a stamp and a tombstone flag.

A clock cannot say "this write, but not the one before it by the same actor". Contexts say that (a session knows its own
write and not the sibling beside it), and so does what such a context has replaced at a replica that never saw either
write. These single dots beyond the clock are the `cloud`: Almeida, Shoker and Baquero, "Delta state replicated data
types" (JPDC 2018), section 7.2. It is empty nearly always, and empties again as the clocks catch up.

Invariants: the clock covers every sibling's dot and no dot of the cloud; no two siblings share a dot; actors, siblings
and cloud are sorted, so that equal objects have equal bytes and replicas compare digests. Objects are values: nothing
changes a clock in place.

A write event is a dot: the actor and a number. An actor is the name in which a node coordinates writes. It belongs to
that node alone and is called `<node id>.<epoch>.<mint>`, where the epoch is that of the boot which minted it. Epochs
are on the medium before a node says anything, so no name is minted twice.

The numbers come from one counter a node, begun by each boot at its epoch: never from the row. So a dot is never given
twice, whatever became of the row: a batch that the log refused and that was undone, a row that was collected or has
expired, a hint that went home. In one key the numbers of an actor ascend with gaps, and a clock entry `actor: n` claims
nothing for the numbers in the gaps, which belong to other keys. It says: *of the writes of this actor on this key, all
up to n are seen*.

That claim is true if whoever gives (actor, n) holds, in the object that it adds to, every write that the actor has
given on this key. So a node goes on with an actor only while that is certain, and takes another one else. When that is,
is decided in `cluster.kv.actors`; `write.proves_amnesia` gives one of the reasons.

A reader is shown the distinct values, in an order that all replicas agree on. A write that was retried at a second
coordinator has two dots and is one write: siblings with the same operation id collapse to the one with the lowest dot.
Tombstones are no values, but they count as siblings. Choosing one of several values is a resolver's part.

What is written and joined is in `write` and `join`, and the bytes of an object in `encoding`.
"""

from collections.abc import Callable, Collection, Mapping
from operator import attrgetter
from typing import Annotated, Final, TypeAlias

import msgspec

Actor: TypeAlias = str
Clock: TypeAlias = dict[Actor, int]
Dot: TypeAlias = tuple[Actor, int]

_COUNT_BITS: Final = 40
"""Of a number, for the writes of one boot: 10^12, twelve years at 3,000 a second. Above it stands the epoch: four
million boots stay below the 62 bits that a counter has on the wire."""
NUMBER_MAX: Final = 2**62
EPOCH_MAX: Final = (NUMBER_MAX >> _COUNT_BITS) - 1

Counter: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]


class Sibling(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One value of a key, written by the event `dot`.

    `operation` is the id of the logical write, the same when it is retried elsewhere; `stamp` a hybrid logical clock;
    `deleted` marks a tombstone, whose value is empty.
    """

    actor: Actor
    counter: int
    operation: str
    stamp: int
    deleted: bool
    value: bytes

    @property
    def dot(self) -> Dot:
        """The write event that made this sibling; siblings are sorted by it."""
        return (self.actor, self.counter)


class Versions(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The clock, the siblings and the cloud of one key, all sorted."""

    clock: dict[Actor, Counter]
    siblings: tuple[Sibling, ...]
    cloud: tuple[tuple[Actor, Counter], ...] = ()


EMPTY = Versions({}, ())

dot_of: Callable[[Sibling], Dot] = attrgetter("actor", "counter")  # quicker as a sort key than the property
_by_stamp = attrgetter("stamp", "actor", "counter")


def actor_name(node_id: str, epoch: int, mint: int) -> Actor:
    """The actor of `node_id` minted as number `mint` in boot `epoch`, such as `n3-5f3a9c1e.4.0`."""
    assert "." not in node_id and epoch >= 0 and mint >= 0, (node_id, epoch, mint)
    return f"{node_id}.{epoch}.{mint}"


def first_number(epoch: int) -> int:
    """Where the counter of a boot begins: above every number of the boots before it."""
    assert 0 <= epoch <= EPOCH_MAX, epoch
    return epoch << _COUNT_BITS


def covers(clock: Mapping[Actor, int], cloud: Collection[Dot], actor: Actor, counter: int) -> bool:
    """Whether a clock and single dots beyond it cover a dot."""
    return counter <= clock.get(actor, 0) or (bool(cloud) and (actor, counter) in cloud)


def beyond(clock: Mapping[Actor, int], *clouds: Collection[Dot]) -> tuple[Dot, ...]:
    """The dots of the clouds that the clock does not cover, sorted."""
    return tuple(sorted({dot for cloud in clouds for dot in cloud if dot[1] > clock.get(dot[0], 0)}))


def distinct(versions: Versions) -> tuple[Sibling, ...]:
    """One sibling an operation, tombstones included, by stamp and then dot."""
    siblings = versions.siblings
    if len(siblings) < 2:
        return siblings
    firsts: dict[str, Sibling] = {}
    for sibling in siblings:  # sorted by dot
        firsts.setdefault(sibling.operation, sibling)
    return tuple(sorted(firsts.values(), key=_by_stamp))


def visible(versions: Versions) -> list[bytes]:
    """The values that are not deleted, by stamp and then dot; empty for a key that was never written or is deleted."""
    return [sibling.value for sibling in distinct(versions) if not sibling.deleted]


def is_tombstone(versions: Versions) -> bool:
    """Whether the key was deleted, with nothing concurrent to the deletion; false for a key that was never written."""
    return bool(versions.siblings) and all(sibling.deleted for sibling in versions.siblings)
