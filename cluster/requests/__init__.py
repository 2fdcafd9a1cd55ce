"""Request and reply: typed services on the nodes, found by gossip and chosen by load."""

from cluster.requests.context import CallContext
from cluster.requests.hosting import ServiceHosting
from cluster.requests.service import operation, service

__all__ = ["CallContext", "ServiceHosting", "operation", "service"]
