"""Storage: what a node keeps. One segmented log with group commit, tables in memory above it, and recovery.

The log is the truth and the tables are what replaying it gives. Every record carries its partition in a header that has
its own checksum, so damage is charged to one partition, which is *recovering* until it has been completed from its
co-owners; nothing that failed a checksum is ever returned. What a node must not forget (its epoch,
what it lost) is on the disk before it says anything.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from cluster.storage.identity import Boot, BootRecord, Identity, encode_boot, load_boot, newborn_files, read_document

if TYPE_CHECKING:
    from cluster.storage.recovery import TABLE_HINTS, Recovery
    from cluster.storage.segments import Done
    from cluster.storage.store import Store
else:
    _OF_A_NODE = {
        "TABLE_HINTS": "cluster.storage.recovery",
        "Recovery": "cluster.storage.recovery",
        "Done": "cluster.storage.segments",
        "Store": "cluster.storage.store",
    }

    def __getattr__(name: str) -> object:
        """Who only looks at a node's files (`up`, above all) does not load what a running node needs."""
        if name not in _OF_A_NODE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_OF_A_NODE[name]), name)
        return value


__all__ = [
    "TABLE_HINTS",
    "Boot",
    "BootRecord",
    "Done",
    "Identity",
    "Recovery",
    "Store",
    "encode_boot",
    "load_boot",
    "newborn_files",
    "read_document",
]
