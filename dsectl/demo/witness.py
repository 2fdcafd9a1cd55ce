"""What the demo's load was answered, and when: the story tells from it what went on while a node was away.

The load itself is `dsectl load`'s: this stands between it and the cluster and lets everything pass.
"""

from collections.abc import Callable
from itertools import pairwise
from time import monotonic
from typing import NamedTuple

from cluster.client.aio import Call, CallDone, Calls, Client, Message, Outcome, QueueAnswered
from cluster.client.aio_topics import Subscription
from cluster.client.dispatch import Dispatch
from dsectl.demo.findings import Findings
from dsectl.load.ledger import is_acknowledged

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
        self.jobs: list[Answered] = []
        self.subscriber = ""
        """The node that delivers the messages."""
        self.hinted_at: list[float] = []
        """When a write was acknowledged of which a fallback keeps a hint."""

    def avoided_at(self, since: float) -> float | None:
        """When the first such write was acknowledged."""
        return next((at for at in self.hinted_at if at >= since), None)

    def longest_gap_s(self, since: float, until: float) -> float:
        """The longest time without an acknowledged write."""
        ends = sorted(one.ended for one in self.writes if since <= one.ended <= until)
        return max(later - earlier for earlier, later in pairwise([since, *ends, until]))


def within(answers: list[Answered], since: float, until: float) -> list[Answered]:
    """Those that began and ended in a window."""
    return [one for one in answers if since <= one.began and one.ended <= until]


class WitnessedCalls(Calls):
    """What a load sends its operations with: passes on, and shows the witness what succeeded."""

    def __init__(self, session: Client, timeout: float, witness: Witness) -> None:
        super().__init__(session, timeout)
        self.witness = witness
        self.found = witness.found

    def put(self, key: str, value: bytes, context: bytes | None, done: Done) -> Dispatch:
        """Write."""
        began, found = monotonic(), self.found

        def answered(outcome: Outcome) -> None:
            if is_acknowledged(outcome):
                now, node = monotonic(), outcome.coordinator
                self.witness.writes.append(Answered(began, now, node, key))
                if outcome.hints or outcome.outcome == "ok-sloppy":
                    self.witness.hinted_at.append(now)
                found.writes += 1
                found.coordinators[node] = found.coordinators.get(node, 0) + 1
            done(outcome)

        return super().put(key, value, context, answered)

    def ack(self, receipts: list[str], done: Done) -> Dispatch:
        """Messages of a queue are done with."""
        began = monotonic()

        def answered(outcome: Outcome) -> None:
            if type(outcome) is QueueAnswered:
                count = sum(verdict in ("ok", "ok-sloppy") for verdict, _ in outcome.results)
                self.witness.jobs += [Answered(began, monotonic(), "")] * count
                self.found.jobs += count
            done(outcome)

        return super().ack(receipts, answered)

    def call(self, body: Call, done: Done, within: float | None = None) -> Dispatch:
        """Call a service."""
        began, found = monotonic(), self.found

        def answered(outcome: Outcome) -> None:
            if type(outcome) is CallDone:
                self.witness.requests.append(Answered(began, monotonic(), outcome.node))
                found.requests += 1
                found.answered_by[outcome.node] = found.answered_by.get(outcome.node, 0) + 1
            done(outcome)

        return super().call(body, answered, within)

    def subscription(self, pattern: str, take: Callable[[Message], None]) -> Subscription:
        """Subscribe."""
        witness, found = self.witness, self.found

        def taken(message: Message) -> None:
            now, witness.subscriber = monotonic(), subscription.node
            witness.messages.append(Answered(now, now, message.node))
            found.messages += 1
            found.messages_across += witness.subscriber not in ("", message.node)
            take(message)

        subscription = super().subscription(pattern, taken)
        return subscription
