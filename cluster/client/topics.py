"""Publish and subscribe: at most once, to whoever listens now.

A subscription is registered at one node, and moved to another when that is lost, or silent while others answer. What is
published while it moves is missed: `gaps` counts the moves, and the next message says `gap`. A reader that is too slow
loses the oldest messages; `dropped` counts those, and those that the node dropped. `Listening` is all of it but the
waiting, which the sessions' subscriptions add (`aio.Subscription`, `blocking.BlockingSubscription`).
"""

from collections import deque
from collections.abc import Callable
from functools import partial

from msgspec import Struct

from cluster.client.dispatch import Dispatch, ignore
from cluster.client.operation import (
    Family,
    S,
    Send,
    Steps,
    check_bytes,
    check_count,
    check_text,
    check_timeout,
    expect,
    operation,
)
from cluster.client.router import Router
from cluster.errors import (
    BadMessage,
    ClusterError,
    DeadlinePassed,
    LimitReached,
    Maybe,
    QuorumMissing,
    TooLarge,
    Unreachable,
    Usage,
)
from cluster.limits import HEADERS_MAX, NAME_BYTES_MAX, SUBJECT_BYTES_MAX, VALUE_BYTES_MAX
from cluster.wire.caller import Caller, Outcome
from cluster.wire.topics import (
    Message,
    Publish,
    Published,
    Subscribe,
    Subscribed,
    TopicReply,
    TopicRequest,
    Unsubscribe,
)

BUFFER = 10_000
"""Messages that wait for the reader, unless it says otherwise."""
BUFFER_MAX = 10_000_000
PAUSE_S = 0.05
"""Between two rounds over all nodes."""
WATCH_S = 0.5
"""How often a subscription looks whether its node still says anything."""


class QueuePublish(Struct, frozen=True):
    """What became of a published message at a queue that is bound to its subject: its `id` there, and the outcome."""

    queue: str
    id: str
    outcome: str


class PublishResult(Struct, frozen=True):
    """A message that was sent towards `subscribers` subscriptions, and to each of `queues`."""

    subject: str
    id: str
    subscribers: int
    queues: list[QueuePublish]


class TopicMessage(Struct, frozen=True, gc=False):
    """A message of a subscription. `gap`: the subscription moved to another node before it, so some may be missing."""

    subject: str
    payload: bytes
    id: str
    node: str
    headers: dict[str, str]
    gap: bool = False
    reply: str = ""
    """Where whoever published it awaits an answer: publish there."""


class Publishing(Family[S]):
    """The half of the family that both sessions carry alike."""

    @operation
    def publish(
        self,
        subject: str,
        payload: bytes,
        *,
        headers: dict[str, str] | None = None,
        reply: str = "",
        id: str = "",
        timeout: float | None = None,
    ) -> Steps[PublishResult]:
        """Send a message towards every matching subscription, and to each queue that is bound to its subject: once this
        returns, W nodes have it for each of those. `reply`: the subject where answers to it are awaited. `id`: that of
        the message; one that is published again under the same id within 5 minutes comes once to each queue. (Without
        it the node makes one, and it comes twice.)

        Raises Maybe or QuorumMissing where a queue may not have it, or has it not; `detail` says what became of it at
        each. Subscriptions are sent to all the same."""
        payload = check_payload(payload)
        body = Publish(
            check_subject(subject),
            payload,
            check_text(id, "the id"),
            check_headers(headers),
            reply and check_subject(reply),
        )
        done = expect(Published, (yield Send(body, check_timeout(timeout))))
        queues = [QueuePublish(*one) for one in done.queues]
        missed = [one for one in queues if one.outcome in ("maybe", "no")]
        if missed:
            what = ", ".join(f"{one.queue} ({one.outcome})" for one in missed)
            unsure = any(one.outcome == "maybe" for one in missed)
            kind, where = (Maybe, "may be missing in") if unsure else (QuorumMissing, "is missing in")
            told = [{"queue": one.queue, "id": one.id, "outcome": one.outcome} for one in queues]
            raise kind(
                f"the message {where} queue{'s' if len(missed) > 1 else ''} {what}",
                help="Published again under the same id, it may come twice to subscribers, and once to each queue."
                if id
                else "Published again, it may come twice to subscribers and to the queues that have it.",
                subject=subject, id=done.id, subscribers=done.subscribers, queues=told,
            )  # fmt: skip
        return PublishResult(subject, done.id, done.subscribers, queues)

    @operation
    def request(
        self, subject: str, payload: bytes, *, headers: dict[str, str] | None = None, timeout: float | None = None
    ) -> Steps[TopicMessage]:
        """Send a message, and wait for the first answer: what a subscriber publishes to the `reply` of the message that
        it got. Raises NoResponders at once when nobody listens."""
        body = TopicRequest(check_subject(subject), check_payload(payload), check_headers(headers))
        done = expect(TopicReply, (yield Send(body, check_timeout(timeout))))
        return TopicMessage(done.subject, done.payload, done.id, done.node, done.headers or {})


