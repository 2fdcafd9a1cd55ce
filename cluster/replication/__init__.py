"""Quorums, hints, read repair and completing over any Mergeable; what the bytes mean is for the block above."""

from cluster.replication.replication import Replication

__all__ = ["Replication"]
