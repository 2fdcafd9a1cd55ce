"""An HTTP gateway whose node is played by the test."""

from base64 import b64encode

from cluster.gateways.http.gateway import HttpGateway
from cluster.wire.kv import Get, Keys, Put, Update
from cluster.wire.queues import QueueAck, QueueExtend, QueueReceive, QueueReturn, QueueSend
from cluster.wire.requests import Call
from tests.gateways import fakenode
from tests.gateways.fakenode import PASSWORD
from tests.gateways.sqs.requesting import Response

BEARER = f"Bearer {PASSWORD}"
BASIC = "Basic " + b64encode(f"me:{PASSWORD}".encode()).decode()


def encoded(method: str, target: str, body: bytes = b"", **headers: str) -> bytes:
    """A request as it is sent, with the password unless it has another; underscores of names are hyphens."""
    given = {"host": "127.0.0.1:9", "authorization": BEARER, **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in given.items()]
    return "\r\n".join([f"{method} {target} HTTP/1.1", *lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


class FakeNode(fakenode.FakeNode):
    """A node with one gateway."""

    gateway: HttpGateway

    def __init__(self) -> None:
        queues = (QueueSend, QueueReceive, QueueAck, QueueReturn, QueueExtend)
        super().__init__(HttpGateway, Call, Get, Keys, Put, Update, *queues)


class FakeClient(fakenode.FakeLink):
    """A client of it."""

    def send(self, method: str, target: str, body: bytes = b"", **headers: str) -> None:
        """Send a request."""
        self.raw(encoded(method, target, body, **headers))

    def ask(self, method: str, target: str, body: bytes = b"", **headers: str) -> Response:
        """A request and its response."""
        self.send(method, target, body, **headers)
        return self.take()
