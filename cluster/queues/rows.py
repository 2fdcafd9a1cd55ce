"""The rows of a shard: their keys and bytes, and how two copies of one merge. Pure.

A shard is no object of its own. It is rows, each merged alone, so that no write costs more than what it changes:

- a *block*: the items that one pass of the node that accepted them had for the shard. It never changes;
- *bits*: which items of one actor are done with, 4,096 a row, merged by OR;
- a *floor*: how many of an actor's rows of bits are full, counted from its first item; merged by max. It stands in
  place of them, so that what is done takes no more room than the gaps in it;
- *notes* of a block: who leased which of its items, and for how long; the latest lease of each item wins;
- a *dedup* row: the item that was sent with a deduplication id. Of two that were accepted apart the one that W owners
  have wins, and else the smaller id.

The numbers of an actor's items in a shard are dense and begin at 0. An actor is a boot of the node that accepted them,
and takes another name whenever its log undid a write, so that no number is ever given twice, or missing within.
"""

from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from cluster.errors import Damaged, Usage
from cluster.layout import partition_of
from cluster.versions import Actor

BLOCK_ITEMS_MAX: Final = 256
BLOCK_BYTES_MAX: Final = 256 * 1024
"""Of all items of a block, but one item alone may be larger."""
CHUNK_BITS: Final = 4096
"""Items whose bits share a row: 512 bytes, which a write of one bit costs the log at most."""
FULL: Final = (1 << CHUNK_BITS) - 1

KIND_BITS, KIND_FLOOR, KIND_BLOCK, KIND_NOTES, KIND_DEDUP = "b", "f", "i", "n", "u"
"""In the order of keys: whoever reads a shard learns what is done before it meets the items."""
_NUMBERED: Final = (KIND_BLOCK, KIND_BITS, KIND_NOTES)
DEDUP_OTHERS_MAX: Final = 8


class Item(Struct, array_like=True, frozen=True, gc=False):
    """What was sent. `delay_ms`: it becomes visible so long after its block was accepted."""

    body: bytes
    headers: dict[str, str] | None = None
    delay_ms: int = 0
    dedup_id: str = ""


class ItemBlock(Struct, array_like=True, frozen=True, gc=False, tag=1):
    """Items that were accepted together, numbered in their order. `count`, `size` (the bytes of the row's items, about)
    and `delay_ms` (before it nothing is visible) say what whoever does not want to read them needs to know."""

    accepted_ms: int
    expires_ms: int
    count: int
    size: int
    delay_ms: int
    items: list[Item]


class BlockOutline(Struct, array_like=True, frozen=True, gc=False, tag=1):
    """The front of an encoded ItemBlock."""

    accepted_ms: int
    expires_ms: int
    count: int
    size: int
    delay_ms: int


class Bits(Struct, array_like=True, frozen=True, gc=False, tag=2):
    """The bits of a chunk, the first in the lowest place of a byte: `data` begins and ends with a byte that is not 0,
    and stands after `skipped` bytes that are. Without any data all are set."""

    skipped: int
    data: bytes


class Floor(Struct, array_like=True, frozen=True, gc=False, tag=3):
    """So many chunks are full."""

    chunks: int


class LeaseNote(NamedTuple):
    """The last lease of an item that its giver wrote down. Of two the larger is the later one: a giver counts the
    leases of its boot."""

    attempt: int
    epoch: int
    counter: int
    giver: str
    remaining_ms: int
    """The lease had so long to run when it was noted, or the item so long to wait when it was returned."""


class Notes(Struct, array_like=True, frozen=True, gc=False, tag=4):
    """By their place in the block, sorted."""

    notes: list[tuple[int, LeaseNote]]


class Dedup(Struct, array_like=True, frozen=True, gc=False, tag=5):
    """The item that was sent with a deduplication id. `stays`: it is remembered for as long as the item lives."""

    item: str
    accepted_ms: int
    stays: bool = False
    others: tuple[str, ...] = ()
    """More that were accepted under the id, apart from this one: once one of them is done with, all are."""
    sure: bool = False
    """W owners have the item."""


QueueRow = ItemBlock | Bits | Floor | Notes | Dedup

_KINDS: Final = {1: KIND_BLOCK, 2: KIND_BITS, 3: KIND_FLOOR, 4: KIND_NOTES, 5: KIND_DEDUP}
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder: msgspec.msgpack.Decoder[QueueRow] = msgspec.msgpack.Decoder(QueueRow)
_outline_decoder = msgspec.msgpack.Decoder(BlockOutline)
_bits_decoder = msgspec.msgpack.Decoder(Bits)


# -- keys


