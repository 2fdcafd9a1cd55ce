"""Receipts: what proves a lease. Opaque to whoever holds one, and checked, so that garbage is refused and not guessed
at.

The checksum keeps out what is no receipt, not an enemy: who may acknowledge at all is a matter of roles. Pure.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final
from zlib import crc32

import msgspec
from msgspec import Struct

from cluster.errors import Usage

_CHECK_BYTES: Final = 4


class Receipt(Struct, array_like=True, frozen=True, gc=False):
    """A lease: of which item (its shard, the actor that numbered it and the number), and by whom. A giver counts the
    leases of its boot, whose epoch goes with them."""

    queue: int
    shard: int
    actor: str
    number: int
    giver: str
    epoch: int
    counter: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Receipt).decode


def encode_receipt(receipt: Receipt) -> str:
    """As text without blanks, which no shell and no URL changes."""
    data = _encode(receipt)
    return urlsafe_b64encode(data + crc32(data).to_bytes(_CHECK_BYTES, "big")).decode()


def decode_receipt(text: str) -> Receipt:
    """The inverse. Raises Usage."""
    try:
        data = urlsafe_b64decode(text)
        body = data[:-_CHECK_BYTES]
        if crc32(body).to_bytes(_CHECK_BYTES, "big") != data[-_CHECK_BYTES:]:
            raise ValueError
        return _decode(body)
    except (ValueError, msgspec.DecodeError):
        raise Usage("invalid receipt: expected one as `receive` gives it, with each message") from None
