"""Versions: what a replica knows of one key, and how writes and merges change it without losing an update."""

from cluster.versions.actor import NUMBER_MAX, Actor, actor_name, first_number
from cluster.versions.clock import AHEAD_MAX_S, HybridClock, stamp_at, wall_of
from cluster.versions.context import (
    CONTEXT_BYTES_MAX,
    DOTS_MAX,
    NOTHING,
    Context,
    decode_context,
    encode_clock,
    encode_context,
    join_dot,
    make_token,
    open_token,
)
from cluster.versions.join import descends, join_clocks, merge, merge_blobs
from cluster.versions.reading import distinct, is_tombstone, visible
from cluster.versions.versions import (
    EMPTY,
    Clock,
    Dot,
    Sibling,
    Versions,
    covers,
    decode,
    digest,
    encode,
    has_clock,
)
from cluster.versions.write import check_growth, context_after, proves_amnesia, put, replace_all

__all__ = [
    "AHEAD_MAX_S",
    "CONTEXT_BYTES_MAX",
    "DOTS_MAX",
    "EMPTY",
    "NOTHING",
    "NUMBER_MAX",
    "Actor",
    "Clock",
    "Context",
    "Dot",
    "HybridClock",
    "Sibling",
    "Versions",
    "actor_name",
    "check_growth",
    "context_after",
    "covers",
    "decode",
    "decode_context",
    "descends",
    "digest",
    "distinct",
    "encode",
    "encode_clock",
    "encode_context",
    "first_number",
    "has_clock",
    "is_tombstone",
    "join_clocks",
    "join_dot",
    "make_token",
    "merge",
    "merge_blobs",
    "open_token",
    "proves_amnesia",
    "put",
    "replace_all",
    "stamp_at",
    "visible",
    "wall_of",
]