class RowKey(NamedTuple):
    """What a key says. `number` is the first item of a block (of notes: of their block), or the chunk of bits; of dedup
    rows `actor` is the hash of the id."""

    queue: int
    shard: int
    kind: str
    actor: str
    number: int


def shard_key(queue: int, shard: int) -> str:
    """What the keys of a shard's rows begin with, and what places them."""
    return f"{queue}.{shard}"


@lru_cache(maxsize=16384)  # 256 queues of 64 shards
def partition_of_shard(queue: int, shard: int) -> int:
    """Where the rows of a shard are."""
    return partition_of(shard_key(queue, shard))


def place_of(key: str) -> int:
    """The partition of a row, or of a mark; it depends on the shard alone."""
    return partition_of(key.partition("/")[0])


def mark_of(key: str) -> str:
    """What the keys of all rows of the same shard begin with, and no others."""
    return key[: key.find("/") + 1]


def block_key(queue: int, shard: int, actor: Actor, first: int) -> str:
    """Of the block whose first item has that number."""
    return f"{queue}.{shard}/i{actor}/{first:016}"


def bits_key(queue: int, shard: int, actor: Actor, chunk: int) -> str:
    """Of the bits of a chunk."""
    return f"{queue}.{shard}/b{actor}/{chunk}"


def floor_key(queue: int, shard: int, actor: Actor) -> str:
    """Of the floor of an actor."""
    return f"{queue}.{shard}/f{actor}"


def notes_key(queue: int, shard: int, actor: Actor, first: int) -> str:
    """Of the notes of a block."""
    return f"{queue}.{shard}/n{actor}/{first:016}"


def dedup_key(queue: int, shard: int, dedup_id: str) -> str:
    """Of what was sent with a deduplication id."""
    return f"{queue}.{shard}/u{dedup_hash(dedup_id)}"


def dedup_hash(dedup_id: str) -> str:
    """Stands for a deduplication id, whatever its length."""
    return blake2b(dedup_id.encode(), digest_size=16).hexdigest()


def parse_key(key: str) -> RowKey:
    """The inverse of the above. Raises Damaged."""
    try:
        place, rest = key.split("/", 1)
        queue, shard = map(int, place.split("."))
        kind, actor, number = rest[:1], rest[1:], 0
        if kind in _NUMBERED:
            actor, digits = actor.rsplit("/", 1)
            number = int(digits)
        elif kind not in (KIND_FLOOR, KIND_DEDUP):
            raise ValueError
    except ValueError as error:
        raise Damaged(f"{key!r} is the key of no row of a queue") from error
    if not actor or "/" in actor:
        raise Damaged(f"{key!r} is the key of no row of a queue")
    return RowKey(queue, shard, kind, actor, number)


# -- items


class ItemId(NamedTuple):
    """Which item, of all queues there ever were."""

    queue: int
    shard: int
    actor: Actor
    number: int


def item_id(queue: int, shard: int, actor: Actor, number: int) -> str:
    """As people and clients see it."""
    return f"{id_prefix(queue, shard, actor)}{number}"


def id_prefix(queue: int, shard: int, actor: Actor) -> str:
    """What the ids of an actor's items in a shard begin with; the number follows."""
    return f"q{queue}-{shard}-{actor}-"


def parse_item_id(text: str) -> ItemId:
    """The inverse. Raises Usage."""
    try:
        queue, shard, rest = text.split("-", 2)
        actor, number = rest.rsplit("-", 1)
        if queue[:1] != "q" or actor.count(".") != 2:
            raise ValueError
        return ItemId(int(queue[1:]), int(shard), actor, int(number))
    except ValueError:
        raise Usage(f"{text!r} is not the id of a message of a queue") from None


# -- bytes


def encode_block(accepted_ms: int, expires_ms: int, items: list[Item]) -> bytes:
    """A new block."""
    size, delay_ms = sum(len(item.body) for item in items), min(item.delay_ms for item in items)
    return _encoder.encode(ItemBlock(accepted_ms, expires_ms, len(items), size, delay_ms, items))


def decode_block(blob: bytes) -> ItemBlock:
    """The items of a block. Raises Damaged."""
    row = decode_row(blob)
    if not isinstance(row, ItemBlock):
        raise Damaged("a block of a queue was expected")
    return row


def outline_block(blob: bytes) -> BlockOutline:
    """A block without its items. Raises Damaged."""
    try:
        return _outline_decoder.decode(blob)
    except _UNREADABLE as error:
        raise Damaged(f"a block of a queue cannot be read: {error}") from error


