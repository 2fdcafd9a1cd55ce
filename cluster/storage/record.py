"""The bytes of the log: segment headers, records, and the scan that finds what is whole, torn or damaged. Pure.

Segment: `magic and version 4 | number of the segment before 4 | bytes of it 4 | CRC 4`, then records. Record: `CRC of
the header 4 | partition 2 | table 1 | kind 1 | length 4 | CRC of the payload 4 | payload`. All little-endian, CRC-32 as
in zlib. Two small files stand beside the segments. The mark says up to where the log was synced: `magic 3 | clean 1 |
epoch 8 | segment 4 | offset 4 | CRC 4`. The begin says where the log begins since it was cut: `magic 3 | version 1 |
first segment 4 | number of the segment before 4 | bytes of it 4 | CRC 4`.

Two checksums, because they answer two questions. A good header says whose record it is and where the next one begins,
so a bad payload costs one partition and a short one is told from a bad one: *torn* means that a good header promises
more than the last segment holds. With a single checksum over both, a flipped length would look like a torn tail, and
acknowledged records after it would be cut in silence (Alagappan et al., "Protocol-Aware Recovery for Consensus-Based
Storage", FAST 2018, show what systems lose that do not tell a crash from corruption).

Header checksums start from a seed of segment number and offset. So bytes verify only where they were written: a value
that holds a copy of a log, a block that the disk put elsewhere, or what a file held before it was cut never passes for
a record.

This file decides nothing about partitions or files; `recovery` does.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from struct import Struct
from zlib import crc32

import msgspec

from cluster.ports import Position

FOLDER = "log"
MARK = "log/mark"
BEGIN = "log/begin"
"""Where in a node's directory the segments lie, and the two small files beside them."""

MAGIC = b"dsl"
VERSION = 4
VERSIONS_READ = (2, 3, 4)
"""Version 2 had neither pages nor checkpoints, and 3 no objects in the short form."""
HEADER_BYTES = 16
"""Of a segment as of a record, so that one rule says which tails are too short to hold either."""

PARTITION_MAX = 0xFFFF
TABLE_MAX = 0xFF
"""What the record header has room for."""

ROW = 0xD5
RELEASE = 0xD6
LOSS = 0xD7
PAGE = 0xD8
CHECKPOINT = 0xD9
"""The kinds. Rare bytes on purpose: the search for the next record after damage looks only where one of them stands."""

Record = tuple[int, int, int, bytes]
"""Partition, table, kind, payload."""

Span = tuple[int, int, int]
"""Segment number, first offset, offset after the last: where damage lies, and so which damage it is. A loss that was
declared, and lies nowhere, is (0, boot epoch, number within the boot)."""

_KIND_OFFSET = 7
_KINDS = re.compile(rb"[\xd5-\xd9]")
_unpack_header = Struct("<LHBBLL").unpack_from
_pack_fields = Struct("<HBBLL").pack
_pack_crc = Struct("<L").pack
_SEGMENT = Struct("<3sBLLL")
_MARK = Struct("<3sBQLLL")
_BEGIN = Struct("<3sBLLLL")

encode_row = msgspec.msgpack.Encoder().encode
"""A row's payload from the tuple (key, value or None). Bound here without a wrapper: it is the hot path of a put, and
faster than packing key length, key and value by hand (0.22 against 0.38 us)."""
decode_row = msgspec.msgpack.Decoder(tuple[str, bytes | None]).decode
encode_release = msgspec.msgpack.Encoder().encode
"""A release's payload from the list of spans that no longer count for the partition."""
decode_release = msgspec.msgpack.Decoder(list[Span]).decode
encode_loss = msgspec.msgpack.Encoder().encode
"""A loss's payload from (its span, the reason in words): the partition lacks rows until a release names the span."""
decode_loss = msgspec.msgpack.Decoder(tuple[Span, str]).decode
encode_page = msgspec.msgpack.Encoder().encode
"""A page's payload from its rows, by key: rows of one partition and table, copied forward."""
decode_page = msgspec.msgpack.Decoder(dict[str, bytes]).decode
encode_checkpoint = msgspec.msgpack.Encoder().encode
"""A checkpoint's payload from the place where it began: from there on the log has all rows of the partition, and all
that it still lacks."""
decode_checkpoint = msgspec.msgpack.Decoder(Position).decode

assert _SEGMENT.size == HEADER_BYTES == 4 + Struct("<HBBLL").size


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes that were written and cannot be read back. `partition` is None when they may hide records of any."""

    start: int
    end: int
    partition: int | None
    reason: str
    table: int | None = None
    """Of rows that were damaged; None when it may have been something else."""


@dataclass(frozen=True, slots=True)
class Torn:
    """From `start` to the end of the segment lies less than a record: a write that was cut short, if this is the last
    segment, and damage otherwise."""

    start: int


@dataclass(frozen=True, slots=True)
class Mark:
    """Up to where the log of a boot was synced. `clean`: it ended there, by an orderly stop."""

    epoch: int
    end: Position
    clean: bool = False


@dataclass(frozen=True, slots=True)
class Begin:
    """Where a log begins that was cut: with a segment, and with what its header says of the one before."""

    segment: int = 0
    previous: Position = (0, 0)


def encode_begin(begin: Begin) -> bytes:
    """20 bytes, which are overwritten as a whole or not at all, as the mark's."""
    fields = _BEGIN.pack(MAGIC, VERSION, begin.segment, *begin.previous, 0)[:-4]
    return fields + _pack_crc(crc32(fields))


