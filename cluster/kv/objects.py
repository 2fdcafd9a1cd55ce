"""The rows of the key-value store as replication sees them: bytes that merge.

A row is an object, a cell, or both, each joined on its own: a put and an increment of one key that race lose neither.
An object alone has its own bytes (`cluster.versions.encoding`), so that the usual row costs nothing more. A row with a
cell is an array of four: the object's three fields, empty where there is none, and the cell. What reads
objects from bytes finds the object of such a row, and has to know itself that there is more.
"""

from collections.abc import Callable
from math import inf
from typing import Final, TypeAlias

import msgspec

from cluster.errors import Damaged, TooLarge
from cluster.layout import partition_of
from cluster.replication.mergeable import excess
from cluster.versions import (
    EMPTY,
    EXPIRED_SPARE_MS,
    KIND_NONE,
    Cell,
    Clock,
    Count,
    Expiry,
    Generation,
    Members,
    StableClock,
    Versions,
    decode,
    digest,
    encode,
    encode_exactly,
    expires_ms,
    is_deleted,
    kind_of,
    merge,
    merge_blobs,
    merge_cells,
    newest,
    outline,
    present,
    sorted_cell,
    unsettled,
    unsettled_cell,
)
from cluster.versions.encoding import UNREADABLE
from cluster.versions.versions import Actor, Dot, Sibling

FRONT_CELL: Final = 0x94
"""The first byte of a row with a cell."""


class CellRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A row with a cell."""

    clock: dict[Actor, int]
    siblings: tuple[Sibling, ...]
    cloud: tuple[Dot, ...]
    cell: Cell


class CellOutline(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A cell without what may be large in it."""

    generation: Generation
    value: msgspec.Raw
    expires: Expiry
    counts: dict[Actor, Count]
    members: msgspec.Raw
    clock: dict[Actor, int]


