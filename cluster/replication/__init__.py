"""Quorums, hints, read repair and refill over any Mergeable; what the bytes mean is the business of the block above."""

from cluster.replication.replication import Replication

__all__ = ["Replication"]
