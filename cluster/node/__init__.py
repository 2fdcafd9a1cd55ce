"""The one node: every block assembled, the same on every machine and in every simulation."""

from cluster.node.node import Node, NodeHooks

__all__ = ["Node", "NodeHooks"]
