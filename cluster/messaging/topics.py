"""Publish and subscribe: at-most-once fan-out to local subscriptions and, once a node, to the nodes with interest.

A message that meets a full queue is dropped and counted, never kept: a slow subscriber slows nobody (as in NATS). The
next message that a subscription does get says how many it missed. Order is kept from one publisher connection to one
subscription. There is no history and no acknowledgement; queues and streams are for that.

A publish costs two dictionary look-ups and one send for each receiver: no task, no timer.
"""

from functools import partial

from cluster.env import Clock
from cluster.errors import BadMessage, ClusterError, LimitReached, TooLarge, Usage
from cluster.limits import (
    HEADER_BYTES_MAX,
    HEADERS_MAX,
    NAME_BYTES_MAX,
    PATTERNS_MAX,
    SUBSCRIPTIONS_MAX,
    VALUE_BYTES_MAX,
)
from cluster.messaging.barrier import Barrier
from cluster.messaging.interest import KIND, Interest, encode_interest
from cluster.messaging.matching import Matcher
from cluster.ports import Facts, Inbound, InboundLink, Messenger, Recorder
from cluster.wire.frames import OneWay, encode_frame
from cluster.wire.topics import Message, Publish, Published, Relay, Subscribe, Subscribed, Unsubscribe

ID_BYTES_MAX = 2 * NAME_BYTES_MAX
GONE = ("dead", "left")


class NodeSubscription:
    """One pattern of one client connection, under the number that the client chose."""

    __slots__ = ("dropped", "dropped_before", "link", "number", "pattern")

    def __init__(self, link: InboundLink, number: int, pattern: str) -> None:
        self.link = link
        self.number = number
        self.pattern = pattern
        self.dropped = 0  # since the last message that went through
        self.dropped_before = 0  # and those that the client was told of

    @property
    def dropped_total(self) -> int:
        """How many messages this subscription has missed."""
        return self.dropped + self.dropped_before