def check_payload(payload: object) -> bytes:
    """What a message carries. Raises Usage or TooLarge."""
    data = check_bytes(payload, "the payload")
    if len(data) > VALUE_BYTES_MAX:
        raise TooLarge(f"the payload has {len(data)} bytes; {VALUE_BYTES_MAX} are allowed")
    return data


def check_subject(subject: object) -> str:
    """A subject or pattern; its syntax is checked by the node. Raises Usage or TooLarge."""
    text = check_text(subject, "a subject")
    if len(text.encode()) > SUBJECT_BYTES_MAX:
        raise TooLarge(f"the subject has {len(text.encode())} bytes; {SUBJECT_BYTES_MAX} are allowed")
    return text


def check_group(group: object) -> str:
    """The name of a group, empty for none. Raises Usage or TooLarge."""
    text = check_text(group, "a group")
    if len(text.encode()) > NAME_BYTES_MAX:
        raise TooLarge(f"the group's name has {len(text.encode())} bytes; {NAME_BYTES_MAX} are allowed")
    return text


def check_headers(headers: object) -> dict[str, str] | None:
    """Text by text. Raises Usage or TooLarge."""
    if headers is None:
        return None
    if not isinstance(headers, dict):
        raise Usage(f"headers are a dict of text, not {type(headers).__name__}")
    if len(headers) > HEADERS_MAX:
        raise TooLarge(f"there are {len(headers)} headers; {HEADERS_MAX} are allowed")
    return {check_text(name, "a header's name"): check_text(value, f"header {name}") for name, value in headers.items()}


