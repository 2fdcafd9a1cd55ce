"""Dotted version vector sets: all that a replica knows of one key, and its canonical encoding.

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

What is written, joined and shown is in `write`, `join` and `reading`.
"""

from collections.abc import Callable, Collection, Mapping
from hashlib import blake2b
from operator import attrgetter
from typing import Annotated, Final, TypeAlias

import msgspec

from cluster import errors
from cluster.versions.actor import Actor

Clock: TypeAlias = dict[Actor, int]
Dot: TypeAlias = tuple[Actor, int]

DIGEST_BYTES = 8

_Counter: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]


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

    clock: dict[Actor, _Counter]
    siblings: tuple[Sibling, ...]
    cloud: tuple[tuple[Actor, _Counter], ...] = ()


EMPTY = Versions({}, ())

dot_of: Callable[[Sibling], Dot] = attrgetter("actor", "counter")  # quicker as a sort key than the property

# What decoding raises on garbage; the last for containers nested thousands deep.
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class OutlineDot(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The front of an encoded Sibling."""

    actor: Actor
    counter: int


class Outline(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What tells two objects apart, read from the same bytes as Versions: clock and dots, without the values."""

    clock: dict[Actor, _Counter]
    siblings: tuple[OutlineDot, ...]
    cloud: tuple[tuple[Actor, _Counter], ...] = ()


_ARRAY_OF_TWO: Final = 0x92
_FRONT: Final = bytes([_ARRAY_OF_TWO])

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Versions)
_outline_decoder = msgspec.msgpack.Decoder(Outline)


def covers(clock: Mapping[Actor, int], cloud: Collection[Dot], actor: Actor, counter: int) -> bool:
    """Whether a clock and single dots beyond it cover a dot."""
    return counter <= clock.get(actor, 0) or (bool(cloud) and (actor, counter) in cloud)


def beyond(clock: Mapping[Actor, int], *clouds: Collection[Dot]) -> tuple[Dot, ...]:
    """The dots of the clouds that the clock does not cover, sorted."""
    return tuple(sorted({dot for cloud in clouds for dot in cloud if dot[1] > clock.get(dot[0], 0)}))


def encode(versions: Versions) -> bytes:
    """The canonical bytes of `versions`: equal objects, as `put` and `merge` make them, have equal bytes."""
    return _encoder.encode(versions if versions.cloud else (versions.clock, versions.siblings))


def encode_parts(clock: Clock, siblings: tuple[Sibling, ...]) -> tuple[bytes, bytes]:
    """The bytes of an object without a cloud, and those of its clock, which are part of them."""
    clock_bytes = _encoder.encode(clock)
    return _FRONT + clock_bytes + _encoder.encode(siblings), clock_bytes


def decode(blob: bytes) -> Versions:
    """The object that `blob` holds; raises `errors.Damaged` for anything else."""
    try:
        return _decoder.decode(blob)
    except UNREADABLE as error:
        raise errors.Damaged(f"an object cannot be read: {error}") from error


def outline(blob: bytes) -> Outline:
    """Clock and dots of the object that `blob` holds; raises `errors.Damaged` for anything else."""
    try:
        return _outline_decoder.decode(blob)
    except UNREADABLE as error:
        raise errors.Damaged(f"an object cannot be read: {error}") from error


def has_clock(blob: bytes, clock_bytes: bytes) -> bool:
    """Whether the encoded object has no cloud, and the encoded `clock_bytes` for its clock: both are canonical, and an
    object is the byte of an array of two and then its clock."""
    return blob[0] == _ARRAY_OF_TWO and blob.startswith(clock_bytes, 1)


def digest(blob: bytes) -> bytes:
    """Eight bytes that differ, for all practical purposes, when encoded objects differ."""
    return blake2b(blob, digest_size=DIGEST_BYTES).digest()
