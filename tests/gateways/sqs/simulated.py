"""A client of the SQS gateway in virtual time."""

from typing import Any

from cluster.env import Link
from cluster.simulation.fleet import GATEWAY_PORT, SECRET, Fleet
from cluster.wire.rights import gateway_password
from tests.gateways.sqs.requesting import HOST, Response, encoded

PASSWORD = gateway_password(SECRET)
URL = f"http://{HOST}/000000000000"


class SimulatedSqs:
    """A connection to one node's gateway, dialled again when it has ended; one request at a time."""

    def __init__(self, fleet: Fleet, node: str, *, name: str) -> None:
        self.fleet = fleet
        self.node = node
        self._env = fleet.world.env(name)
        self._link: Link | None = None
        self.ended = True
        self.response = Response()

    def connected(self, link: Link) -> None:
        self._link = link

    def received(self, data: bytes) -> None:
        self.response.feed(data)

    def lost(self, reason: str) -> None:
        self.ended, self._link = True, None

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def send(self, action: str, **body: Any) -> None:
        """Send a request, on a new connection if there is none."""
        if self.ended:
            self.ended = False
            host = self.fleet.nodes[self.node].member.host
            at = (host, GATEWAY_PORT + list(self.fleet.gateways).index("sqs"))
            self._env.clock.call_soon(lambda: self._env.network.dial(at, self, timeout=1.0))
            self.fleet.until(lambda: self.ended or self._link is not None)
        if not self.ended:
            link = self._link
            assert link is not None
            self.response = Response()
            self._env.clock.call_soon(link.write, encoded(action, body, PASSWORD))

    def take(self, timeout: float = 30.0) -> Any:
        """The body of the response, None when the connection ended before; an error is its code."""
        self.fleet.until(lambda: self.ended or self.response.whole, timeout)
        if not self.response.whole:
            return None
        return self.response.json if self.response.status == 200 else self.response.error

    def ask(self, action: str, **body: Any) -> Any:
        """A request and what comes of it."""
        self.send(action, **body)
        return self.take()