class NodeTopics:
    """The topics of one node. `origin` begins the ids of messages published here and never repeats between boots."""

    def __init__(
        self, node: str, origin: str, clock: Clock, messenger: Messenger, facts: Facts, record: Recorder
    ) -> None:
        self.node = node
        self.published = 0
        self.delivered = 0
        self.relayed = 0
        self.dropped = 0
        self._prefix = f"{origin}-"
        self._messenger = messenger
        self._facts = facts
        self._record = record
        self._matcher: Matcher[NodeSubscription] = Matcher()
        self._interest = Interest()
        self._links: dict[InboundLink, dict[int, NodeSubscription]] = {}
        self._patterns: dict[str, int] = {}  # pattern: subscriptions here
        self._barrier = Barrier(clock, facts, lambda: encode_interest(self._patterns))
        messenger.handle(Publish, self.on_publish)
        messenger.handle(Relay, self.on_relay)
        messenger.handle(Subscribe, self.on_subscribe)
        messenger.handle(Unsubscribe, self.on_unsubscribe)

    def start(self) -> None:
        """Learn the interest of all members. Of this node there is nothing to announce yet: what it announced before it
        went down ended, for whoever hears of this boot, with the boot that announced it."""
        self._facts.on_fact.append(self._on_fact)
        self._facts.on_change.append(self._on_change)
        for name, body in self._facts.facts(KIND).items():
            self._on_fact(name, KIND, body)

    def publish(
        self,
        subject: str,
        payload: bytes,
        id: str = "",
        headers: dict[str, str] | None = None,
        deadline: float = 0.0,
    ) -> Published:
        """Hand a message to everyone with interest. Raises Usage; what met a full queue is not in the count. A node
        that it reaches after the deadline (0: there is none) drops it: its publisher has given it up."""
        subscriptions = self._matcher.match(subject)
        route = self._interest.route(subject)
        if len(payload) > VALUE_BYTES_MAX or len(id) > ID_BYTES_MAX or headers is not None:
            _check_size(payload, id, headers)
        self.published = count = self.published + 1
        if not id:
            id = f"{self._prefix}{count}"
        reached = 0
        if subscriptions:
            reached = self._deliver(subscriptions, subject, payload, id, self.node, headers)
        if route:
            data = encode_frame(OneWay(Relay(subject, payload, id, self.node, headers), deadline))
            for peer, subscribers in route:
                if self._messenger.send_encoded(peer, data):
                    self.relayed += 1
                    reached += subscribers
                else:
                    self.dropped += 1
        return Published(id, reached, [])

    def subscriptions(self) -> list[NodeSubscription]:
        """All subscriptions of this node's clients."""
        return [subscription for numbered in self._links.values() for subscription in numbered.values()]

    def patterns(self) -> dict[str, int]:
        """What somebody listens to, as far as this node knows: patterns, sorted, with the number of subscribers."""
        found = self._interest.patterns()
        for pattern, subscribers in self._patterns.items():
            found[pattern] = found.get(pattern, 0) + subscribers
        return dict(sorted(found.items()))

    # -- messages

    def on_publish(self, inbound: Inbound) -> None:
        """From a client."""
        body: Publish = inbound.body
        try:
            inbound.reply(self.publish(body.subject, body.payload, body.id, body.headers, inbound.deadline))
        except ClusterError as error:
            inbound.fail(error)

    def on_relay(self, inbound: Inbound) -> None:
        """What was published at another node, for the subscriptions here."""
        body: Relay = inbound.body
        try:
            subscriptions = self._matcher.match(body.subject)
            _check_size(body.payload, body.id, body.headers)
        except Usage as error:
            inbound.fail(error)
            return
        if subscriptions:
            self._deliver(subscriptions, body.subject, body.payload, body.id, body.node, body.headers)

    def _deliver(
        self,
        subscriptions: tuple[NodeSubscription, ...],
        subject: str,
        payload: bytes,
        id: str,
        node: str,
        headers: dict[str, str] | None,
    ) -> int:
        reached = 0
        for to in subscriptions:
            if to.link.push(Message(to.number, subject, payload, id, node, to.dropped, headers)):
                reached += 1
                if to.dropped:
                    to.dropped_before += to.dropped
                    to.dropped = 0
                continue
            self.dropped += 1
            if not to.dropped_total:  # once a subscription: an event is a decision, not an operation
                self._record("topics.drop", "the subscriber's queue is full", pattern=to.pattern, subject=subject)
            to.dropped += 1
        self.delivered += reached
        return reached

    # -- subscriptions

    def on_subscribe(self, inbound: Inbound) -> None:
        """Answered once all live nodes know of it. Raises Usage or LimitReached."""
        body: Subscribe = inbound.body
        link = inbound.link
        numbered = self._links.get(link, {})
        if body.group:
            raise Usage("groups of subscribers are not offered: each subscription gets every message")
        if body.subscription in numbered:
            raise Usage(f"subscription {body.subscription} of this connection exists already")
        if len(numbered) >= SUBSCRIPTIONS_MAX:
            raise LimitReached(f"a connection holds at most {SUBSCRIPTIONS_MAX} subscriptions")
        if body.pattern not in self._patterns and len(self._patterns) >= PATTERNS_MAX:
            raise LimitReached(
                f"the subscribers of {self.node} use {PATTERNS_MAX} different patterns, the most allowed"
            )
        subscription = NodeSubscription(link, body.subscription, body.pattern)
        self._matcher.add(body.pattern, subscription)
        if not numbered:
            if link not in self._links:
                link.on_close.append(partial(self._on_close, link))
            self._links[link] = numbered
        numbered[body.subscription] = subscription
        self._patterns[body.pattern] = self._patterns.get(body.pattern, 0) + 1
        self._barrier.wait(lambda nodes: inbound.reply(Subscribed(nodes)))

    def on_unsubscribe(self, inbound: Inbound) -> None:
        """One subscription of this connection ends. Raises Usage."""
        number = inbound.body.subscription
        subscription = self._links.get(inbound.link, {}).pop(number, None)
        if subscription is None:
            raise Usage(f"this connection has no subscription {number}")
        self._end(subscription)
        inbound.reply(Subscribed(0))

    def _on_close(self, link: InboundLink) -> None:
        for subscription in self._links.pop(link, {}).values():
            self._end(subscription)

    def _end(self, subscription: NodeSubscription) -> None:
        pattern = subscription.pattern
        self._matcher.remove(pattern, subscription)
        self._patterns[pattern] -= 1
        if not self._patterns[pattern]:
            del self._patterns[pattern]
        self._barrier.announce()

    # -- facts

    def _on_fact(self, name: str, kind: str, body: bytes) -> None:
        if kind != KIND or name == self.node or self._facts.state(name) in GONE:
            return
        try:
            self._interest.update(name, body)
        except BadMessage as error:
            self._record("topics.ignore", error.message, peer=name)

    def _on_change(self, name: str, old: str, new: str) -> None:
        if name == self.node:
            return
        if new in GONE:
            self._interest.forget(name)
        elif old in GONE or not old:
            body = self._facts.facts(KIND).get(name)
            if body is not None:
                self._on_fact(name, KIND, body)


def _check_size(payload: bytes, id: str, headers: dict[str, str] | None) -> None:
    if len(payload) > VALUE_BYTES_MAX:
        raise TooLarge(f"a payload of {len(payload)} bytes where at most {VALUE_BYTES_MAX} are allowed")
    if len(id) > ID_BYTES_MAX:
        raise TooLarge(f"a message id of {len(id)} characters where at most {ID_BYTES_MAX} are allowed")
    if headers is not None and len(headers) > HEADERS_MAX:
        raise TooLarge(f"{len(headers)} headers where at most {HEADERS_MAX} are allowed")
    header_bytes = sum(len(name.encode()) + len(value.encode()) for name, value in (headers or {}).items())
    if header_bytes > HEADER_BYTES_MAX:
        raise TooLarge(f"headers of {header_bytes} bytes where at most {HEADER_BYTES_MAX} are allowed")
