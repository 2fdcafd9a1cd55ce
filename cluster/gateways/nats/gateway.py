"""One node's NATS gateway: what it says of itself and of its peers, and whether its clients still live."""

from typing import TYPE_CHECKING, Any

import msgspec

from cluster.env import Address
from cluster.gateways.host import GatewayHost, GatewayPorts
from cluster.gateways.listening import ListeningGateway
from cluster.gateways.nats.monitor import Traffic
from cluster.gateways.nats.session import NatsSession
from cluster.limits import VALUE_BYTES_MAX

if TYPE_CHECKING:
    from cluster.env import Timer

VERSION = "2.10.0"
"""Of nats-server: clients ask for it to know which features there may be."""
PENDING_BYTES_MAX = 64 * 1024 * 1024
"""What may wait for one client that does not read fast enough, as in nats-server: bursts of its publishers are long."""
PENDING_ALL_BYTES_MAX = 4 * PENDING_BYTES_MAX
"""For all clients of the node of whom much waits."""
PING_S = 60.0
"""How often a client is asked whether it still lives; one that leaves two unanswered is cut off. nats-server: 120 s."""


class NatsGateway(ListeningGateway[NatsSession]):
    """See the module."""

    name = "nats"
    full = b"-ERR 'maximum connections exceeded'\r\n"
    version = VERSION

    def __init__(self, host: GatewayHost, ports: GatewayPorts) -> None:
        super().__init__(host, ports)
        self.traffic = Traffic()
        """Of the connections that are over."""
        self.slow = 0
        """How many of them did not read what they were sent."""
        self.behind: dict[NatsSession, None] = {}
        """Those for whom more waits than a client of another gateway may leave unread."""
        self._peers: dict[str, Address] = {}
        self._pinging: Timer | None = None

    def make_session(self, number: int, peer: Address) -> NatsSession:
        """A connection was accepted."""
        return NatsSession(self, number, peer)

    def start(self) -> None:
        """Listen, and say where. Raises OSError when a port is taken."""
        super().start()
        self.host.addresses.watch(self._look_at_peers)
        if self._pinging is None:
            self._pinging = self.host.clock.call_later(PING_S, self._ping)

    def stop(self) -> None:
        """Close everything."""
        super().stop()
        if self._pinging is not None:
            self._pinging.cancel()

    def has_room(self, session: NatsSession, waiting: int) -> bool:
        """Whether so many bytes may wait for a client: its share of what all those that are behind may have."""
        self.behind[session] = None
        return waiting <= min(PENDING_BYTES_MAX, PENDING_ALL_BYTES_MAX // len(self.behind))

    def info(self, session: NatsSession) -> bytes:
        """The INFO line for a connection."""
        host = self.host
        fields: dict[str, Any] = {
            "server_id": host.id,
            "server_name": host.node,
            "version": VERSION,
            "dsectl": host.cluster,
            "proto": 1,
            "host": host.address,
            "port": self.ports.port,
            "headers": True,
            "auth_required": True,
            "max_payload": VALUE_BYTES_MAX,
            "client_id": session.number,
            "client_ip": session.peer[0],
            "cluster": host.cluster,
            "connect_urls": [f"{at[0]}:{at[1]}" for at in self.peers().values()],
        }
        if self.draining:
            fields["ldm"] = True
        return b"INFO " + msgspec.json.encode(fields) + b"\r\n"

    def _look_at_peers(self) -> None:
        """A node came or went: clients that take such news are sent where the others are."""
        peers = self.peers()
        if peers == self._peers or self.draining:
            return
        self._peers = peers
        for session in self.sessions:
            if session.proven and session.options.protocol >= 1:
                session.send_info()
                self.mark(session)

    def _ping(self) -> None:
        for session in list(self.sessions):
            if session.proven:
                session.ping()
        self._pinging = self.host.clock.call_later(PING_S, self._ping)
