"""The key-value store: versioned objects as one Mergeable, coordinated by an owner of the key, through any node."""

from cluster.kv.coordinator import Coordinator
from cluster.kv.objects import VersionedObjects

__all__ = ["Coordinator", "VersionedObjects"]
