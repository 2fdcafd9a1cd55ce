"""The canonical bytes of an object: equal objects, as `put` and `merge` make them, have equal bytes.

An object is a MessagePack array of its clock, its siblings and, where there is one, its cloud. The usual object has the
short form, which names no actor and no number twice: one sibling, whose dot is an entry of the clock, and no cloud. It
is an array of five: the clock, the place of that entry in it, operation, stamp and value (nil for a tombstone). The
first byte tells the forms apart, and the clock stands behind it in each.

Bytes that are stored are as long as their object. What msgspec's `encode` returns keeps the room that it grew by, up to
half as much again, and a row would take that for as long as it lives.
"""

from hashlib import blake2b
from typing import Annotated, Any, Final

import msgspec

from cluster import errors
from cluster.versions.versions import Actor, Clock, Counter, Sibling, Versions

DIGEST_BYTES: Final = 8
FRONT_CLOUD: Final = 0x93
"""The first byte of an object with a cloud."""
FRONT_SHORT: Final = 0x95
"""The first byte of the short form."""
_FRONTS_ALL_SEEN: Final = (FRONT_SHORT, 0x92)
"""Those of objects that have no cloud."""
NIL: Final = 0xC0

# What decoding raises on garbage; the last for containers nested thousands deep.
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_GARBAGE: Final = (*UNREADABLE, IndexError)
"""No byte at all, too, or a place beyond the clock."""


class Short(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The short form of an object."""

    clock: dict[Actor, Counter]
    place: Annotated[int, msgspec.Meta(ge=0)]
    """Of the entry in the clock, which is sorted, that is the dot of the sibling."""
    operation: str
    stamp: int
    value: bytes | None
    """None: deleted."""


class _ShortOutline(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The front of a Short."""

    clock: dict[Actor, Counter]
    place: Annotated[int, msgspec.Meta(ge=0)]


class _Front(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The front of any object."""

    clock: dict[Actor, Counter]


class OutlineDot(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The front of an encoded Sibling."""

    actor: Actor
    counter: int


class Outline(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What tells two objects apart, read from the same bytes as Versions: clock and dots, without the values."""

    clock: dict[Actor, Counter]
    siblings: tuple[OutlineDot, ...]
    cloud: tuple[tuple[Actor, Counter], ...] = ()


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Versions)
_short_decoder = msgspec.msgpack.Decoder(Short)
_outline_decoder = msgspec.msgpack.Decoder(Outline)
_short_outline_decoder = msgspec.msgpack.Decoder(_ShortOutline)
_front_decoder = msgspec.msgpack.Decoder(_Front)
_buffer = bytearray()


def encode_exactly(value: Any) -> bytes:
    """The MessagePack of `value`, in bytes that are no longer than that. Not for two threads at once."""
    _encoder.encode_into(value, _buffer)
    return bytes(_buffer)


def encode(versions: Versions) -> bytes:
    """The canonical bytes of `versions`."""
    if versions.cloud:
        return encode_exactly(versions)
    clock, siblings = versions.clock, versions.siblings
    if len(siblings) == 1:
        sibling = siblings[0]
        actor, value = sibling.actor, None if sibling.deleted else sibling.value
        if clock.get(actor) == sibling.counter and (value is not None or not sibling.value):
            place = 0 if len(clock) == 1 else [*clock].index(actor)
            return encode_exactly(Short(clock, place, sibling.operation, sibling.stamp, value))
    return encode_exactly((clock, siblings))


def decode(blob: bytes) -> Versions:
    """The object that `blob` holds; raises `errors.Damaged` for anything else."""
    try:
        if blob[0] != FRONT_SHORT:
            return _decoder.decode(blob)
        short = _short_decoder.decode(blob)
        clock, value = short.clock, short.value
        actor = [*clock][short.place]
    except _GARBAGE as error:
        raise errors.Damaged(f"an object cannot be read: {error}") from error
    deleted = value is None
    return Versions(clock, (Sibling(actor, clock[actor], short.operation, short.stamp, deleted, value or b""),))


def decode_short(blob: bytes) -> Short:
    """The object of a `blob` that begins as the short form; raises `errors.Damaged` for anything else."""
    try:
        short = _short_decoder.decode(blob)
    except UNREADABLE as error:
        raise errors.Damaged(f"an object cannot be read: {error}") from error
    if short.place >= len(short.clock):
        raise errors.Damaged("an object cannot be read: its dot is not in its clock")
    return short


def outline(blob: bytes) -> Outline:
    """Clock and dots of the object that `blob` holds; raises `errors.Damaged` for anything else."""
    try:
        if blob[0] != FRONT_SHORT:
            return _outline_decoder.decode(blob)
        short = _short_outline_decoder.decode(blob)
        clock = short.clock
        actor = [*clock][short.place]
    except _GARBAGE as error:
        raise errors.Damaged(f"an object cannot be read: {error}") from error
    return Outline(clock, (OutlineDot(actor, clock[actor]),))


def clock_of(blob: bytes) -> Clock:
    """The clock of the object that `blob` holds, without a look at the rest. Raises `errors.Damaged`."""
    try:
        return _front_decoder.decode(blob).clock
    except UNREADABLE as error:
        raise errors.Damaged(f"an object cannot be read: {error}") from error


def has_clock(blob: bytes, clock_bytes: bytes) -> bool:
    """Whether the encoded object has no cloud, and the encoded `clock_bytes` for its clock: both are canonical."""
    return blob[0] in _FRONTS_ALL_SEEN and blob.startswith(clock_bytes, 1)


def digest(blob: bytes) -> bytes:
    """Eight bytes that differ, for all practical purposes, when encoded objects differ."""
    return blake2b(blob, digest_size=DIGEST_BYTES).digest()
