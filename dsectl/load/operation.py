"""What the loads of all families share: an operation on its way, and the load that it belongs to."""

from collections.abc import Callable
from time import monotonic

from cluster.client.aio import Calls, Outcome
from dsectl.load.tally import KindTally, Tally


class FamilyLoad:
    """One family's load. What it finds goes into the tally's report. `ended(refused)` is to be set before the first
    `start`."""

    def __init__(self, calls: Calls, tally: Tally) -> None:
        self.calls = calls
        self.tally = tally
        self.found = tally.found
        self.ended: Callable[[bool], None] = lambda refused: None

    def start(self, due: float) -> None:
        """Begin one operation that was due then."""
        raise NotImplementedError

    async def check(self, patience_s: float) -> None:
        """Look again at what was promised, once nothing more is offered; may be cancelled."""

    def end(self) -> None:
        """Write down what can be said only when nothing follows."""


class OfferedOperation:
    """One operation, called back with its outcome. Small, since a process begins tens of thousands a second."""

    __slots__ = ("due", "kind", "load", "sent")

    def __init__(self, load: FamilyLoad, kind: KindTally, due: float) -> None:
        self.load = load
        self.kind = kind
        self.due = due
        self.sent = monotonic()

    def count(self, outcome: Outcome, succeeded: bool) -> bool:
        """Count it as ended now; returns whether it was refused."""
        now = monotonic()
        if succeeded:
            self.kind.ok += 1
            self.kind.timed(self.due, self.sent, now)
            return False
        return self.load.tally.went_wrong(self.kind, outcome, self.due, self.sent, now)
