"""One copy of a key, for people: the siblings of its object, and what its cell is, shows, and when it ends."""

from typing import Any

from cluster.kv.objects import split
from cluster.observe.rfc3339 import format_time
from cluster.versions import (
    AHEAD_MAX_S,
    BASE,
    KIND_NONE,
    Actor,
    Cell,
    Generation,
    Sibling,
    digest,
    expires_ms,
    kind_of,
    newest_stamp,
    present,
    text_of,
    wall_of,
)

SIBLINGS_MAX, ITEMS_MAX, VALUE_BYTES_SHOWN = 100, 100, 1024
"""Of one copy in one answer: as many siblings or items, and so much of each value, as somebody reads."""


def told_row(blob: bytes, base: Generation, wall_s: float) -> dict[str, Any]:
    """What a copy holds. Raises Damaged. `base`: see `present`."""
    versions, cell = split(blob)
    stamps = [sibling.stamp for sibling in versions.siblings]
    if cell is not None:
        stamps.append(newest_stamp(cell))
    ahead_s = wall_of(max(stamps, default=0)) - wall_s
    return {
        "clock": versions.clock if cell is None else cell.clock,
        "digest": digest(blob).hex(),
        "siblings": [_told_sibling(sibling) for sibling in versions.siblings[:SIBLINGS_MAX]],
        "siblings_count": len(versions.siblings),
        "cell": None if cell is None else told_cell(cell, base, wall_s),
        "ahead_s": round(ahead_s, 3) if ahead_s > AHEAD_MAX_S else 0.0,
    }


def told_cell(cell: Cell, base: Generation, wall_s: float) -> dict[str, Any]:
    """What a cell is, and what a reader is shown of it (`kind`, `value`, `items`); `value` and `generation` are of the
    copy, whether a reader sees them or not."""
    shown = present(cell, base, int(wall_s * 1000))
    kind, ends_ms = kind_of(shown), expires_ms(cell)
    state = "live"
    if kind == KIND_NONE:
        state = "emptied" if cell.generation < base else "expired" if shown.generation != cell.generation else "deleted"
    value = text_of(cell) if cell.value is None else cell.value
    return {
        "kind": kind,
        "state": state,
        "generation": None if cell.generation == BASE else _told_event(*cell.generation),
        "value": None if value is None else value[:VALUE_BYTES_SHOWN],
        "bytes": len(value or b""),
        "number": _number(shown),
        "counts": {actor: count.amount for actor, count in cell.counts.items() if count.is_live},
        "items": sorted(shown.members)[:ITEMS_MAX],
        "items_count": len(shown.members),
        "expires": {**_told_event(*cell.expires[:3]), "ends": format_time(ends_ms / 1000)} if ends_ms else None,
    }


def _number(cell: Cell) -> int | None:
    return None if not cell.counts or (text := text_of(cell)) is None else int(text)


def _told_sibling(sibling: Sibling) -> dict[str, Any]:
    """One value of a copy: who wrote it, in which write, and when by that node's clock."""
    return {
        "value": None if sibling.deleted else sibling.value[:VALUE_BYTES_SHOWN],
        "bytes": len(sibling.value),
        **_told_event(sibling.stamp, *sibling.dot),
    }


def _told_event(stamp: int, actor: Actor, number: int) -> dict[str, Any]:
    """A write: its node, its dot, and when it was by that node's clock."""
    return {
        "author": actor.partition(".")[0].rpartition("-")[0] or actor,
        "dot": [actor, number],
        "at": format_time(wall_of(stamp)),
        "stamp": stamp,
    }
