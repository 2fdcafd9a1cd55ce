"""Storage: what a node keeps. One segmented log with group commit, tables in memory above it, and recovery.

The log is the truth and the tables are what replaying it gives. Every record carries its partition in a header that has
its own checksum, so damage is charged to one partition, which is quarantined until it has been refilled from its
co-owners; nothing that failed a checksum is ever returned.
"""

from cluster.storage.documents import BootRecord, load_boot, next_boot, read_document
from cluster.storage.recovery import Recovery
from cluster.storage.segments import Done
from cluster.storage.store import Store

__all__ = ["BootRecord", "Done", "Recovery", "Store", "load_boot", "next_boot", "read_document"]
