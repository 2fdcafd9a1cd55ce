"""Contexts: which writes of a key somebody has seen, and tokens, which carry them as opaque text from read to write.

A context is a clock and single dots beyond it. A read shows everything, so its context is the clock of the object. A
writer that was shown nothing, or less than is there, has seen what it saw before and its own write: that is a dot which
the clock, with an unseen sibling in the gap below it, cannot name.

A token carries a checksum over key and context, so that one that was cut short, mistyped or taken from another key is
refused instead of replacing values that its holder never saw. The key of the checksum is no secret: this guards against
mistakes, not against a client that forges contexts, which could as well delete the data.
"""

import base64
from collections.abc import Mapping
from hashlib import blake2b
from typing import Annotated, Final, TypeAlias

import msgspec

from cluster import errors
from cluster.versions.encoding import UNREADABLE
from cluster.versions.versions import NUMBER_MAX, Actor, Clock, Dot, covers

CONTEXT_BYTES_MAX: Final = 512 * 1024
"""Over whatever a node hands out: clocks at their limit in all owners that did not hear of each other, with the longest
names, and a dot for each sibling of a read that shows only a part."""
DOTS_MAX: Final = 8
"""Of its own writes that a writer is handed beside siblings that it never saw; the newest has replaced the others."""

CELL_FRONT: Final = b"\xc1"
"""How the context of a cell begins: a byte that stands in no MessagePack, and so in no context of an object."""

_CHECKSUM_BYTES = 6
_CHECKSUM_KEY = b"dsectl context 2"  # the number changes with the format

_Counter: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=NUMBER_MAX)]


class Context(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The writes that the clock covers, and single ones beyond it, the newest last."""

    clock: dict[Actor, _Counter]
    dots: tuple[tuple[Actor, _Counter], ...] = ()

    def covers(self, dot: Dot) -> bool:
        """Whether the holder of this context has seen the write."""
        return covers(self.clock, self.dots, *dot)


NOTHING: Final = Context({})

_encoder = msgspec.msgpack.Encoder(order="deterministic")
_clock_decoder = msgspec.msgpack.Decoder(dict[str, _Counter])
_decoder = msgspec.msgpack.Decoder(dict[str, _Counter] | Context)


def encode_clock(clock: Mapping[Actor, int]) -> bytes:
    """The canonical bytes of `clock`, whatever the order of its actors; they are also those of a context without dots,
    so that it can be compared with the clock of an encoded object."""
    return _encoder.encode(clock)


def encode_context(context: Context) -> bytes:
    """The canonical bytes of a context."""
    return _encoder.encode(context if context.dots else context.clock)


def decode_clock(blob: bytes) -> Clock:
    """The clock in the bytes of a context that is known to have no dots, since an object's clock has the same bytes."""
    return _clock_decoder.decode(blob)


def decode_context(blob: bytes) -> Context:
    """The context that `blob` holds; raises `errors.BadContext` for anything else."""
    if len(blob) > CONTEXT_BYTES_MAX:
        raise errors.BadContext(f"a context has at most {CONTEXT_BYTES_MAX} bytes, this one {len(blob)}")
    try:
        found = _decoder.decode(blob)
    except UNREADABLE as error:
        raise errors.BadContext(f"the context cannot be read: {error}") from error
    return Context(found) if type(found) is dict else found


def join_dot(context: Context | None, dot: Dot) -> Context:
    """What the holder of `context` has seen after its own write `dot`, which it made with that context.

    Of more single dots than `DOTS_MAX` the oldest go. That is safe, since who has seen less replaces less, and costs
    nothing where the write has arrived, since it replaced all that its context covers.
    """
    if context is None:
        return Context({}, (dot,))
    if context.covers(dot):
        return context
    return Context(context.clock, (*context.dots[-(DOTS_MAX - 1) :], dot))


def make_token(key: str, context_bytes: bytes) -> str:
    """URL-safe text (letters, digits, `-` and `_`) that carries `context_bytes` and belongs to `key`."""
    return base64.urlsafe_b64encode(_checksum(key, context_bytes) + context_bytes).rstrip(b"=").decode("ascii")


def open_token(key: str, token: str) -> bytes:
    """The context's bytes in `token`; raises `errors.BadContext` unless it was made for `key` and is whole."""
    padding = "=" * (-len(token) % 4)
    try:
        opened = base64.b64decode(token + padding, altchars=b"-_", validate=True)
    except ValueError as error:
        raise errors.BadContext("invalid context: no token has such characters or such a length") from error
    checksum, context_bytes = opened[:_CHECKSUM_BYTES], opened[_CHECKSUM_BYTES:]
    if checksum != _checksum(key, context_bytes):
        raise errors.BadContext(f"the context was made for another key than {key!r}, or it is not complete")
    return context_bytes


def _checksum(key: str, context_bytes: bytes) -> bytes:
    name = key.encode()
    content = len(name).to_bytes(4, "big") + name + context_bytes
    return blake2b(content, digest_size=_CHECKSUM_BYTES, key=_CHECKSUM_KEY).digest()
