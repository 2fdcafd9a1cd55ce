"""What the demo's load was answered, and when: the story tells from it what went on while a node was away.

The load itself is `dsectl load`'s: this stands between it and the cluster and lets everything pass.
"""

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from time import monotonic
from typing import NamedTuple

from cluster.client.aio import CallDone, Calls, Client, Message, Outcome, PutDone
from cluster.client.aio_topics import Subscription
from cluster.client.dispatch import Dispatch
from dsectl.demo.findings import Findings

Done = Callable[[Outcome], object]


class Answered(NamedTuple):
    """One operation that succeeded: when it began and ended (`monotonic`), which node did it; for writes, the key."""

    began: float
    ended: float
    node: str
    key: str = ""


class Witness:
    """Remembers every success, and counts them in the findings."""

    def __init__(self, found: Findings) -> None:
        self.found = found
        self.writes: list[Answered] = []
        self.messages: list[Answered] = []
        self.requests: list[Answered] = []
        self.subscriber = ""
        """The node that delivers the messages."""
        self._hinted_at: list[float] = []

    def calls(self, session: Client, timeout: float) -> Calls:
        """What a load sends its operations with."""
        return WitnessedCalls(session, timeout, self)

    def wrote(self, key: str, began: float, done: PutDone) -> None:
        """A write was acknowledged."""
        found, now = self.found, monotonic()
        self.writes.append(Answered(began, now, done.coordinator, key))
        if done.hints or done.outcome == "ok-sloppy":
            self._hinted_at.append(now)
        found.writes += 1
        found.coordinators[done.coordinator] = found.coordinators.get(done.coordinator, 0) + 1

    def received(self, message: Message, by: str) -> None:
        """A message was delivered by the node that the subscription is at."""
        now = monotonic()
        self.messages.append(Answered(now, now, message.node))
        self.subscriber = by
        self.found.messages += 1
        self.found.messages_across += by not in ("", message.node)

    def called(self, began: float, done: CallDone) -> None:
        """A request was answered."""
        found = self.found
        self.requests.append(Answered(began, monotonic(), done.node))
        found.requests += 1
        found.answered_by[done.node] = found.answered_by.get(done.node, 0) + 1

    def avoided_at(self, since: float) -> float | None:
        """When the first write was acknowledged of which a fallback keeps a hint."""
        return next((at for at in self._hinted_at if at >= since), None)

    def longest_gap_s(self, since: float, until: float) -> float:
        """The longest time without an acknowledged write."""
        ends = sorted(one.ended for one in self.writes if since <= one.ended <= until)
        return max(later - earlier for earlier, later in pairwise([since, *ends, until]))


def within(answers: list[Answered], since: float, until: float) -> list[Answered]:
    """Those that began and ended in a window."""
    return [one for one in answers if since <= one.began and one.ended <= until]


def by_node(answers: list[Answered]) -> dict[str, int]:
    """How many each node did."""
    return dict(Counter(one.node for one in answers))


class WitnessedCalls(Calls):
    """Passes on, and shows the witness what succeeded."""

    def __init__(self, session: Client, timeout: float, witness: Witness) -> None:
        super().__init__(session, timeout)
        self.witness = witness

    def put(self, key: str, value: bytes, context: bytes | None, done: Done) -> Dispatch:
        """Write."""
        began = monotonic()

        def answered(outcome: Outcome) -> None:
            if type(outcome) is PutDone and outcome.outcome != "maybe":
                self.witness.wrote(key, began, outcome)
            done(outcome)

        return super().put(key, value, context, answered)

    def call(self, operation: str, payload: bytes, done: Done) -> Dispatch:
        """Call a service."""
        began = monotonic()

        def answered(outcome: Outcome) -> None:
            if type(outcome) is CallDone:
                self.witness.called(began, outcome)
            done(outcome)

        return super().call(operation, payload, answered)

    def subscription(self, pattern: str, take: Callable[[Message], None]) -> Subscription:
        """Subscribe."""

        def taken(message: Message) -> None:
            self.witness.received(message, subscription.node)
            take(message)

        subscription = super().subscription(pattern, taken)
        return subscription
