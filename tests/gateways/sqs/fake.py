"""An SQS gateway whose node is played by the test."""

from cluster.gateways.sqs.gateway import SqsGateway, SqsSession
from cluster.wire.queues import QueueAck, QueueExtend, QueueReceive, QueueReturn, QueueSend
from tests.gateways import fakenode
from tests.gateways.fakenode import PASSWORD
from tests.gateways.sqs.requesting import Response, encoded


class FakeNode(fakenode.FakeNode):
    """A node with one gateway."""

    def __init__(self) -> None:
        super().__init__(SqsGateway, QueueSend, QueueReceive, QueueAck, QueueReturn, QueueExtend)


class FakeClient(fakenode.FakeLink):
    """A client of it."""

    session: SqsSession

    def send(self, action: str, body: object, **headers: str) -> None:
        """Send a signed request."""
        self.raw(encoded(action, body, PASSWORD, **headers))

    def ask(self, action: str, body: object, **headers: str) -> Response:
        """A request and its response."""
        self.send(action, body, **headers)
        return self.take()
