"""Connections between nodes and from clients, by node name and by callback; fault rules act here."""

from cluster.transport.connection import Connection
from cluster.transport.inbound import Inbound
from cluster.transport.transport import Transport

__all__ = ["Connection", "Inbound", "Transport"]
