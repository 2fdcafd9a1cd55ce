"""The load on topics: messages to a subject that only this generator's own subscriptions listen to.

At most once: a message that was accepted and not delivered is *dropped*, never *lost*; that is counted, and not held
against the cluster. Delivered twice to one subscription, or delivered though nobody published it, breaks the promise.
Messages whose publication failed or is in doubt may arrive or not.
"""

import asyncio
from functools import partial
from time import monotonic

from cluster.client.aio import Calls, Message, Outcome, Published
from cluster.client.aio_topics import Subscription
from dsectl.load.generator import FamilyLoad, OfferedOperation
from dsectl.load.plan import LoadPlan, Payloads
from dsectl.load.tally import US, Latency, LoadReport, Tally


class Deliveries:
    """Of one publisher and its own subscriptions, which are numbered from 0; what is found goes into the report."""

    def __init__(self, name: str, subscribers: int, payloads: Payloads, found: LoadReport) -> None:
        assert subscribers >= 1
        self.name = name
        self.payloads = payloads
        self.found = found
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
        self._accepted[number] = 1
        self.found.dropped += sum(1 for seen in self._seen if not seen[number])

    def receive(self, subscriber: int, payload: bytes) -> int | None:
        """A subscription was given a message; returns its number when it is the first time."""
        number = self.payloads.number(self.name, payload)
        if number is None or not 1 <= number <= self.sent:
            self.found.unexpected += 1
            return None
        seen = self._seen[subscriber]
        if seen[number]:
            self.found.duplicated += 1
            return None
        seen[number] = 1
        self.found.delivered += 1
        self.found.dropped -= self._accepted[number]
        return number


QUIET_S = 1.0
"""When no message has come for so long after the last publication, those that are missing count as dropped."""
POLL_S = 0.02


class _Publication(OfferedOperation):
    """One message on its way."""

    __slots__ = ("number",)
    load: "PublishLoad"
    number: int

    def __call__(self, outcome: Outcome) -> None:
        load = self.load
        refused = self.count(outcome, type(outcome) is Published)
        if type(outcome) is Published:
            load.deliveries.accept(self.number)
            load.found.unheard += outcome.subscribers == 0
        load.ended(refused)


class PublishLoad(FamilyLoad):
    """One generator's load."""

    def __init__(self, plan: LoadPlan, calls: Calls, tally: Tally) -> None:
        super().__init__(calls, tally)
        self.kind = tally.kind("publish")
        self.subject = f"load.{plan.run}.{plan.process}"
        self.deliveries = Deliveries(plan.name, plan.subscribers, Payloads(plan.sizes), self.found)
        self.delivery = Latency()
        """From when a message was due until a subscription had it."""
        self.due = [0.0]
        """By number."""
        self._heard_at = 0.0
        self._subscriptions: list[Subscription] = []
        self._subscribers = plan.subscribers

    async def prepare(self) -> int:
        """Subscribe; afterwards every live node has the subscription. Returns how many subscriptions there are."""
        for number in range(self._subscribers):
            subscription = self.calls.subscription(self.subject, partial(self.take, number))
            self._subscriptions.append(subscription)
            await subscription.start()
        return len(self._subscriptions)

    def start(self, due: float) -> None:
        """Publish one message."""
        message = _Publication(self, self.kind, due)
        message.number, payload = self.deliveries.begin()
        self.due.append(due)
        self.calls.publish(self.subject, payload, message)

    def take(self, subscriber: int, message: Message) -> None:
        """A subscription has received it."""
        self._heard_at = now = monotonic()
        first = self.deliveries.receive(subscriber, message.payload)
        if first is not None:
            self.delivery.fresh.append(int((now - self.due[first]) * US))

    async def check(self, patience_s: float) -> None:
        """Wait for what is still on its way."""
        until = monotonic() + patience_s
        self._heard_at = monotonic()
        while self.found.dropped and monotonic() < min(until, self._heard_at + QUIET_S):  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)  # silence has no event

    def end(self) -> None:
        """Listen no more."""
        for subscription in self._subscriptions:
            subscription.close()
        self.found.checked = self.kind.ok
        self.found.delivery = self.delivery.encode()
