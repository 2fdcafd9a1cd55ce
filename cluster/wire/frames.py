"""Frames: four bytes of length, then one msgpack array. Nine kinds carry every message between nodes and clients.

Every write of a connection begins with a `Stamp`, the time of the write on the sender's monotonic clock, in seconds;
deadlines travel as absolute times of that clock (see `cluster.wire.clock` for what the receiver makes of them). So a
stop of the sender, of the receiver, or a slow way between them counts, whichever clock noticed it. Bodies are tagged
unions; a byte string in a body is copied, never interpreted. The reader is sans-IO: bytes in, frames out (after h11).
"""

import struct
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from cluster.errors import BadMessage, ClusterError, from_code
from cluster.limits import FRAME_BYTES_MAX
from cluster.wire.admin import AdminBody
from cluster.wire.chain import ChainBody
from cluster.wire.kv import KvBody
from cluster.wire.membership import MembershipBody
from cluster.wire.queues import QueueBody
from cluster.wire.replication import ReplicationBody
from cluster.wire.requests import RequestBody
from cluster.wire.topics import TopicBody

Body = KvBody | ReplicationBody | TopicBody | RequestBody | AdminBody | MembershipBody | ChainBody | QueueBody


class Request(Struct, array_like=True, gc=False, tag=1):
    """Wants one Reply or Failure with the same id before `deadline`, on the sender's monotonic clock, in seconds.
    `layout` is the layout number that the sender routed by (0: none needed). `trace` is a W3C traceparent, or empty
    when the request is not sampled."""

    id: int
    deadline: float
    layout: int
    body: Body
    trace: str = ""


class Reply(Struct, array_like=True, gc=False, tag=2):
    """The answer to a request."""

    id: int
    body: Body


class Failure(Struct, array_like=True, gc=False, tag=3):
    """The request failed; `code` is a key of the registry in cluster/errors.py. `layout`: of one that was routed by an
    older layout than the receiver holds, that number. `help`: what helps, where it is not what that class says."""

    id: int
    code: str
    message: str
    layout: int = 0
    help: str = ""

    def to_error(self) -> ClusterError:
        """What is raised for it."""
        return from_code(self.code, self.message, help=self.help or None)


class OneWay(Struct, array_like=True, gc=False, tag=4):
    """Wants no answer. `deadline` as in Request; 0: none, it is never too late."""

    body: Body
    deadline: float = 0.0


class OneWays(Struct, array_like=True, gc=False, tag=9):
    """Several small bodies that want no answer, in their order: a frame each would cost more than they do. Their
    deadlines are the same, or nearly so."""

    bodies: list[Body]
    deadline: float = 0.0


class Cancel(Struct, array_like=True, gc=False, tag=5):
    """The sender no longer waits for request `id`."""

    id: int


class Stamp(Struct, array_like=True, gc=False, tag=6):
    """First in every write: when it was written, on the sender's monotonic clock, in seconds."""

    at: float


class Part(Struct, array_like=True, gc=False, tag=7):
    """Bytes of the answer to request `id`, before its Reply or Failure; see `cluster.wire.parts`."""

    id: int
    data: bytes


class Credit(Struct, array_like=True, gc=False, tag=8):
    """The sender of request `id` has taken `count` bytes of its parts: so many more may come."""

    id: int
    count: int


Frame = Request | Reply | Failure | OneWay | OneWays | Cancel | Stamp | Part | Credit


class Invalid(Struct, gc=False):
    """Never on the wire: what a serving reader makes of a well-formed frame that is no message. `kind` is its tag
    (1: a request, 2: a reply; 0: unknown) and `id` the number that it answers or wants answered."""

    kind: int
    id: int
    message: str


_encoder = msgspec.msgpack.Encoder()
_encode = _encoder.encode
_encode_into = _encoder.encode_into
_decode = msgspec.msgpack.Decoder(Frame).decode
_LENGTH = struct.Struct(">I")
_length_at = _LENGTH.unpack_from
_length_bytes = _LENGTH.pack
_length_into = _LENGTH.pack_into
LENGTH_BYTES = _LENGTH.size
STAMP = b"\x00\x00\x00\x0b\x92\x06\xcb" + bytes(8)
STAMP_AT = 7
"""An encoded `Stamp` of a fixed width, and where the time stands in it. A buffer begins with it; at the write
`stamp_into(buffer, STAMP_AT, at)` fills it in."""
_AT = struct.Struct(">d")
stamp_into, _at_bytes = _AT.pack_into, _AT.pack
_TRACE_LENGTHS = [2, 32, 16, 2]
_TRACE_DIGITS = frozenset("0123456789abcdef")


