"""A client of the SQS gateway in virtual time."""

from typing import Any

from cluster.simulation.fleet import SECRET
from cluster.wire.rights import gateway_password
from tests.gateways.dialling import SimulatedHttpClient
from tests.gateways.sqs.requesting import HOST, encoded

PASSWORD = gateway_password(SECRET)
URL = f"http://{HOST}/000000000000"


class SimulatedSqs(SimulatedHttpClient):
    """A client of one node's gateway."""

    gateway = "sqs"

    def send(self, action: str, **body: Any) -> None:
        """Send a request."""
        self.write(encoded(action, body, PASSWORD))

    def take(self, timeout: float = 30.0) -> Any:
        """The body of the response, None when the connection ended before; an error is its code."""
        response = self.wait(timeout)
        if response is None:
            return None
        return response.json if response.status == 200 else response.error

    def ask(self, action: str, **body: Any) -> Any:
        """A request and what comes of it."""
        self.send(action, **body)
        return self.take()