def encode_bits(bits: int) -> bytes:
    """The canonical bytes of the bits of a chunk, at least one of which is set."""
    assert 0 < bits <= FULL
    if bits == FULL:
        return _encoder.encode(Bits(0, b""))
    skipped = ((bits & -bits).bit_length() - 1) // 8
    data = (bits >> 8 * skipped).to_bytes((bits.bit_length() + 7) // 8 - skipped, "little")
    return _encoder.encode(Bits(skipped, data))


def decode_bits(blob: bytes) -> int:
    """The inverse. Raises Damaged."""
    try:
        row = _bits_decoder.decode(blob)
    except _UNREADABLE as error:
        raise Damaged(f"the bits of a queue cannot be read: {error}") from error
    bits = int.from_bytes(row.data, "little") << 8 * row.skipped if row.data else FULL
    if not 0 <= row.skipped < CHUNK_BITS // 8 or not 0 < bits <= FULL:
        raise Damaged("the bits of a queue lie outside their chunk")
    return bits


def encode_floor(chunks: int) -> bytes:
    """So many chunks are full."""
    return _encoder.encode(Floor(chunks))


def decode_floor(blob: bytes) -> int:
    """The inverse. Raises Damaged."""
    row = decode_row(blob)
    if not isinstance(row, Floor):
        raise Damaged("a floor of a queue was expected")
    return row.chunks


def encode_notes(notes: Mapping[int, LeaseNote]) -> bytes:
    """By their place in the block."""
    return _encoder.encode(Notes(sorted(notes.items())))


def decode_notes(blob: bytes) -> dict[int, LeaseNote]:
    """The inverse. Raises Damaged."""
    row = decode_row(blob)
    if not isinstance(row, Notes):
        raise Damaged("notes of a queue were expected")
    return dict(row.notes)


def encode_dedup(dedup: Dedup) -> bytes:
    """Its canonical bytes."""
    return _encoder.encode(dedup)


def decode_dedup(blob: bytes) -> Dedup:
    """The inverse. Raises Damaged."""
    row = decode_row(blob)
    if not isinstance(row, Dedup):
        raise Damaged("a dedup row of a queue was expected")
    return row


def decode_row(blob: bytes) -> QueueRow:
    """Whichever it is, valid. Raises Damaged."""
    try:
        row = _decoder.decode(blob)
    except _UNREADABLE as error:
        raise Damaged(f"a row of a queue cannot be read: {error}") from error
    if isinstance(row, ItemBlock):
        if not 0 < len(row.items) == row.count <= BLOCK_ITEMS_MAX:
            raise Damaged(f"a block of a queue says that it has {row.count} items, and has {len(row.items)}")
    elif isinstance(row, Bits):
        decode_bits(blob)
    return row


def kind_of_row(blob: bytes) -> str:
    """The kind, as keys name it, of bytes that are a row; empty for any others."""
    return _KINDS.get(blob[1], "") if len(blob) > 1 else ""


# -- merging


def merge_rows(held: bytes, other: bytes) -> bytes:
    """The join of two copies of a row; `held` itself when `other` adds nothing. Raises Damaged."""
    if held == other:
        return held
    kind = held[1]
    if len(other) < 2 or other[1] != kind:
        raise Damaged("two copies of a row of a queue are not of one kind")
    if kind == 2:
        mine, theirs = decode_bits(held), decode_bits(other)
        both = mine | theirs
        return held if both == mine else encode_bits(both)
    row, copy = decode_row(held), decode_row(other)
    if isinstance(row, Floor) and isinstance(copy, Floor):
        return other if copy.chunks > row.chunks else held
    if isinstance(row, Notes) and isinstance(copy, Notes):
        notes = merge_notes(dict(row.notes), dict(copy.notes))
        return held if notes == dict(row.notes) else encode_notes(notes)
    if isinstance(row, Dedup) and isinstance(copy, Dedup):
        first = min(row, copy, key=lambda dedup: (not dedup.sure, dedup.item, dedup.accepted_ms))
        others = sorted({row.item, copy.item, *row.others, *copy.others} - {first.item})
        both_dedup = msgspec.structs.replace(
            first, stays=row.stays or copy.stays, others=tuple(others[:DEDUP_OTHERS_MAX])
        )
        return held if both_dedup == row else encode_dedup(both_dedup)
    return max(held, other)  # blocks do not change: one of them is damaged, and nobody can say which


def merge_notes(notes: Mapping[int, LeaseNote], others: Mapping[int, LeaseNote]) -> dict[int, LeaseNote]:
    """Of each item the later lease."""
    return {**notes, **{place: max(note, notes.get(place, note)) for place, note in others.items()}}
