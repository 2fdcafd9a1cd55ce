"""The load on topics: messages to a subject that only this generator's own subscriptions listen to.

At most once: a message that was accepted and not delivered is *dropped*, never *lost*; that is counted, and not held
against the cluster. Delivered twice to one subscription, or delivered though nobody published it, breaks the promise.
Messages whose publication failed or is in doubt may arrive or not.
"""

import asyncio
from collections.abc import Callable
from time import monotonic

from cluster.client.aio import Calls, Message, Outcome, Published
from cluster.client.aio_topics import Subscription
from dsectl.load.plan import LoadPlan, Payloads
from dsectl.load.tally import US, KindTally, Latency, LoadReport, Tally

_ACCEPTED = 1


class Deliveries:
    """Of one publisher and its own subscriptions, which are numbered from 0."""

    def __init__(self, name: str, subscribers: int, payloads: Payloads) -> None:
        assert subscribers >= 1
        self.name = name
        self.payloads = payloads
        self.duplicated = 0
        self.unexpected = 0
        self.delivered = 0
        """Different messages, counted once for each subscription that has it."""
        self.dropped = 0
        """Of the accepted messages, how many deliveries are missing so far."""
        self._accepted = bytearray(1)
        self._seen = [bytearray(1) for _ in range(subscribers)]

    @property
    def sent(self) -> int:
        """The number of the last message; numbers begin with 1."""
        return len(self._accepted) - 1

    def begin(self) -> tuple[int, bytes]:
        """A message is published: its number and payload."""
        self._accepted.append(0)
        for seen in self._seen:
            seen.append(0)
        return self.sent, self.payloads.make(self.name, self.sent)

    def accept(self, number: int) -> None:
        """A node has taken the message."""
        self._accepted[number] = _ACCEPTED
        self.dropped += sum(1 for seen in self._seen if not seen[number])

    def receive(self, subscriber: int, payload: bytes) -> int | None:
        """A subscription was given a message; returns its number when it is the first time."""
        number = self.payloads.number(self.name, payload)
        if number is None or not 1 <= number <= self.sent:
            self.unexpected += 1
            return None
        seen = self._seen[subscriber]
        if seen[number]:
            self.duplicated += 1
            return None
        seen[number] = 1
        self.delivered += 1
        if self._accepted[number]:
            self.dropped -= 1
        return number


QUIET_S = 1.0
"""When no message has come for so long after the last publication, those that are missing count as dropped."""
POLL_S = 0.02


class Publication:
    """One message on its way."""

    __slots__ = ("due", "load", "number", "sent")

    def __init__(self, load: "PublishLoad", due: float) -> None:
        self.load = load
        self.due = due
        self.sent = monotonic()
        self.number = 0

    def send(self) -> None:
        """Send it."""
        load = self.load
        self.number, payload = load.deliveries.begin()
        load.due.append(self.due)
        load.calls.publish(load.subject, payload, self)

    def __call__(self, outcome: Outcome) -> None:
        """It was answered, or given up."""
        now = monotonic()
        load, kind = self.load, self.load.kind
        definite: bool | None = False
        if type(outcome) is Published:
            kind.ok += 1
            kind.timed(self.due, self.sent, now)
            load.deliveries.accept(self.number)
            load.unheard += outcome.subscribers == 0
        else:
            definite = load.tally.went_wrong(kind, outcome, self.due, self.sent, now)
        load.ended(definite is True)


class PublishLoad:
    """One generator's load. `ended(refused)` is to be set before the first `start`."""

    def __init__(self, plan: LoadPlan, calls: Calls, tally: Tally) -> None:
        self.calls = calls
        self.tally = tally
        self.kind: KindTally = tally.kind("publish")
        self.ended: Callable[[bool], None] = lambda refused: None
        self.subject = f"load.{plan.run}.{plan.process}"
        self.deliveries = Deliveries(plan.name, plan.subscribers, Payloads(plan.sizes))
        self.delivery = Latency()
        """From when a message was due until a subscription had it."""
        self.unheard = 0
        self.due = [0.0]
        """By number."""
        self._heard_at = 0.0
        self._subscriptions: list[Subscription] = []
        self._subscribers = plan.subscribers

    async def prepare(self) -> int:
        """Subscribe; afterwards every live node has the subscription. Returns how many subscriptions there are."""
        for number in range(self._subscribers):
            subscription = self.calls.subscription(self.subject, self._taker(number))
            self._subscriptions.append(subscription)
            await subscription.start()
        return len(self._subscriptions)

    def start(self, due: float) -> None:
        """Publish one message."""
        Publication(self, due).send()

    def _taker(self, number: int) -> Callable[[Message], None]:
        def take(message: Message) -> None:
            self._heard_at = now = monotonic()
            first = self.deliveries.receive(number, message.payload)
            if first is not None:
                self.delivery.fresh.append(int((now - self.due[first]) * US))

        return take

    async def check(self, patience_s: float) -> None:
        """Wait for what is still on its way."""
        until = monotonic() + patience_s
        self._heard_at = monotonic()
        while self.deliveries.dropped and monotonic() < min(until, self._heard_at + QUIET_S):  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)  # silence has no event

    def enter(self, report: LoadReport) -> None:
        """Listen no more, and write the findings down."""
        for subscription in self._subscriptions:
            subscription.close()
        found = self.deliveries
        report.delivered, report.dropped, report.unheard = found.delivered, found.dropped, self.unheard
        report.duplicated, report.unexpected = found.duplicated, found.unexpected
        report.checked = self.kind.ok
        report.delivery = self.delivery.encode()
