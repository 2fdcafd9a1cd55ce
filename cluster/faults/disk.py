"""What ails the disk of one node: asked by the disk before an operation, and counted. Pure: the disk does the waiting.

What writes the receipts is part of the instrument, not of what is tested: it always finds room, or a full disk would go
on counting the attempts to write down its own count.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from cluster.faults.kind import Ailment

RECEIPTS: Final = "receipts.json"


class AilingDisk:
    """The active ailments of a disk, at least one."""

    def __init__(self, ailments: Sequence[Ailment], count: Callable[[Iterable[str]], None]) -> None:
        self._slow = [one.id for one in ailments if one.log_delay_s]
        self._delay_s = sum(one.log_delay_s for one in ailments)
        self._full = [one.id for one in ailments if one.full]
        self._count = count

    def delay_s(self) -> float:
        """By how many seconds an append to the log, or a sync of it, is late."""
        self._count(self._slow)
        return self._delay_s

    def refuses(self, path: str) -> bool:
        """Whether what is written to this file of the node finds no room."""
        if not self._full or path == RECEIPTS:
            return False
        self._count(self._full)
        return True
