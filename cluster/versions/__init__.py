"""Versions: what a replica knows of one key, and how writes and merges change it without losing an update."""

from cluster.versions.actor import Actor, actor_name
from cluster.versions.clock import AHEAD_MAX_S, HybridClock, stamp_at, wall_of
from cluster.versions.context import decode_clock, encode_clock, make_token, open_token
from cluster.versions.join import descends, join_clocks, merge, merge_blobs
from cluster.versions.reading import distinct, is_tombstone, visible
from cluster.versions.versions import EMPTY, Clock, Dot, Sibling, Versions, decode, digest, encode, has_clock
from cluster.versions.write import (
    SIBLINGS_MAX,
    SIBLINGS_WARN,
    check_siblings,
    context_after,
    proves_amnesia,
    put,
)

__all__ = [
    "AHEAD_MAX_S",
    "EMPTY",
    "SIBLINGS_MAX",
    "SIBLINGS_WARN",
    "Actor",
    "Clock",
    "Dot",
    "HybridClock",
    "Sibling",
    "Versions",
    "actor_name",
    "check_siblings",
    "context_after",
    "decode",
    "decode_clock",
    "descends",
    "digest",
    "distinct",
    "encode",
    "encode_clock",
    "has_clock",
    "is_tombstone",
    "join_clocks",
    "make_token",
    "merge",
    "merge_blobs",
    "open_token",
    "proves_amnesia",
    "put",
    "stamp_at",
    "visible",
    "wall_of",
]
