"""Publish and subscribe: at-most-once fan-out to local subscriptions and, once a node, to the nodes with interest.

A message that meets a full queue is dropped and counted, never kept: a slow subscriber slows nobody (as in NATS). The
next message that a subscription does get says how many it missed. Order is kept from one publisher connection to one
subscription. There is no history and no acknowledgement; queues and streams are for that.

Of a queue group one member gets a message (`groups`); a request has an inbox of its own (`inboxes`). A node that has
just booted keeps what is published until it holds the interest of all the others, so that a restart loses none of what
it acknowledges; the members that it waits for may be down, so that is bounded.

A publish costs two dictionary look-ups and one send for each receiver: no task, no timer.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from cluster.env import Clock
from cluster.errors import BadMessage, ClusterError, LimitReached, Overloaded, TooLarge, Usage
from cluster.limits import (
    HEADER_BYTES_MAX,
    HEADERS_MAX,
    NAME_BYTES_MAX,
    PATTERNS_MAX,
    SUBSCRIPTIONS_MAX,
    VALUE_BYTES_MAX,
)
from cluster.messaging.barrier import TIMEOUT_S, Barrier
from cluster.messaging.groups import Groups, draw_nodes, in_turn
from cluster.messaging.inboxes import Inbox, Inboxes
from cluster.messaging.interest import KIND, Interest, encode_interest
from cluster.messaging.matching import Matcher
from cluster.messaging.subject import split_subject
from cluster.ports import Facts, Inbound, InboundLink, Messenger, Recorder
from cluster.wire.frames import SMALL_BYTES, OneWay, encode_frame
from cluster.wire.queues import Outgoing
from cluster.wire.topics import (
    GroupRelay,
    Message,
    Publish,
    Published,
    Relay,
    Subscribe,
    Subscribed,
    TopicRequest,
    Unsubscribe,
)

if TYPE_CHECKING:
    from random import Random

SUBJECT = "subject"
"""The header in which a queue finds what a message was published to."""
ToQueues = Callable[[list[str], Outgoing, float, Callable[[list[tuple[str, str, str]]], None]], None]
"""(queues, message, deadline, done): `done` takes queue, id there and outcome of each."""
ID_BYTES_MAX = 2 * NAME_BYTES_MAX
LEARN_S = TIMEOUT_S
"""For so long after its start a node that does not hold everybody's interest keeps what is published: as long as those
who subscribe wait for it."""
LEARN_POLL_S = 0.02
KEPT_MAX = 10_000
GONE = ("dead", "left")


class NodeSubscription:
    """One pattern of one client connection, under the number that the client chose."""

    __slots__ = ("delivered", "dropped", "dropped_before", "group", "link", "number", "pattern")

    def __init__(self, link: InboundLink, number: int, pattern: str, group: str = "") -> None:
        self.link = link
        self.number = number
        self.pattern = pattern
        self.group = group
        self.delivered = 0
        self.dropped = 0  # since the last message that went through
        self.dropped_before = 0  # and those that the client was told of

    @property
    def dropped_total(self) -> int:
        """How many messages this subscription has missed."""
        return self.dropped + self.dropped_before


class NodeTopics:
    """The topics of one node. `origin` begins the ids of messages published here and never repeats between boots;
    `avoided(peer)` says who does not answer."""

    def __init__(
        self,
        node: str,
        origin: str,
        clock: Clock,
        random: "Random",
        messenger: Messenger,
        facts: Facts,
        avoided: Callable[[str], bool],
        record: Recorder,
    ) -> None:
        self.node = node
        self.published = 0
        self.delivered = 0
        self.relayed = 0
        self.dropped = 0
        self._prefix = f"{origin}-"
        self._clock = clock
        self._random = random
        self._messenger = messenger
        self._facts = facts
        self._avoided = avoided
        self._record = record
        self._matcher: Matcher[NodeSubscription] = Matcher()  # of those in no group
        self._groups: Groups[NodeSubscription] = Groups()
        self._interest = Interest()
        self.to_queues: ToQueues = lambda queues, message, deadline, done: done([])
        """Sends what was published to the queues that are bound to its subject."""
        self._bound: Matcher[str] | None = None  # while there are any
        self._inboxes = Inboxes(node, random.randbytes(6).hex(), clock, self._listen)
        self._links: dict[InboundLink, dict[int, NodeSubscription]] = {}
        self._patterns: dict[tuple[str, str], int] = {}  # pattern and group: subscriptions here
        self._barrier = Barrier(clock, facts, lambda: encode_interest(self._patterns))
        self._kept: list[tuple[Callable[[Inbound], None], Inbound]] | None = None
        """What was published since the start, while the interest of others is missing."""
        messenger.handle(Publish, self.on_publish)
        messenger.handle(Relay, self.on_relay)
        messenger.handle(GroupRelay, self.on_group_relay)
        messenger.handle(Subscribe, self.on_subscribe)
        messenger.handle(Unsubscribe, self.on_unsubscribe)
        messenger.handle(TopicRequest, self.on_request)

    def start(self) -> None:
        """Learn the interest of all members, and announce that there is none here: what this node announced before it
        went down ended with the boot that announced it, and who boots now knows by it that nothing is missing."""
        self._facts.on_fact.append(self._on_fact)
        self._facts.on_change.append(self._on_change)
        for name, body in self._facts.facts(KIND).items():
            self._on_fact(name, KIND, body)
        self._facts.announce(KIND, encode_interest(self._patterns))
        self._kept = []
        self._learn(self._clock.now() + LEARN_S)

    def publish(
        self,
        subject: str,
        payload: bytes,
        id: str = "",
        headers: dict[str, str] | None = None,
        deadline: float = 0.0,
        reply: str = "",
    ) -> Published:
        """Hand a message to everyone with interest. Raises Usage; what met a full queue is not in the count. A node
        that it reaches after the deadline (0: there is none) drops it: its publisher has given it up."""
        subscriptions = self._matcher.match(subject)
        route = self._interest.route(subject)
        _check_size(payload, id, headers, reply)
        self.published = count = self.published + 1
        if not id:
            id = f"{self._prefix}{count}"
        reached = 0
        if subscriptions:
            reached = self._deliver(subscriptions, subject, payload, id, self.node, headers, reply)
        if route.nodes:
            relay = Relay(subject, payload, id, self.node, headers, reply)
            small = headers is None and len(payload) <= SMALL_BYTES
            data = b"" if small else encode_frame(OneWay(relay, deadline))
            for peer, subscribers in route.nodes:
                if self._messenger.gather(peer, relay, deadline) if small else self._messenger.send_encoded(peer, data):
                    self.relayed += 1
                    reached += subscribers
                else:
                    self.dropped += 1
        if route.groups or self._groups.count:
            for group in {**self._groups.of(subject), **route.groups}:
                to_one = GroupRelay(subject, payload, id, self.node, group, [], headers, reply)
                reached += self._deliver_to_group(to_one, deadline)
        return Published(id, reached, [])

    def bind(self, patterns: Mapping[str, Sequence[str]]) -> None:
        """What is published from now on goes to these queues, too, each with the patterns that it is bound to."""
        bound: Matcher[str] = Matcher()
        for queue, its in patterns.items():
            for pattern in its:
                bound.add(pattern, queue)
        self._bound = bound if any(patterns.values()) else None

    def subscriptions(self) -> list[NodeSubscription]:
        """All subscriptions of this node's clients."""
        return [subscription for numbered in self._links.values() for subscription in numbered.values()]

    def subscribers(self) -> list[dict[str, Any]]:
        """What each of them listens to, and how many messages it was sent and has missed."""
        return [
            {"pattern": one.pattern, "group": one.group, "delivered": one.delivered, "dropped": one.dropped_total}
            for one in self.subscriptions()
        ]

    def patterns(self) -> dict[str, int]:
        """What somebody listens to, as far as this node knows: patterns, sorted, with the number of subscribers."""
        found = self._interest.patterns()
        for (pattern, _), subscribers in self._patterns.items():
            found[pattern] = found.get(pattern, 0) + subscribers
        return dict(sorted(found.items()))

    # -- messages

    def on_publish(self, inbound: Inbound) -> None:
        """From a client."""
        if self._kept is not None:
            self._keep(self.on_publish, inbound)
            return
        body: Publish = inbound.body
        try:
            published = self.publish(body.subject, body.payload, body.id, body.headers, inbound.deadline, body.reply)
        except ClusterError as error:
            inbound.fail(error)
            return
        queues = sorted(self._bound.match(body.subject)) if self._bound is not None else []
        if not queues:
            inbound.reply(published)
            return

        def taken(results: list[tuple[str, str, str]]) -> None:
            inbound.reply(Published(published.id, published.subscribers, results))

        # Whoever publishes again under an id that it chose sends nothing twice.
        message = body.payload, {**(body.headers or {}), SUBJECT: body.subject}, -1.0, body.id
        self.to_queues(queues, message, inbound.deadline, taken)

    def on_request(self, inbound: Inbound) -> None:
        """From a client that waits for somebody's answer. Raises Usage."""
        if self._kept is not None:
            self._keep(self.on_request, inbound)
            return
        body: TopicRequest = inbound.body

        def publish(reply: str) -> int:
            done = self.publish(body.subject, body.payload, "", body.headers, inbound.deadline, reply)
            return done.subscribers

        self._inboxes.request(inbound, publish)

    def on_relay(self, inbound: Inbound) -> None:
        """What was published at another node, for the subscriptions here."""
        body: Relay = inbound.body
        try:
            subscriptions = self._matcher.match(body.subject)
            _check_size(body.payload, body.id, body.headers, body.reply)
        except Usage as error:
            inbound.fail(error)
            return
        if subscriptions:
            self._deliver(subscriptions, body.subject, body.payload, body.id, body.node, body.headers, body.reply)

    def on_group_relay(self, inbound: Inbound) -> None:
        """What was published at another node, for a member of a group. Raises Usage."""
        body: GroupRelay = inbound.body
        _check_size(body.payload, body.id, body.headers, body.reply)
        self._deliver_to_group(body, inbound.deadline)

    def _deliver_to_group(self, relay: GroupRelay, deadline: float) -> bool:
        """Hand it to one member: one that is here, or else at a node that has not been tried. Raises Usage."""
        members = self._groups.of(relay.subject).get(relay.group, ())
        for to in in_turn(members, self._random):
            message = Message(
                to.number, relay.subject, relay.payload, relay.id, relay.node, to.dropped, relay.headers, relay.reply
            )
            if to.link.push(message):
                to.delivered += 1
                to.dropped_before += to.dropped
                to.dropped = 0
                self.delivered += 1
                return True
        nodes = self._interest.route(relay.subject).groups.get(relay.group, ())
        if nodes:
            relay.tried.append(self.node)
            data = encode_frame(OneWay(relay, deadline))
            for node in draw_nodes(nodes, relay.tried, self._avoided, self._random):
                if self._messenger.send_encoded(node, data):
                    self.relayed += 1
                    return True
        self.dropped += 1
        if members:
            self._missed(members[0], relay.subject)
        return False

    def _deliver(
        self,
        subscriptions: tuple[NodeSubscription, ...],
        subject: str,
        payload: bytes,
        id: str,
        node: str,
        headers: dict[str, str] | None,
        reply: str,
    ) -> int:
        reached = 0
        small = headers is None and len(payload) <= SMALL_BYTES
        for to in subscriptions:
            message = Message(to.number, subject, payload, id, node, to.dropped, headers, reply)
            if to.link.push(message, small):
                reached += 1
                to.delivered += 1
                if to.dropped:
                    to.dropped_before += to.dropped
                    to.dropped = 0
                continue
            self.dropped += 1
            self._missed(to, subject)
        self.delivered += reached
        return reached

    def _missed(self, to: NodeSubscription, subject: str) -> None:
        if not to.dropped_total:  # once a subscription: an event is a decision, not an operation
            self._record("topics.drop", "the subscriber's queue is full", pattern=to.pattern, subject=subject)
        to.dropped += 1

    # -- subscriptions

    def on_subscribe(self, inbound: Inbound) -> None:
        """Answered once all live nodes know of it. Raises Usage or LimitReached."""
        body: Subscribe = inbound.body
        link = inbound.link
        numbered = self._links.get(link, {})
        if body.subscription in numbered:
            raise Usage(f"subscription {body.subscription} of this connection exists already")
        if len(numbered) >= SUBSCRIPTIONS_MAX:
            raise LimitReached(f"a connection holds at most {SUBSCRIPTIONS_MAX} subscriptions")
        row = body.pattern, check_group(body.group)
        if row not in self._patterns and len(self._patterns) >= PATTERNS_MAX:
            raise LimitReached(
                f"the subscribers of {self.node} use {PATTERNS_MAX} different patterns, the most allowed"
            )
        subscription = NodeSubscription(link, body.subscription, *row)
        if body.group:
            self._groups.add(*row, subscription)
        else:
            self._matcher.add(body.pattern, subscription)
        if not numbered:
            if link not in self._links:
                link.on_close.append(partial(self._on_close, link))
            self._links[link] = numbered
        numbered[body.subscription] = subscription
        self._patterns[row] = self._patterns.get(row, 0) + 1
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
        row = subscription.pattern, subscription.group
        if subscription.group:
            self._groups.remove(*row, subscription)
        else:
            self._matcher.remove(subscription.pattern, subscription)
        self._patterns[row] -= 1
        if not self._patterns[row]:
            del self._patterns[row]
        self._barrier.announce()

    def _listen(self, subject: str, inbox: Inbox) -> None:
        """Deliver to an inbox: its subject says where it is, so nothing is announced."""
        subscription = NodeSubscription(inbox, 0, subject)
        self._matcher.add(subject, subscription)

        def end() -> None:
            self._matcher.remove(subject, subscription)

        inbox.on_close.append(end)

    # -- the first moments

    def _learn(self, until: float) -> None:
        """Look whether anybody's interest is still missing; if not, go on with what was kept."""
        if self._clock.now() < until and self._facts.unknown(KIND):
            self._clock.call_later(LEARN_POLL_S, self._learn, until)
            return
        kept, self._kept = self._kept or [], None
        for handler, inbound in kept:
            try:
                handler(inbound)
            except ClusterError as error:
                inbound.fail(error)

    def _keep(self, handler: Callable[[Inbound], None], inbound: Inbound) -> None:
        assert self._kept is not None
        if len(self._kept) >= KEPT_MAX:
            raise Overloaded(f"{self.node} has just started, and has not heard yet who listens at the other nodes")
        self._kept.append((handler, inbound))

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


