"""Bytes between nodes and from clients: streams by name and lane, and sealed datagrams; fault rules act here."""

from cluster.transport.connection import Connection
from cluster.transport.datagrams import DatagramEndpoint
from cluster.transport.transport import Transport

__all__ = ["Connection", "DatagramEndpoint", "Transport"]
