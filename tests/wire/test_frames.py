"""Frames: whatever the cuts, what was sent arrives; what is no frame is refused."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import BadMessage
from cluster.limits import VALUE_BYTES_MAX
from cluster.wire.frames import (
    STAMP,
    STAMP_AT,
    Cancel,
    Failure,
    Frame,
    FrameReader,
    Invalid,
    OneWay,
    OneWays,
    Reply,
    Request,
    Stamp,
    append_frame,
    encode_frame,
    stamp_into,
    stamped,
)
from cluster.wire.kv import Get, Got, Put
from cluster.wire.replication import Fetched, Replicate, ReplicateBatch, ReplicatedBatch
from cluster.wire.topics import Message, Relay

FRAMES: list[Frame] = [
    Request(7, 1000, 1, Put("cart", b"\x00book", "op-1", context=b"c", strict=True)),
    Request(8, 20, 1, Get("cart"), trace="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    Reply(8, Got([b"a", b"b"], b"ctx", 2, 0, False, "n1")),
    OneWay(Fetched([(9, False, None, 3), (10, False, b"x", 0)])),
    OneWay(ReplicateBatch([(1, 1000, 0, 255, "k", b"blob"), (2, 5, 0, 1, "l", b"")])),
    OneWay(ReplicatedBatch([1], [(2, "storage-full", "the log refused it")])),
    Failure(7, "no-quorum", "2 nodes are needed"),
    OneWay(Relay("a.b", b"x" * 5000, "id", "n1")),
    OneWays([Relay("a.b", b"x", "id", "n1"), Message(1, "a", b"", "id", "n1", 2)], 3.5),
    Request(1, 1, 1, Replicate(0, 255, "k", b"", hint_for="n2")),
    Cancel(8),
]


@given(st.lists(st.integers(0, 6000), max_size=8))
def test_any_cut_gives_the_same_frames(cuts: list[int]) -> None:
    data = b"".join(encode_frame(frame) for frame in FRAMES)
    reader, seen, at = FrameReader(), [], 0
    for cut in [*sorted(min(cut, len(data)) for cut in cuts), len(data)]:
        seen += reader.feed(data[at:cut])
        at = cut
    assert seen == FRAMES


@given(st.lists(st.integers(0, 6000), max_size=8))
def test_a_node_is_given_the_time_of_each_write_and_a_client_is_not(cuts: list[int]) -> None:
    data = stamped(b"".join(map(encode_frame, FRAMES[:5])), 7.5) + stamped(b"".join(map(encode_frame, FRAMES[5:])), 9.0)
    reader, seen, at = FrameReader(), [], 0
    for cut in [*sorted(min(cut, len(data)) for cut in cuts), len(data)]:
        seen += reader.serve(data[at:cut])
        at = cut
    assert seen == [Stamp(7.5), *FRAMES[:5], Stamp(9.0), *FRAMES[5:]]
    assert FrameReader().feed(data) == FRAMES


def test_a_buffer_that_begins_with_a_stamp_is_filled_in_at_the_write() -> None:
    buffer = bytearray(STAMP)
    append_frame(buffer, Cancel(8))
    stamp_into(buffer, STAMP_AT, 12.25)
    assert FrameReader().serve(bytes(buffer)) == [Stamp(12.25), Cancel(8)]


def wrong(kind: int, id: int) -> bytes:
    """A well-formed frame whose body no version knows."""
    body = msgspec.msgpack.encode([kind, id, 1.0, 0, [10, "key", "text where bytes belong", "op"]])
    return len(body).to_bytes(4, "big") + body


def test_a_frame_that_is_no_message_refuses_only_itself() -> None:
    data = encode_frame(Cancel(1)) + wrong(1, 7) + wrong(99, 8) + encode_frame(Cancel(2))
    reader = FrameReader()
    first, invalid, unknown, last = reader.serve(data)
    assert (first, last) == (Cancel(1), Cancel(2)) and reader.broken is None
    assert isinstance(invalid, Invalid) and (invalid.kind, invalid.id) == (1, 7)
    assert isinstance(unknown, Invalid) and (unknown.kind, unknown.id) == (0, 0)
    with pytest.raises(BadMessage):
        FrameReader().feed(data)


def test_what_came_before_garbage_is_given_first() -> None:
    reader = FrameReader()
    assert reader.serve(encode_frame(Cancel(1)) + b"\xff" * 8) == [Cancel(1)]
    assert reader.broken is not None


@pytest.mark.parametrize("piece", [1000, 65_536, 300_000])
def test_a_long_frame_comes_in_pieces(piece: int) -> None:
    frames: list[Frame] = [OneWay(Relay("a", bytes(VALUE_BYTES_MAX), "id", "n1")), Cancel(1), *FRAMES]
    data = b"".join(encode_frame(frame) for frame in frames)
    reader, seen = FrameReader(), []
    for start in range(0, len(data), piece):
        seen += reader.feed(data[start : start + piece])
    assert seen == frames


def test_appending_to_a_buffer_gives_the_same_bytes() -> None:
    buffer = bytearray()
    for frame in FRAMES:
        append_frame(buffer, frame)
    assert bytes(buffer) == b"".join(encode_frame(frame) for frame in FRAMES)


def test_an_oversized_frame_is_refused_by_its_length_alone() -> None:
    with pytest.raises(BadMessage, match="over the limit"):
        FrameReader(limit=100).feed(b"\x00\x00\x01\x00")


def test_a_whole_frame_over_the_limit_is_refused_too() -> None:
    data = encode_frame(OneWay(Relay("a", b"x" * 500, "i", "n1")))
    with pytest.raises(BadMessage, match="over the limit"):
        FrameReader(limit=100).feed(data)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x93\x01\x02",
        b"\x92\x63\x01",
        b"\x96\x01\xa1x\x01\x01\x92\x0c\xa1k\xa0",
        b"\xdd\xff\xff\xff\xff",
        b"\x91" * 900,
    ],
)
def test_what_is_no_frame_is_refused(body: bytes) -> None:
    with pytest.raises(BadMessage):
        FrameReader().feed(len(body).to_bytes(4, "big") + body)


@given(st.binary(max_size=300))
def test_garbage_is_refused_or_waits_for_more(data: bytes) -> None:
    try:
        FrameReader().feed(data)
    except BadMessage:
        pass
