"""A client of an HTTP gateway in virtual time."""

from cluster.env import Link
from cluster.simulation.fleet import GATEWAY_PORT, Fleet
from tests.gateways.sqs.requesting import Response


class SimulatedHttpClient:
    """A connection to one node's gateway, dialled again when it has ended; one request at a time."""

    gateway: str

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

    def write(self, data: bytes) -> None:
        """Send a request, on a new connection if there is none."""
        if self.ended:
            self.ended = False
            host = self.fleet.nodes[self.node].member.host
            at = (host, GATEWAY_PORT + list(self.fleet.gateways).index(self.gateway))
            self._env.clock.call_soon(lambda: self._env.network.dial(at, self, timeout=1.0))
            self.fleet.until(lambda: self.ended or self._link is not None)
        if not self.ended:
            link = self._link
            assert link is not None
            self.response = Response()
            self._env.clock.call_soon(link.write, data)

    def wait(self, timeout: float = 30.0) -> Response | None:
        """The response, None when the connection ended before."""
        self.fleet.until(lambda: self.ended or self.response.whole, timeout)
        return self.response if self.response.whole else None
