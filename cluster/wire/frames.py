"""Frames: four bytes of length, then one msgpack array. Five kinds carry every message between nodes and clients.

A deadline travels as remaining milliseconds, because clocks differ. Bodies are tagged unions; a byte string in a body
is copied, never interpreted. The reader is sans-IO: bytes in, frames out (after h11).
"""

import struct
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from cluster.errors import BadMessage
from cluster.limits import FRAME_BYTES_MAX
from cluster.wire.admin import AdminBody
from cluster.wire.kv import KvBody
from cluster.wire.membership import MembershipBody
from cluster.wire.replication import ReplicationBody
from cluster.wire.requests import RequestBody
from cluster.wire.topics import TopicBody

Body = KvBody | ReplicationBody | TopicBody | RequestBody | AdminBody | MembershipBody


class Request(Struct, array_like=True, gc=False, tag=1):
    """Wants one Reply or Failure with the same id within `remaining_ms`. `layout` is the layout number that the sender
    routed by (0: none needed). `trace` is a W3C traceparent, or empty when the request is not sampled."""

    id: int
    remaining_ms: int
    layout: int
    body: Body
    trace: str = ""


class Reply(Struct, array_like=True, gc=False, tag=2):
    """The answer to a request."""

    id: int
    body: Body


class Failure(Struct, array_like=True, gc=False, tag=3):
    """The request failed; `code` is a key of the registry in cluster/errors.py."""

    id: int
    code: str
    message: str


class OneWay(Struct, array_like=True, gc=False, tag=4):
    """Wants no answer."""

    body: Body


class Cancel(Struct, array_like=True, gc=False, tag=5):
    """The sender no longer waits for request `id`."""

    id: int


Frame = Request | Reply | Failure | OneWay | Cancel

_encoder = msgspec.msgpack.Encoder()
_encode = _encoder.encode
_encode_into = _encoder.encode_into
_decode = msgspec.msgpack.Decoder(Frame).decode
_LENGTH = struct.Struct(">I")
_length_at = _LENGTH.unpack_from
_length_bytes = _LENGTH.pack
_length_into = _LENGTH.pack_into
LENGTH_BYTES = _LENGTH.size


def encode_frame(frame: Frame) -> bytes:
    """The bytes of a frame, with its length. Raises TooLarge-like BadMessage only when our own bug makes it too big."""
    body = _encode(frame)
    return _length_bytes(len(body)) + body


def append_frame(buffer: bytearray, frame: Frame) -> None:
    """Put the bytes of a frame, with its length, behind what the buffer holds: no copy is made."""
    start = len(buffer)
    _encode_into(frame, buffer, start + 4)
    _length_into(buffer, start, len(buffer) - start - 4)


def with_length(body: bytes) -> bytes:
    """Any already encoded message, with its length."""
    return _length_bytes(len(body)) + body


class FrameReader:
    """Cuts a byte stream into frames.

    `feed` yields whole frames; what is left waits for more bytes. Raises BadMessage for an oversized length or bytes
    that are not a frame; the connection is then beyond repair.
    """

    __slots__ = ("_rest", "limit")

    def __init__(self, limit: int = FRAME_BYTES_MAX) -> None:
        self._rest = b""
        self.limit = limit

    def feed(self, data: bytes) -> list[Frame]:
        """All frames that `data` completes."""
        if self._rest:
            data = self._rest + data
        frames: list[Frame] = []
        view = memoryview(data)
        position, end = 0, len(data)
        try:
            while end - position >= 4:
                length = _length_at(data, position)[0]
                if length > self.limit:
                    raise BadMessage(f"a frame of {length} bytes is over the limit of {self.limit}")
                stop = position + 4 + length
                if stop > end:
                    break
                frames.append(_decode(view[position + 4 : stop]))
                position = stop
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise BadMessage(f"not a frame: {error}") from None
        self._rest = data[position:] if position < end else b""
        return frames

    def take_rest(self) -> bytes:
        """What is buffered, when another reader goes on with the stream."""
        rest, self._rest = self._rest, b""
        return rest


def split_lengths(data: bytes, limit: int) -> Iterator[tuple[bytes, int]]:
    """The length-prefixed messages at the start of `data`, each with the position behind it (for the handshake)."""
    position = 0
    while len(data) - position >= LENGTH_BYTES:
        length = _length_at(data, position)[0]
        if length > limit:
            raise BadMessage(f"a message of {length} bytes where at most {limit} are allowed")
        stop = position + LENGTH_BYTES + length
        if stop > len(data):
            return
        yield data[position + LENGTH_BYTES : stop], stop
        position = stop
