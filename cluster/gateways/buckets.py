"""The bucket that a gateway keeps its keys in; a cluster that has the gateway is born with it. Loads no node."""

from cluster.chain.bucket import LWW, Bucket

BUCKETS = {"redis": Bucket(LWW)}
"""Fifty clients on one key would meet the limit of siblings; Redis has none."""
