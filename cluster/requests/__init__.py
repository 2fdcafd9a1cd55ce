"""Request and reply: typed services on the nodes, found by gossip and chosen by load."""

from cluster.requests.hosting import ServiceHosting
from cluster.requests.method import Blocking
from cluster.requests.service import CallContext, operation, service

__all__ = ["Blocking", "CallContext", "ServiceHosting", "operation", "service"]
