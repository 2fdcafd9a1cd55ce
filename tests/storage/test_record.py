"""The bytes of the log: what a scan makes of whole, torn and damaged ones."""

from itertools import pairwise

import pytest

from cluster.storage.record import (
    HEADER_BYTES,
    ROW,
    VERSION,
    Damage,
    Record,
    Torn,
    decode_segment_header,
    encode_records,
    encode_row,
    encode_segment_header,
    scan,
    seed_of,
)

RECORDS: list[Record] = [(p, 0, ROW, encode_row((f"key{p}", bytes([p]) * 20))) for p in (3, 4, 5)]
"""Three records of one length."""
LENGTH = HEADER_BYTES + len(RECORDS[0][3])
SIZE = HEADER_BYTES + 3 * LENGTH


def segment(number: int = 1, records: list[Record] = RECORDS) -> bytes:
    return encode_segment_header(number, (0, 0)) + encode_records(records, seed_of(number), HEADER_BYTES)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


def start(index: int) -> int:
    """Where record `index` begins."""
    return HEADER_BYTES + index * LENGTH


def shape(data: bytes, number: int = 1) -> list[object]:
    """What the scan finds, damage without its words."""
    return [(i.start, i.end, i.partition) if isinstance(i, Damage) else i for i in scan(data, number)]


HOLE = None
R3, R4, R5 = RECORDS


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(segment(), [R3, R4, R5], id="whole"),
        pytest.param(b"", [], id="empty"),
        pytest.param(segment()[:HEADER_BYTES], [], id="header only"),
        pytest.param(segment()[:7], [Torn(0)], id="torn segment header"),
        pytest.param(bytes(4096), [Torn(0)], id="zeros alone"),
        pytest.param(segment()[: start(2) + 1], [R3, R4, Torn(start(2))], id="one byte of a header"),
        pytest.param(segment()[: start(2) + HEADER_BYTES], [R3, R4, Torn(start(2))], id="a header without payload"),
        pytest.param(segment()[:-1], [R3, R4, Torn(start(2))], id="a byte short"),
        pytest.param(segment() + bytes(10), [R3, R4, R5, Torn(SIZE)], id="few zeros at the end"),
        pytest.param(segment() + bytes(9999), [R3, R4, R5, Torn(SIZE)], id="many zeros at the end"),
        pytest.param(
            segment()[: start(2) + 9] + bytes(5000), [R3, R4, Torn(start(2))], id="part of a header, then zeros"
        ),
        pytest.param(
            flipped(segment(), start(1) + HEADER_BYTES), [R3, (start(1), start(2), 4), R5], id="payload in the middle"
        ),
        pytest.param(flipped(segment(), SIZE - 1), [R3, R4, (start(2), SIZE, 5)], id="payload at the end"),
        pytest.param(flipped(segment(), start(1)), [R3, (start(1), start(2), HOLE), R5], id="header in the middle"),
        pytest.param(flipped(segment(), start(1) + 10), [R3, (start(1), start(2), HOLE), R5], id="length"),
        pytest.param(flipped(segment(), start(2) + 10), [R3, R4, (start(2), SIZE, HOLE)], id="length at the end"),
        pytest.param(flipped(segment(), 5), [(0, HEADER_BYTES, HOLE), R3, R4, R5], id="segment header"),
        pytest.param(
            segment()[: start(1)] + bytes(LENGTH) + segment()[start(2) :],
            [R3, (start(1), start(2), HOLE), R5],
            id="zeros in the middle",
        ),
        pytest.param(segment() + b"?" * 50, [R3, R4, R5, (SIZE, SIZE + 50, HOLE)], id="noise at the end"),
    ],
)
def test_scan(data: bytes, expected: list[object]) -> None:
    assert shape(data) == expected


def test_the_next_record_is_not_found_where_only_its_header_is_good() -> None:
    data = flipped(flipped(segment(), start(0)), start(1) + HEADER_BYTES)
    assert shape(data) == [(start(0), start(2), HOLE), R5]


def test_bytes_verify_only_where_they_were_written() -> None:
    """A value that holds a whole log, in a record whose header is lost, is not taken for records."""
    inner = segment(1)
    data = flipped(segment(1, [(7, 1, ROW, encode_row(("log", inner))), R5]), HEADER_BYTES + 2)
    end = len(data) - LENGTH
    assert shape(data) == [(HEADER_BYTES, end, HOLE), R5]


def test_a_segment_does_not_verify_under_another_number() -> None:
    assert decode_segment_header(segment(1), 1) == (VERSION, (0, 0))
    assert decode_segment_header(segment(1), 2) is None
    assert shape(segment(1), 2) == [(0, SIZE, HOLE)]


def test_offsets_are_where_the_scan_reads() -> None:
    ends = [end for end in range(SIZE + 1) if not any(isinstance(item, Torn) for item in scan(segment()[:end], 1))]
    assert ends == [0, HEADER_BYTES, start(1), start(2), SIZE]
    assert all(b - a == LENGTH for a, b in pairwise(ends[1:]))
