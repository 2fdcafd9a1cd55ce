"""A node that the test plays, with one gateway: each message is answered by a function, or kept."""

from collections.abc import Callable
from random import Random
from types import SimpleNamespace
from typing import Any

from cluster.chain.queue import Queue
from cluster.errors import ClusterError
from cluster.gateways.host import GatewayPorts
from cluster.gateways.listening import ListeningGateway
from cluster.gateways.session import GatewaySession
from cluster.ports import Inbound
from cluster.requests.registry import Registry
from cluster.wire.admin import AdminAnswer
from tests.gateways.sqs.requesting import Response

PASSWORD = "secret"


class FakeNode:
    """A node with one gateway, which `make` makes of what a node gives it. `bodies`: types of what it takes."""

    def __init__(self, make: Callable[[Any, GatewayPorts], ListeningGateway[Any]], *bodies: type) -> None:
        self.time = 5.0
        self.defined: dict[str, Queue] = {"jobs": Queue(1)}
        self.asked: list[Any] = []  # GatewayRequest, with a body of any type
        """What was asked of the node, and not answered by itself."""
        self.answers: dict[type, Callable[[Any], Any]] = {}
        """What answers a message at once, by its type."""
        self.admin_asked: list[tuple[str, dict[str, Any]]] = []
        self.admin_answer: Any = {}
        self.others: list[str] = []
        """The other live nodes."""
        self.sent: list[tuple[list[str], Any]] = []
        """What was asked of others."""
        self.heard: list[Callable[[str, Any], None]] = []
        """Takes what others answer."""
        self.events: list[str] = []
        self.flushes: list[Callable[[], None]] = []
        self.registry = Registry()
        host: Any = SimpleNamespace(
            node="n1", cluster="c", address="127.0.0.1", password=PASSWORD, random=Random(1),
            handlers=dict.fromkeys(bodies, self._handle), admin=self._admin, registry=self.registry,
            clock=SimpleNamespace(now=lambda: self.time, wall=lambda: 1e9),
            messenger=SimpleNamespace(at_flush=lambda function: self.flushes.append(function), request=self._request),
            addresses=SimpleNamespace(set=lambda name, at: None),
            view=SimpleNamespace(members=["n1", "n2", "n3"], entry=SimpleNamespace(n=3)),
            record=lambda kind, cause, **fields: self.events.append(kind),
            queues=lambda: self.defined, alive=lambda: ["n1", *self.others],
        )  # fmt: skip
        self.gateway = make(host, GatewayPorts(9))

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

    def _request(
        self, names: list[str], body: Any, deadline: float, heard: Callable[[str, Any], None], lane: int = 0
    ) -> None:
        self.sent.append((list(names), body))
        self.heard.append(heard)

    def flush(self) -> None:
        """The end of a pass."""
        flushes, self.flushes = self.flushes, []
        for function in flushes:
            function()


class FakeLink:
    """A connection to it, and the link behind it."""

    peer = ("127.0.0.1", 7)

    def __init__(self, node: FakeNode) -> None:
        self.node = node
        self.written = b""
        self.closed = self.aborted = self.paused = False
        session = node.gateway._accept(self.peer)
        assert isinstance(session, GatewaySession)
        self.session = session
        session.connected(self)

    def write(self, data: bytes | bytearray) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

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