class CellRowOutline(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A row with a cell, whose value and items are passed over."""

    clock: dict[Actor, int]
    siblings: tuple[Sibling, ...]
    cloud: tuple[Dot, ...]
    cell: CellOutline


Parts: TypeAlias = tuple[Versions, Cell | None]
"""The object of a row, `EMPTY` for none, and its cell."""

_NIL: Final = b"\xc0"
_NO_ITEMS: Final = b"\x80"
_SOME_ITEM: Final[Members] = {b"": {}}

_decoder = msgspec.msgpack.Decoder(CellRow)
_outline_decoder = msgspec.msgpack.Decoder(CellRowOutline)


def split(blob: bytes | None) -> Parts:
    """The parts of a row. Raises Damaged."""
    if blob is None:
        return EMPTY, None
    if blob[0] != FRONT_CELL:
        return decode(blob), None
    try:
        row = _decoder.decode(blob)
    except UNREADABLE as error:
        raise Damaged(f"a row cannot be read: {error}") from error
    return Versions(row.clock, row.siblings, row.cloud) if row.clock or row.cloud else EMPTY, row.cell


def outlined(blob: bytes) -> Parts:
    """The parts of a row with a cell, for whoever asks what the cell is and not what is in it: any value is an empty
    one, and of any items there is one. Raises Damaged."""
    try:
        row = _outline_decoder.decode(blob)
    except UNREADABLE as error:
        raise Damaged(f"a row cannot be read: {error}") from error
    cell = row.cell
    value = None if bytes(cell.value) == _NIL else b""
    members: Members = {} if bytes(cell.members) == _NO_ITEMS else _SOME_ITEM
    outline = Cell(cell.generation, value, cell.expires, cell.counts, members, cell.clock)
    return Versions(row.clock, row.siblings, row.cloud), outline


def joined(versions: Versions, cell: Cell | None) -> bytes:
    """The canonical bytes of a row."""
    if cell is None:
        return encode(versions)
    return encode_exactly(CellRow(versions.clock, versions.siblings, versions.cloud, sorted_cell(cell)))


def with_object(held: bytes | None, written: bytes) -> bytes:
    """The row `held` with another object, `written`, in it."""
    if held is None or held[0] != FRONT_CELL:
        return written
    return joined(decode(written), split(held)[1])


def join_parts(a: Parts, b: Parts) -> Parts:
    """The join of two rows, part by part."""
    (mine, my_cell), (theirs, their_cell) = a, b
    cell = their_cell if my_cell is None else my_cell if their_cell is None else merge_cells(my_cell, their_cell)
    return mine if mine is theirs else merge(mine, theirs), cell  # a row without an object has EMPTY


def newest_events(parts: Parts) -> Clock:
    """By actor the newest event that a row names, in its object or in its cell."""
    versions, cell = parts
    if cell is None:
        return versions.clock
    if not versions.clock:
        return cell.clock
    both = {**versions.clock, **cell.clock}
    return {actor: max(versions.clock.get(actor, 0), cell.clock.get(actor, 0)) for actor in both}


def merge_rows(held: bytes, other: bytes) -> bytes:
    """The join of two rows; see `Mergeable`."""
    if held[0] != FRONT_CELL != other[0]:
        return merge_blobs(held, other)
    if held == other:
        return held
    (mine, my_cell), (theirs, their_cell) = a, b = split(held), split(other)
    versions, cell = join_parts(a, b)
    if cell is their_cell and (versions is theirs or versions == theirs):
        return other
    if cell is my_cell and (versions is mine or versions == mine):
        return held
    merged = joined(versions, cell)
    return held if merged == held else other if merged == other else merged


class KvRows:
    """The Mergeable of the rows of the key-value store. `wall_s` is the time now, in seconds since 1970: a cell that
    has expired shows nothing, and is deleted some time later. `base_of` a key: a cell of a generation below is over,
    since its bucket was emptied."""

    merge = staticmethod(merge_rows)  # each copy that arrives is merged
    digest = staticmethod(digest)
    place = staticmethod(partition_of)

    def __init__(self, wall_s: Callable[[], float], base_of: Callable[[str], Generation]) -> None:
        self._wall_s = wall_s
        self._base_of = base_of

    def mark(self, key: str) -> str:
        """The row itself is kept for who missed it."""
        return ""

    def wanted(self, blob: bytes, key: str) -> bool:
        """Always: no other row covers it."""
        return True

    def check(self, blob: bytes) -> None:
        """Raise Damaged for bytes that are no row, and TooLarge for one that could not be shipped."""
        if what := excess(self, blob):
            raise TooLarge(f"an object of {what}")
        split(blob)

    def parts(self, blob: bytes) -> int:
        """How many siblings it has."""
        return len(outline(blob).siblings)

    def shows(self, blob: bytes, key: str) -> bool:
        """Whether any sibling is not deleted, or its cell shows anything."""
        versions, cell = split(blob) if blob[0] != FRONT_CELL else outlined(blob)
        if versions.siblings and any(not sibling.deleted for sibling in versions.siblings):
            return True
        return cell is not None and kind_of(self._present(cell, key, 0)) != KIND_NONE

    def is_deleted(self, blob: bytes, key: str) -> bool:
        """Whether nothing is left of it but tombstones."""
        if blob[0] != FRONT_CELL:
            return is_deleted(blob)
        versions, cell = outlined(blob)
        assert cell is not None
        if versions.siblings and any(not sibling.deleted for sibling in versions.siblings):
            return False
        return kind_of(self._present(cell, key, EXPIRED_SPARE_MS)) == KIND_NONE

    def ends_s(self, blob: bytes, key: str) -> float:
        """When its cell has expired for so long that it may be collected."""
        if blob[0] != FRONT_CELL:
            return inf
        versions, cell = outlined(blob)
        assert cell is not None
        ends_ms = expires_ms(cell)
        stays = not ends_ms or any(not sibling.deleted for sibling in versions.siblings)
        return inf if stays else (ends_ms + EXPIRED_SPARE_MS) / 1000

    def newest(self, blob: bytes, key: str) -> dict[str, int]:
        """By node id the highest number of an event that it names."""
        found = newest(blob)
        if blob[0] == FRONT_CELL:
            _, cell = outlined(blob)
            assert cell is not None
            for actor, number in cell.clock.items():
                id = actor.partition(".")[0]
                found[id] = max(number, found.get(id, 0))
        return found

    def unsettled(self, blob: bytes, key: str, held: bytes | None, stable: StableClock) -> bytes | None:
        """What is news of a copy; see `Mergeable`."""
        if blob[0] != FRONT_CELL and (held is None or held[0] != FRONT_CELL):
            return unsettled(blob, held, stable)
        (versions, cell), (there, their_cell) = split(blob), split(held)
        left = unsettled(encode(versions), encode(there), stable) if versions.siblings else None
        if cell is not None:
            cell = unsettled_cell(cell, their_cell, stable)
        if cell is None:
            return left
        return joined(EMPTY if left is None else decode(left), cell)

    def _present(self, cell: Cell, key: str, spare_ms: int) -> Cell:
        """The cell as it was found so long ago. What never ends costs no look at a clock."""
        now_ms = int(self._wall_s() * 1000) - spare_ms if cell.expires[3] else 0
        return present(cell, self._base_of(key), now_ms)
