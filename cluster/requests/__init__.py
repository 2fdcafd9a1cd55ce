"""Request and reply: typed services on the nodes, found by gossip and chosen by load.

A node takes it whole, with `hosting`. Who only defines or calls a service does not load that.
"""

from cluster.requests.method import Blocking
from cluster.requests.service import CallContext, operation, service

__all__ = ["Blocking", "CallContext", "operation", "service"]
