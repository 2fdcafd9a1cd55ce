"""What nats-server says of itself at `/varz`, `/connz` and `/healthz`, at the subjects `$SYS.REQ.SERVER.PING.VARZ`, ….

Of the node that is asked, which is the only one to answer. There is no port for HTTP: these subjects are how the tools
of NATS ask, too.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from cluster.limits import VALUE_BYTES_MAX

if TYPE_CHECKING:
    from cluster.gateways.nats.gateway import NatsGateway
    from cluster.gateways.nats.session import NatsSession

SYSTEM = "$SYS.REQ.SERVER."
CONNECTIONS_MAX = 1024


@dataclass(slots=True)
class Traffic:
    """Messages from clients and to them, with the bytes of their headers and payloads."""

    in_msgs: int = 0
    in_bytes: int = 0
    out_msgs: int = 0
    out_bytes: int = 0

    def add(self, other: "Traffic") -> None:
        """All of them together."""
        self.in_msgs += other.in_msgs
        self.in_bytes += other.in_bytes
        self.out_msgs += other.out_msgs
        self.out_bytes += other.out_bytes

    def fields(self) -> dict[str, int]:
        """As NATS names them."""
        return {
            "in_msgs": self.in_msgs,
            "in_bytes": self.in_bytes,
            "out_msgs": self.out_msgs,
            "out_bytes": self.out_bytes,
        }


def answer(gateway: "NatsGateway", subject: str) -> bytes | None:
    """The JSON that a request below `$SYS.REQ.SERVER.` gets; None for what is not offered, or of another node."""
    server, _, what = subject.removeprefix(SYSTEM).rpartition(".")
    host = gateway.host
    asked = {"VARZ": varz, "CONNZ": connz, "HEALTHZ": healthz}.get(what)
    if asked is None or server not in ("PING", host.id, host.node):
        return None
    about = {"name": host.node, "host": host.address, "id": host.id, "ver": gateway.version, "cluster": host.cluster}
    return msgspec.json.encode({"server": about, "data": asked(gateway)})


def varz(gateway: "NatsGateway") -> dict[str, Any]:
    """The node, and all that its clients have done since it booted."""
    host, traffic = gateway.host, Traffic()
    traffic.add(gateway.traffic)
    for session in gateway.sessions:
        traffic.add(session.traffic)
    return {
        "server_id": host.id,
        "server_name": host.node,
        "version": gateway.version,
        "host": host.address,
        "port": gateway.ports.port,
        "auth_required": True,
        "max_payload": VALUE_BYTES_MAX,
        "uptime": f"{int(host.clock.now() - gateway.began)}s",
        "connections": len(gateway.sessions),
        "total_connections": gateway.served,
        "subscriptions": sum(len(session.subscriptions) for session in gateway.sessions),
        "slow_consumers": gateway.slow,
        "lame_duck_mode": gateway.draining,
        "cluster": {"name": host.cluster, "urls": [f"{at[0]}:{at[1]}" for at in gateway.peers().values()]},
        **traffic.fields(),
    }


def connz(gateway: "NatsGateway") -> dict[str, Any]:
    """The connections of the node."""
    sessions = list(gateway.sessions)[:CONNECTIONS_MAX]
    return {
        "server_id": gateway.host.id,
        "num_connections": len(sessions),
        "total": len(gateway.sessions),
        "connections": [_connection(session) for session in sessions],
    }


def healthz(gateway: "NatsGateway") -> dict[str, Any]:
    """Whether clients should come here."""
    return {"status": "unavailable" if gateway.draining else "ok"}


def _connection(session: "NatsSession") -> dict[str, Any]:
    return {
        "cid": session.number,
        "ip": session.peer[0],
        "port": session.peer[1],
        "name": session.options.name or "",
        "lang": session.options.lang or "",
        "version": session.options.version or "",
        "subscriptions": len(session.subscriptions),
        **session.traffic.fields(),
    }
