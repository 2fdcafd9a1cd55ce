"""Context tokens: the clock that a reader was shown, as opaque text that it hands back with its write.

A token carries a checksum over the key and the clock, so that one that was cut short, mistyped or taken from another
key is refused instead of replacing values that its holder never saw. The key of the checksum is no secret: this guards
against mistakes, not against a client that forges clocks, which could as well delete the data.
"""

import base64
from collections.abc import Mapping
from hashlib import blake2b
from typing import Annotated, TypeAlias

import msgspec

from cluster import errors
from cluster.versions.actor import Actor
from cluster.versions.versions import UNREADABLE, Clock

_CHECKSUM_BYTES = 6
_CHECKSUM_KEY = b"dsectl context 1"  # the number changes with the format

_Counter: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=2**62)]

_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder = msgspec.msgpack.Decoder(dict[str, _Counter])


def encode_clock(clock: Mapping[Actor, int]) -> bytes:
    """The canonical bytes of `clock`, whatever the order of its actors."""
    return _encoder.encode(clock)


def decode_clock(blob: bytes) -> Clock:
    """The clock that `blob` holds; raises `errors.BadContext` for anything else."""
    try:
        return _decoder.decode(blob)
    except UNREADABLE as error:
        raise errors.BadContext(f"the context holds no clock: {error}") from error


def make_token(key: str, clock_bytes: bytes) -> str:
    """URL-safe text (letters, digits, `-` and `_`) that carries `clock_bytes` and belongs to `key`."""
    return base64.urlsafe_b64encode(_checksum(key, clock_bytes) + clock_bytes).rstrip(b"=").decode("ascii")


def open_token(key: str, token: str) -> bytes:
    """The clock bytes in `token`; raises `errors.BadContext` unless it was made for `key` and is whole."""
    padding = "=" * (-len(token) % 4)
    try:
        opened = base64.b64decode(token + padding, altchars=b"-_", validate=True)
    except ValueError as error:
        raise errors.BadContext("the context is no token: it has characters or a length that none has") from error
    checksum, clock_bytes = opened[:_CHECKSUM_BYTES], opened[_CHECKSUM_BYTES:]
    if checksum != _checksum(key, clock_bytes):
        raise errors.BadContext(f"the context was made for another key than {key!r}, or it is not complete")
    return clock_bytes


def _checksum(key: str, clock_bytes: bytes) -> bytes:
    name = key.encode()
    content = len(name).to_bytes(4, "big") + name + clock_bytes
    return blake2b(content, digest_size=_CHECKSUM_BYTES, key=_CHECKSUM_KEY).digest()
