"""A client of the HTTP gateway in virtual time."""

from cluster.simulation.fleet import SECRET
from cluster.wire.rights import gateway_password
from tests.gateways.dialling import SimulatedHttpClient
from tests.gateways.http.fake import encoded
from tests.gateways.sqs.requesting import Response

BEARER = f"Bearer {gateway_password(SECRET)}"


class SimulatedHttp(SimulatedHttpClient):
    """A client of one node's gateway."""

    gateway = "http"

    def send(self, method: str, target: str, body: bytes = b"", **headers: str) -> None:
        """Send a request."""
        self.write(encoded(method, target, body, authorization=BEARER, **headers))

    def ask(self, method: str, target: str, body: bytes = b"", **headers: str) -> Response | None:
        """A request and its response, None when the connection ended before."""
        self.send(method, target, body, **headers)
        return self.wait()