def decode_begin(data: bytes) -> Begin | None:
    """The begin, or None when these bytes are none: then the first segment's header tells that others were before."""
    if len(data) != _BEGIN.size:
        return None
    magic, _, segment, number, size, crc = _BEGIN.unpack(data)
    if magic != MAGIC or crc != crc32(data[:-4]):
        return None
    return Begin(segment, (number, size))


def encode_mark(mark: Mark) -> bytes:
    """24 bytes, less than any sector: they are overwritten as a whole or not at all."""
    fields = _MARK.pack(MAGIC, mark.clean, mark.epoch, *mark.end, 0)[:-4]
    return fields + _pack_crc(crc32(fields))


def decode_mark(data: bytes) -> Mark | None:
    """The mark, or None when these bytes are none."""
    if len(data) != _MARK.size:
        return None
    magic, clean, epoch, segment, offset, crc = _MARK.unpack(data)
    if magic != MAGIC or crc != crc32(data[:-4]):
        return None
    return Mark(epoch, (segment, offset), clean == 1)


def seed_of(segment: int) -> int:
    """Where the header checksums of a segment start from."""
    return crc32(segment.to_bytes(8, "little"))


def encode_segment_header(segment: int, previous: Position) -> bytes:
    """The first bytes of a segment. `previous`, number and final size of the segment before (0, 0 for none), betrays
    one that is missing and one that lost its end."""
    fields = _SEGMENT.pack(MAGIC, VERSION, *previous, 0)[:-4]
    return fields + _pack_crc(crc32(fields, seed_of(segment)))


def decode_segment_header(data: bytes, segment: int) -> tuple[int, Position] | None:
    """Version and `previous`, or None when the header is short or damaged. Its layout is the same in every version, so
    that a damaged one is told from one of the future."""
    if len(data) < HEADER_BYTES:
        return None
    magic, version, number, size, crc = _SEGMENT.unpack_from(data)
    if magic != MAGIC or crc != crc32(data[: HEADER_BYTES - 4], seed_of(segment)):
        return None
    return version, (number, size)


def encode_records(records: Iterable[Record], seed: int, offset: int) -> bytes:
    """The bytes of records that will stand at `offset` of the segment with that seed."""
    parts: list[bytes] = []
    for partition, table, kind, payload in records:
        length = len(payload)
        fields = _pack_fields(partition, table, kind, length, crc32(payload))
        parts += (_pack_crc(crc32(fields, seed ^ offset)), fields, payload)
        offset += HEADER_BYTES + length
    return b"".join(parts)


def verify(data: bytes, seed: int, offset: int) -> tuple[int, int]:
    """How many bytes of `data`, which stands at `offset` of the segment with that seed, are whole records; and how many
    the next one has that is not there as a whole: 0 when nothing is left, -1 when it is damaged."""
    at, size = 0, len(data)
    while at < size:
        body = at + HEADER_BYTES
        if body > size:
            return at, HEADER_BYTES
        header_crc, _, _, _, length, payload_crc = _unpack_header(data, at)
        if header_crc != crc32(data[at + 4 : body], seed ^ (offset + at)):
            return at, -1
        end = body + length
        if end > size:
            return at, HEADER_BYTES + length
        if payload_crc != crc32(data[body:end]):
            return at, -1
        at = end
    return at, 0


def scan(data: bytes, segment: int) -> Iterator[Record | Damage | Torn]:
    """All that a segment holds, in order; a Torn comes last. The caller has refused versions that it does not know."""
    seed, size = seed_of(segment), len(data)
    offset = 0 if decode_segment_header(data, segment) is None else HEADER_BYTES
    while offset < size:
        body = offset + HEADER_BYTES
        if body <= size:
            header_crc, partition, table, kind, length, payload_crc = _unpack_header(data, offset)
            if header_crc == crc32(data[offset + 4 : body], seed ^ offset):
                end = body + length
                if end > size:
                    yield Torn(offset)
                    return
                payload = data[body:end]
                if crc32(payload) == payload_crc:
                    yield partition, table, kind, payload
                else:
                    of = table if kind in (ROW, PAGE) else None
                    yield Damage(offset, end, partition, "a record's payload fails its checksum", of)
                offset = end
                continue
        # Zeros do not count: after power loss ext4 may leave a file with its new size and without its new blocks, which
        # then read as zeros.
        if len(data[offset:].rstrip(b"\0")) < HEADER_BYTES:
            yield Torn(offset)
            return
        end = _next_record(data, offset + 1, seed)
        yield Damage(offset, end, None, "a header fails its checksum, so the records up to the next good one are lost")
        offset = end


def _next_record(data: bytes, start: int, seed: int) -> int:
    """The first offset from `start` on where header and payload both verify, or the end of the segment."""
    size = len(data)
    for match in _KINDS.finditer(data, start + _KIND_OFFSET):
        offset = match.start() - _KIND_OFFSET
        body = offset + HEADER_BYTES
        if body > size:
            break
        header_crc, _, _, _, length, payload_crc = _unpack_header(data, offset)
        if (
            body + length <= size
            and header_crc == crc32(data[offset + 4 : body], seed ^ offset)
            and payload_crc == crc32(data[body : body + length])
        ):
            return offset
    return size
