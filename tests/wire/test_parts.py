"""Replies in parts: whatever the pace of the reader, all bytes arrive in order, and never more than a window ahead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import BadMessage
from cluster.limits import PART_BYTES_MAX, PARTS_WINDOW_BYTES
from cluster.wire.frames import Credit, Frame, FrameReader, Part, encode_frame
from cluster.wire.parts import PartWriter, Window

counts = st.integers(-2, PARTS_WINDOW_BYTES + 2)


@given(st.lists(st.tuples(st.booleans(), counts)))
def test_a_window_is_neither_exceeded_nor_made_larger(steps: list[tuple[bool, int]]) -> None:
    window, under_way = Window(), 0
    for is_part, count in steps:
        before = window.left
        try:
            if is_part:
                window.take(count)
                under_way += count
            else:
                window.give(count)
                under_way -= count
        except BadMessage:
            assert window.left == before
            assert not 0 < count <= (before if is_part else under_way)
        assert 0 <= window.left == PARTS_WINDOW_BYTES - under_way <= PARTS_WINDOW_BYTES


@given(
    st.lists(st.one_of(st.binary(min_size=0, max_size=200), st.integers(0, 3 * PARTS_WINDOW_BYTES).map(bytes))),
    st.lists(st.integers(1, PARTS_WINDOW_BYTES)),
)
def test_all_bytes_arrive_in_order_and_at_most_a_window_ahead(pieces: list[bytes], reads: list[int]) -> None:
    parts: list[bytes] = []
    writer = PartWriter(lambda part: parts.append(part) or True)  # type: ignore[func-returns-value]
    sent = taken = 0

    def check() -> None:
        nonlocal sent
        sent = sum(map(len, parts))
        assert sent - taken <= PARTS_WINDOW_BYTES
        assert all(0 < len(part) <= PART_BYTES_MAX for part in parts)
        assert writer.waits == (sent < written) and (not writer.waits or sent - taken == PARTS_WINDOW_BYTES)

    written = 0
    for number, piece in enumerate(pieces):
        writer.write(piece)
        written += len(piece)
        check()
        if number < len(reads) and (count := min(reads[number], sent - taken)):
            taken += count
            writer.credit(count)
            check()
    drained = []
    writer.on_sent = lambda: drained.append(True)
    waited = writer.waits
    while taken < written:
        count, taken = sent - taken, sent
        writer.credit(count)
        check()
    assert b"".join(parts) == b"".join(pieces) and drained == [True] * waited


def test_credit_that_comes_while_a_part_is_sent_keeps_the_order() -> None:
    parts: list[bytes] = []
    data = bytes(range(256)) * 4096

    def send(part: bytes) -> bool:
        parts.append(part)
        writer.credit(len(part))
        return True

    writer = PartWriter(send)
    writer.write(data)
    assert b"".join(parts) == data and not writer.waits


def test_after_a_part_that_is_lost_nothing_is_sent() -> None:
    parts: list[bytes] = []
    told: list[bool] = []
    writer = PartWriter(lambda part: not parts.append(part) and len(parts) < 3)  # type: ignore[func-returns-value]
    writer.on_sent = lambda: told.append(writer.failed)
    writer.write(bytes(3 * PARTS_WINDOW_BYTES))
    writer.credit(PARTS_WINDOW_BYTES)
    writer.write(b"more")
    assert writer.failed and told == [True] and len(parts) == 3 and not writer.waits


@given(st.integers(1, 2**63 - 1), st.binary(max_size=300), st.integers(-(2**63), 2**63 - 1))
def test_parts_and_credits_travel(id: int, data: bytes, count: int) -> None:
    frames: list[Frame] = [Part(id, data), Credit(id, count)]
    assert FrameReader().feed(b"".join(map(encode_frame, frames))) == frames


@pytest.mark.parametrize("count", [0, -1, PARTS_WINDOW_BYTES + 1, 2**63 - 1])
def test_credit_for_what_was_never_sent_is_refused(count: int) -> None:
    with pytest.raises(BadMessage):
        PartWriter(lambda part: True).credit(count)
