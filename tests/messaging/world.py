"""Several nodes' topics joined back to back: connections and facts made of callbacks, a clock moved by hand."""

from collections.abc import Callable
from random import Random
from typing import Any, cast

from cluster.errors import ClusterError
from cluster.messaging.topics import NodeTopics
from cluster.wire.frames import Body, FrameReader, OneWay, encode_frame
from cluster.wire.topics import Message, Publish, Published, Subscribe, Unsubscribe
from tests.observe.hand_clock import HandClock


class FakeLink:
    """A client's connection that keeps what was pushed, up to `room` messages."""

    def __init__(self, room: int = 1_000_000) -> None:
        self.on_close: list[Callable[[], None]] = []
        self.ended = False
        self.room = room
        self.got: list[Message] = []
        self.small: list[Message] = []
        """Of these those that may share a frame."""

    def push(self, body: Body, small: bool = False) -> bool:
        if len(self.got) >= self.room:
            return False
        assert isinstance(body, Message)
        if small:
            self.small.append(body)
        self.got.append(body)
        return True

    def close(self) -> None:
        for function in self.on_close:
            function()

    def seen(self) -> list[tuple[int, str, bytes]]:
        return [(message.subscription, message.subject, message.payload) for message in self.got]


class FakeInbound:
    """One message that arrived, and what was answered."""

    def __init__(self, body: Any, link: "FakeLink") -> None:
        self.body = body
        self.deadline = 5.0
        self.link = link
        self.answers: list[Body | ClusterError] = []
        self.cancel: Callable[[], None] = lambda: None

    def reply(self, body: Body) -> None:
        self.answers.append(body)

    def fail(self, error: ClusterError) -> None:
        self.answers.append(error)

    def on_cancel(self, function: Callable[[], None]) -> None:
        self.cancel = function


class FakeMessenger:
    """Frames go through their bytes, and arrive in a later pass."""

    def __init__(self, world: "World", node: str) -> None:
        self.world = world
        self.node = node
        self.handlers: dict[type, Callable[[Any], None]] = {}
        self.full: list[str] = []
        self.sent: list[str] = []
        self.gathered: list[Body] = []

    def handle(self, body_type: type, handler: Callable[[Any], None]) -> None:
        self.handlers[body_type] = handler

    def send_encoded(self, peer: str, data: bytes) -> bool:
        if peer in self.full:
            return False
        self.sent.append(peer)
        self.world.clock.call_soon(self.world.messengers[peer].arrive, data)
        return True

    def gather(self, peer: str, body: Body, deadline: float) -> bool:
        self.gathered.append(body)
        return self.send_encoded(peer, encode_frame(OneWay(body, deadline)))

    def arrive(self, data: bytes) -> None:
        for frame in FrameReader().feed(data):
            assert isinstance(frame, OneWay)
            self.handlers[type(frame.body)](FakeInbound(frame.body, FakeLink()))


class FakeFacts:
    """Facts that others learn when told, or when the test gossips; `deaf` members do not confirm."""

    def __init__(self, world: "World", node: str) -> None:
        self.world = world
        self.node = node
        self.on_fact: list[Callable[[str, str, bytes], None]] = []
        self.on_change: list[Callable[[str, str, str], None]] = []
        self.known: dict[str, bytes] = {}
        self.states: dict[str, str] = {}
        self.announced = 0
        self.missing: list[str] = []

    def state(self, name: str) -> str:
        return self.states.get(name, "alive")

    def set_state(self, name: str, new: str) -> None:
        old, self.states[name] = self.state(name), new
        for function in self.on_change:
            function(name, old, new)

    def announce(self, kind: str, body: bytes) -> None:
        self.announced += 1
        self.learn(self.node, kind, body)

    def unknown(self, kind: str) -> list[str]:
        return self.missing

    def facts(self, kind: str) -> dict[str, bytes]:
        return dict(self.known)

    def learn(self, name: str, kind: str, body: bytes) -> None:
        self.known[name] = body
        for function in self.on_fact:
            function(name, kind, body)

    def tell_all(self, kind: str, done: Callable[[int], None]) -> None:
        raise NotImplementedError

    def tell(self, kind: str, done: Callable[[int], None]) -> None:
        others = [facts for name, facts in self.world.facts.items() if name != self.node]
        for facts in others:
            if facts.node not in self.world.deaf:
                self.world.clock.call_soon(facts.learn, self.node, kind, self.known[self.node])
        if not self.world.deaf:
            self.world.clock.call_soon(done, len(others) + 1)


class World:
    """`size` nodes, n1 and so on."""

    def __init__(self, size: int) -> None:
        self.clock = HandClock()
        self.deaf: list[str] = []
        self.avoided: list[str] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        names = [f"n{number + 1}" for number in range(size)]
        self.messengers = {name: FakeMessenger(self, name) for name in names}
        self.facts = {name: FakeFacts(self, name) for name in names}
        self.topics = {name: self._make(name) for name in names}
        self.clock.advance()

    def _make(self, name: str) -> NodeTopics:
        topics = NodeTopics(
            name,
            f"{name}-1",
            self.clock,
            Random(7),
            cast(Any, self.messengers[name]),
            self.facts[name],
            self.avoided.__contains__,
            self._record,
        )
        topics.start()
        for facts in self.facts.values():  # as gossip does
            if facts.node != name:
                facts.learn(name, "topics", self.facts[name].known[name])
        return topics

    def _record(self, kind: str, cause: str, **fields: Any) -> None:
        self.events.append((kind, fields))

    def send(self, node: str, body: Body, link: FakeLink | None = None) -> FakeInbound:
        """A client's message to `node`, without letting anything else happen."""
        inbound = FakeInbound(body, link or FakeLink())
        try:
            self.messengers[node].handlers[type(body)](inbound)
        except ClusterError as error:  # as rpc does
            inbound.fail(error)
        return inbound

    def ask(self, node: str, body: Body, link: FakeLink | None = None) -> Any:
        """A client's request to `node` and its answer."""
        inbound = self.send(node, body, link)
        self.clock.advance()
        (answer,) = inbound.answers
        return answer

    def subscribe(
        self, node: str, pattern: str, link: FakeLink | None = None, number: int = 1, group: str = ""
    ) -> FakeLink:
        link = link or FakeLink()
        self.ask(node, Subscribe(number, pattern, group), link)
        return link

    def unsubscribe(self, node: str, link: FakeLink, number: int = 1) -> Any:
        return self.ask(node, Unsubscribe(number), link)

    def publish(self, node: str, subject: str, payload: bytes = b"x") -> int:
        answer = self.ask(node, Publish(subject, payload))
        assert isinstance(answer, Published), answer
        return answer.subscribers


def one_way(body: Body) -> bytes:
    """The bytes of a one-way frame."""
    return encode_frame(OneWay(body))
