"""An SQS gateway whose node is played by the test: each message for a queue is answered by a function, or kept."""

from collections.abc import Callable
from random import Random
from types import SimpleNamespace
from typing import Any

from cluster.chain.queue import Queue
from cluster.errors import ClusterError
from cluster.gateways.host import GatewayPorts
from cluster.gateways.sqs.gateway import SqsGateway, SqsSession
from cluster.ports import Inbound
from cluster.wire.admin import AdminAnswer
from cluster.wire.queues import QueueAck, QueueExtend, QueueReceive, QueueReturn, QueueSend
from tests.gateways.sqs.requesting import Response, encoded

PASSWORD = "secret"


class FakeNode:
    """A node with one gateway."""

    def __init__(self) -> None:
        self.defined: dict[str, Queue] = {"jobs": Queue(1)}
        self.asked: list[Any] = []  # GatewayRequest, with a body of any type
        """What was asked of the node, and not answered by itself."""
        self.answers: dict[type, Callable[[Any], Any]] = {}
        """What answers a message at once, by its type."""
        self.admin_asked: list[tuple[str, dict[str, Any]]] = []
        self.admin_answer: Any = {}
        self.others: list[str] = []
        """The other live nodes."""
        self.heard: list[Callable[[str, Any], None]] = []
        """Takes what others answer."""
        self.events: list[str] = []
        self.flushes: list[Callable[[], None]] = []
        handlers = dict.fromkeys((QueueSend, QueueReceive, QueueAck, QueueReturn, QueueExtend), self._handle)
        host: Any = SimpleNamespace(
            node="n1", address="127.0.0.1", password=PASSWORD, random=Random(1), handlers=handlers, admin=self._admin,
            clock=SimpleNamespace(now=lambda: 5.0, wall=lambda: 1e9),
            messenger=SimpleNamespace(
                at_flush=lambda function: self.flushes.append(function),
                request=lambda names, body, deadline, heard, lane: self.heard.append(heard),
            ),
            record=lambda kind, cause, **fields: self.events.append(kind),
            queues=lambda: self.defined, alive=lambda: ["n1", *self.others],
        )  # fmt: skip
        self.gateway = SqsGateway(host, GatewayPorts(9))

    def _handle(self, inbound: Any) -> None:
        answer = self.answers.get(type(inbound.body))
        if answer is None:
            self.asked.append(inbound)
        else:
            inbound.then(answer(inbound.body))

    def _admin(self, inbound: Inbound) -> None:
        self.admin_asked.append((inbound.body.what, inbound.body.arguments))
        answer = self.admin_answer
        if isinstance(answer, ClusterError):
            inbound.fail(answer)
        else:
            inbound.reply(AdminAnswer(answer))

    def flush(self) -> None:
        """The end of a pass."""
        flushes, self.flushes = self.flushes, []
        for function in flushes:
            function()


class FakeClient:
    """A connection to it, and the link behind it."""

    peer = ("127.0.0.1", 7)

    def __init__(self, node: FakeNode) -> None:
        self.node = node
        self.written = b""
        self.closed = self.paused = False
        session = node.gateway._accept(self.peer)
        assert isinstance(session, SqsSession)
        self.session = session
        session.connected(self)

    def write(self, data: bytes | bytearray) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def send(self, action: str, body: object, **headers: str) -> None:
        """Send a signed request."""
        self.raw(encoded(action, body, PASSWORD, **headers))

    def raw(self, data: bytes) -> None:
        """Send bytes."""
        self.session.received(data)

    def take(self) -> Response:
        """The one response that has come."""
        self.node.flush()
        response = Response()
        response.feed(self.written)
        assert response.whole, self.written
        self.written = b""
        return response

    def ask(self, action: str, body: object, **headers: str) -> Response:
        """A request and its response."""
        self.send(action, body, **headers)
        return self.take()
