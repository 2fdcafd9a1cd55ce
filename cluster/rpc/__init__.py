"""Calls between nodes: who may send what, numbers, deadlines, batches, lost connections, and how sure an error is."""

from cluster.rpc.batches import BatchedCalls
from cluster.rpc.rpc import Rpc

__all__ = ["BatchedCalls", "Rpc"]
