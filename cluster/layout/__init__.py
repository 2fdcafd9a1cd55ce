"""Layout: which nodes hold which keys, computed by every node alike from the agreed entry of the layout chain."""

from cluster.layout.entry import (
    WEIGHT_MAX,
    LayoutEntry,
    LayoutMember,
    decode_entry,
    encode_entry,
)
from cluster.layout.partition import PARTITIONS, partition_of, token
from cluster.layout.placement import Placement, placement
from cluster.layout.view import LayoutView

__all__ = [
    "PARTITIONS",
    "WEIGHT_MAX",
    "LayoutEntry",
    "LayoutMember",
    "LayoutView",
    "Placement",
    "decode_entry",
    "encode_entry",
    "partition_of",
    "placement",
    "token",
]