def check_group(group: str) -> str:
    """The name of a group, or none. Raises Usage."""
    if len(group.encode("utf-8", "surrogatepass")) > NAME_BYTES_MAX:
        raise TooLarge(f"a group's name of more than {NAME_BYTES_MAX} bytes")
    if not group.isprintable() or " " in group:
        raise Usage(f"invalid group {group!r}: it holds blanks or control characters")
    return group


def _check_size(payload: bytes, id: str, headers: dict[str, str] | None, reply: str) -> None:
    if len(payload) > VALUE_BYTES_MAX:
        raise TooLarge(f"a payload of {len(payload)} bytes where at most {VALUE_BYTES_MAX} are allowed")
    if len(id) > ID_BYTES_MAX:
        raise TooLarge(f"a message id of {len(id)} characters where at most {ID_BYTES_MAX} are allowed")
    if reply:
        split_subject(reply)
    if headers is None:
        return
    if len(headers) > HEADERS_MAX:
        raise TooLarge(f"{len(headers)} headers where at most {HEADERS_MAX} are allowed")
    header_bytes = sum(len(name.encode()) + len(value.encode()) for name, value in headers.items())
    if header_bytes > HEADER_BYTES_MAX:
        raise TooLarge(f"headers of {header_bytes} bytes where at most {HEADER_BYTES_MAX} are allowed")