def stamped(data: bytes, at: float) -> bytes:
    """Encoded frames as one write of a connection."""
    return STAMP[:STAMP_AT] + _at_bytes(at) + data


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


SMALL_BYTES = 1024
ONE_WAYS_MAX = 64
"""A body of so many bytes at most shares a frame, with so many others at most."""
GATHER_BYTES = 128 * 1024
"""Of a frame that lacks more than this the pieces are gathered: two reads of a socket."""
VIEW_BYTES = 64 * 1024
"""Of fewer bytes a copy of each frame costs less than a view of all and slices of it."""


class FrameReader:
    """Cuts a byte stream into frames; what is left waits for more bytes. `feed` is for who calls nodes, `serve` for
    nodes. BadMessage says that a length is over the limit or bytes are no frame: the stream is then beyond repair.
    """

    __slots__ = ("_missing", "_parts", "_rest", "broken", "limit")

    def __init__(self, limit: int = FRAME_BYTES_MAX) -> None:
        self._rest = b""
        # A long frame comes in hundreds of pieces: they are joined once, since joining each with all before it would
        # copy gigabytes for a frame at the limit.
        self._parts: list[bytes] = []
        self._missing = 0
        self.broken: BadMessage | None = None
        """What `serve` met behind the frames that it gave."""
        self.limit = limit

    def feed(self, data: bytes) -> list[Frame]:
        """All frames that `data` completes, without stamps. Raises BadMessage, for a frame that is no message too."""
        frames: list[Frame] = []
        for frame in self.serve(data):
            kind = type(frame)
            if kind is Invalid:
                raise BadMessage(f"not a frame: {frame.message}")  # type: ignore[union-attr]
            if kind is not Stamp:
                frames.append(frame)  # type: ignore[arg-type]
        if self.broken is not None:
            raise self.broken
        return frames

    def serve(self, data: bytes) -> list[Frame | Invalid]:
        """All frames that `data` completes, stamps too. A frame that is well-formed but no message comes as `Invalid`,
        so that it refuses only itself; what is no frame at all is left in `broken`."""
        if self._missing > 0:
            self._parts.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return []
            data = b"".join(self._parts)
            self._parts = []
        elif self._rest:
            data = self._rest + data
        frames: list[Frame | Invalid] = []
        source = data if len(data) < VIEW_BYTES else memoryview(data)
        limit, end = self.limit, len(data)
        start = LENGTH_BYTES  # of the next frame, behind its length
        try:
            while start <= end:
                stop = start + _length_at(data, start - LENGTH_BYTES)[0]
                if stop - start > limit:
                    raise BadMessage(f"a frame of {stop - start} bytes is over the limit of {limit}")
                if stop > end:
                    if stop - end > GATHER_BYTES:
                        self._parts, self._missing = [data[start - LENGTH_BYTES :]], stop - end
                        start = end + LENGTH_BYTES
                    break
                try:
                    frames.append(_decode(source[start:stop]))
                except msgspec.ValidationError as error:
                    frames.append(_invalid(source[start:stop], str(error)))
                start = stop + LENGTH_BYTES
        except BadMessage as error:
            self.broken = error
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            self.broken = BadMessage(f"not a frame: {error}")
        position = start - LENGTH_BYTES
        self._rest = data[position:] if position < end else b""
        return frames


def _invalid(raw: bytes | memoryview, message: str) -> Invalid:
    """What can still be known of a frame that is no message. Raises DecodeError when it is not even msgpack."""
    match msgspec.msgpack.decode(raw):
        case [int(kind), int(id), *_] if kind in (1, 2, 3) and id > 0:
            return Invalid(kind, id, message)
    return Invalid(0, 0, message)


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


def trace_id(traceparent: str) -> str:
    """The trace that a traceparent (W3C Trace Context, version 00) is of; empty for text that is none."""
    parts = traceparent.split("-")
    is_one = (
        [len(part) for part in parts] == _TRACE_LENGTHS
        and parts[0] == "00"
        and _TRACE_DIGITS.issuperset("".join(parts))
    )
    return parts[1] if is_one else ""
