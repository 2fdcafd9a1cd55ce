"""Request and reply: typed services on the nodes, found by gossip and chosen by load."""

from cluster.requests.hosting import ServiceHosting
from cluster.requests.service import CallContext, operation, service

__all__ = ["CallContext", "ServiceHosting", "operation", "service"]
