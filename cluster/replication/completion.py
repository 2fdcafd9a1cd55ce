"""When an owner that lost data of a partition is complete again. Pure.

Merge all of it from N - W + 1 *other* owners that are complete: whatever W owners acknowledged, this one among them,
has a copy among those (there are so many others only if W is 2 or more). Or from *every* other owner, complete or not:
then nothing more exists, and what only this node held is lost. Never from those that happen to be reachable: two wiped
owners that fill each other would deny what the third, merely down, still holds.

A source counts as complete when it said so with every page. A source that loses data between two pages says so with
the next; one that loses data afterwards takes nothing from what was merged. All scans are made after the loss that they
mend, since they are forgotten with it: a new loss, and a new boot, begins anew.
"""

from collections.abc import Container, Sequence
from enum import Enum


class CompletionReason(Enum):
    """Why a partition is complete again."""

    ENOUGH = "enough complete owners were merged"
    ALL = "every other owner was merged"
    ACCEPTED = "the loss of what the absent owners hold was accepted"


class Completion:
    """The scans of one partition, for one loss of its data. `others` are its other owners, or all `owners` of them for
    a node that is only to become one."""

    def __init__(self, others: Sequence[str], w: int, owners: int = 0) -> None:
        self.others = tuple(others)
        owners = owners or len(self.others) + 1
        self.needed = owners - min(w, owners) + 1
        self.scanned: dict[str, bool] = {}
        """The sources that were merged; whether each was complete from the first page to the last."""
        self.accepted: dict[str, None] = {}
        """Owners that nobody waits for any more: whoever runs the cluster accepts the loss of what they hold."""

    def on_scan(self, source: str, complete: bool) -> None:
        """All of a source was merged and is as durable as the cluster promises."""
        if source in self.others:
            self.scanned[source] = complete
            self.accepted.pop(source, None)

    def on_complete(self, source: str) -> None:
        """A source that was scanned while it lacked something is complete now: its scan is worth repeating."""
        if self.scanned.get(source) is False:
            del self.scanned[source]

    def accept_loss(self, absent: Sequence[str]) -> list[str]:
        """Go on without these; returns those of them that are waited for."""
        found = [name for name in self.missing() if name in absent]
        self.accepted.update(dict.fromkeys(found))
        return found

    def missing(self) -> list[str]:
        """The owners that have not been merged, in order."""
        return [name for name in self.others if name not in self.scanned and name not in self.accepted]

    def sources(self, reachable: Container[str]) -> list[str]:
        """Whom one could scan next, in order; empty when nobody can be, or need be."""
        if self.verdict() is not None:
            return []
        return [name for name in self.missing() if name in reachable]

    def verdict(self) -> CompletionReason | None:
        """Why the partition is complete, once it is."""
        if sum(self.scanned.values()) >= self.needed:
            return CompletionReason.ENOUGH
        if self.missing():
            return None
        return CompletionReason.ACCEPTED if self.accepted else CompletionReason.ALL