class Listening:
    """One subscription, without the waiting: `on_change` is called when there is something new to look at."""

    def __init__(
        self,
        router: Router,
        now: Callable[[], float],
        call_later: Callable[[float, Callable[[], object]], object],
        pattern: str,
        group: str,
        timeout: float,
        *,
        buffer: int = BUFFER,
        move_s: float,
        take: Callable[[Message], None] | None = None,
    ) -> None:
        """With `take`, messages go there as they come, and nothing is kept for a reader. `move_s`: how long a lost
        subscription looks for a node before it gives up. Raises Usage or TooLarge."""
        self.pattern = check_subject(pattern)
        self.group = check_group(group)
        self.nodes = 0
        """How many nodes know of it."""
        self.node = ""
        """The node that delivers; empty while there is none."""
        self.gaps = 0
        self.dropped = 0
        self.error: ClusterError | None = None
        """Why no node could be found."""
        self.over = False
        self.on_change: Callable[[], object] = lambda: None
        self._router = router
        self._now = now
        self._call_later = call_later
        self._buffer = check_count(buffer, "buffer", 1, BUFFER_MAX)
        self._take = take
        self._timeout = timeout
        self._move_s = move_s
        self._messages: deque[TopicMessage] = deque()
        self._gap = False
        self._number = 0
        self._registering: Dispatch | None = None
        self._caller: Caller | None = None
        self._give_up_at = 0.0
        self._tried: dict[str, ClusterError] = {}

    # -- the reader's side

    def start(self) -> None:
        """Register: when `node` is set, every live node knows of the subscription."""
        self._give_up_at = self._now() + self._timeout
        self._register()

    @property
    def settled(self) -> bool:
        """Whether it is registered, or will not be."""
        return bool(self.node) or self.over or self.error is not None

    def pop(self) -> TopicMessage | None:
        """The next message that has come; raises the error of a subscription that found no node."""
        if self._messages:
            return self._messages.popleft()
        if self.error is not None:
            raise self.error
        return None

    @property
    def readable(self) -> bool:
        """Whether a reader has to wait no longer."""
        return bool(self._messages) or self.error is not None or self.over

    def close(self) -> None:
        """End it: nothing more is delivered, and a reader that waits is let go."""
        if self.over:
            return
        registering = self._registering
        self.end()
        if self._caller is not None:
            self._leave(self._caller)
        elif registering is not None and registering.caller is not None:
            self._unsubscribe(registering.caller)

    # -- the router's side

    def receive(self, message: Message) -> None:
        """Keep a message for the reader."""
        if message.dropped:
            self.dropped += message.dropped
        if self._take is not None:
            self._take(message)
            return
        messages = self._messages
        messages.append(
            TopicMessage(
                message.subject,
                message.payload,
                message.id,
                message.node,
                message.headers or {},
                self._gap,
                message.reply,
            )
        )
        self._gap = False
        if len(messages) == 1:  # a reader waits only where there was none
            self.on_change()
        elif len(messages) > self._buffer:
            messages.popleft()
            self.dropped += 1

    def end(self) -> None:
        """No more messages; what was received can still be read."""
        self.over = True
        self._router.receivers.pop(self._number, None)
        if self._registering is not None:
            self._registering.cancel()
        self.on_change()

    def _unsubscribe(self, caller: Caller) -> None:
        """Tell the node of the present number to forget it."""
        now = self._now()
        try:
            caller.call(Unsubscribe(self._number), now + self._timeout, ignore, now)
        except ClusterError:  # the connection is over, and the subscription with it
            pass

    def _register(self) -> None:
        """Try the best node that has not failed in this round."""
        if self.over:
            return
        router = self._router
        node = router.best_node(self._tried)
        if node is None:  # the round is over
            errors = list(self._tried.values())
            if errors and all(isinstance(error, LimitReached) for error in errors):
                self._fail(errors[0])  # waiting makes no room
            elif self._now() + PAUSE_S >= self._give_up_at:
                reasons = "; ".join(error.message for error in errors)
                self._fail(Unreachable(f"no node takes the subscription to {self.pattern!r}: {reasons}"))
            else:
                self._tried.clear()
                self._call_later(PAUSE_S, self._register)
            return
        router.receivers.pop(self._number, None)
        self._number = next(router.numbers)
        router.receivers[self._number] = self
        body = Subscribe(self._number, self.pattern, self.group)
        deadline = min(self._now() + self._timeout, self._give_up_at)
        self._registering = router.call(body, deadline, partial(self._registered, node), node=node)

    def _registered(self, node: str, outcome: Outcome) -> None:
        operation, self._registering = self._registering, None
        if isinstance(outcome, Subscribed):
            assert operation is not None and operation.caller is not None
            self.node, self.nodes = node, outcome.nodes
            self._tried.clear()
            self._caller = operation.caller
            self._caller.watchers.append(self._lost)
            self._caller.on_silent.append(self._silent)
            self._call_later(WATCH_S, partial(self._watch, self._number))
            self.on_change()
        elif isinstance(outcome, ClusterError) and outcome.retryable:
            if isinstance(outcome, DeadlinePassed) and operation is not None and operation.caller is not None:
                self._unsubscribe(operation.caller)  # it may be registered there all the same
            self._tried[node] = outcome
            self._register()
        else:
            self._fail(outcome if isinstance(outcome, ClusterError) else BadMessage("expected Subscribed in reply"))

    def _watch(self, number: int) -> None:
        """Nothing may come because nothing is published: look whether the node says anything at all."""
        if self._caller is not None and number == self._number:
            self._router.look_at(self.node)
            self._call_later(WATCH_S, partial(self._watch, number))

    def _silent(self) -> None:
        """The node says nothing, while others do. What it still delivers under this number is not taken any more."""
        assert self._caller is not None
        self._tried[self.node] = Unreachable(f"{self.node}: silent")
        self._leave(self._caller)
        self._lost()

    def _leave(self, caller: Caller) -> None:
        caller.watchers.remove(self._lost)
        caller.on_silent.remove(self._silent)
        self._unsubscribe(caller)
        self._caller, self.node = None, ""

    def _lost(self) -> None:
        """The node that delivered is gone."""
        if not self.over:
            self._caller, self.node = None, ""
            self.gaps += 1
            self._gap = True
            self._give_up_at = self._now() + self._move_s
            self._call_later(0.0, self._register)

    def _fail(self, error: ClusterError) -> None:
        self.error = error
        self._router.receivers.pop(self._number, None)
        self.on_change()


class SubscriptionFigures:
    """What a subscription shows of itself, whichever client reads it."""

    _listening: Listening

    @property
    def pattern(self) -> str:
        """What is listened to."""
        return self._listening.pattern

    @property
    def node(self) -> str:
        """The node that delivers; empty while there is none."""
        return self._listening.node

    @property
    def nodes(self) -> int:
        """How many nodes know of it."""
        return self._listening.nodes

    @property
    def gaps(self) -> int:
        """How often the subscription moved to another node."""
        return self._listening.gaps

    @property
    def dropped(self) -> int:
        """Messages lost to bounded buffers, at the node and here."""
        return self._listening.dropped
