"""A NATS client in virtual time: what it sends, and the lines read back."""

from typing import NamedTuple

import msgspec

from cluster.env import Link
from cluster.gateways.nats.protocol import parse_headers
from cluster.simulation.fleet import GATEWAY_PORT, SECRET, Fleet
from cluster.wire.rights import gateway_password

PASSWORD = gateway_password(SECRET)


class Delivered(NamedTuple):
    """A MSG or HMSG."""

    subject: str
    sid: str
    reply: str
    payload: bytes
    headers: dict[str, str]
    status: str


class SimulatedNats:
    """A connection to one node's gateway."""

    def __init__(self, fleet: Fleet, node: str, *, name: str = "nats", prove: bool = True, **options: object) -> None:
        self.fleet = fleet
        self.link: Link | None = None
        self.ended = ""
        self.infos: list[dict[str, object]] = []
        self.lines: list[str] = []
        """What came that is neither INFO nor a message."""
        self.messages: list[Delivered] = []
        self._data = b""
        host = fleet.nodes[node].member.host
        self._env = env = fleet.world.env(name)
        env.clock.call_soon(lambda: env.network.dial((host, GATEWAY_PORT), self, timeout=5.0))
        fleet.until(lambda: bool(self.infos) or bool(self.ended))
        if prove:
            self.connect(auth_token=PASSWORD, **options)
            self.flush()

    def connect(self, **options: object) -> None:
        """CONNECT."""
        given = {"headers": True, "no_responders": True, "protocol": 1, **options}
        self.raw(b"CONNECT " + msgspec.json.encode(given) + b"\r\n")

    def publish(self, subject: str, payload: bytes = b"x", reply: str = "", headers: bytes = b"") -> None:
        """PUB or HPUB."""
        if headers:
            size = len(headers)
            line = f"HPUB {subject} {reply} {size} {size + len(payload)}\r\n".encode()
        else:
            line = f"PUB {subject} {reply} {len(payload)}\r\n".encode()
        self.raw(line + headers + payload + b"\r\n")

    def raw(self, data: bytes) -> None:
        """Send bytes."""
        assert self.link is not None
        self._env.clock.call_soon(self.link.write, data)

    def flush(self) -> None:
        """PING, and wait for its PONG: all before is done."""
        before = self.lines.count("PONG")
        self.raw(b"PING\r\n")
        self.fleet.until(lambda: self.lines.count("PONG") > before or bool(self.ended))

    def take(self, count: int = 1) -> list[Delivered]:
        """The next messages."""
        self.fleet.until(lambda: len(self.messages) >= count)
        taken, self.messages = self.messages[:count], self.messages[count:]
        return taken

    def closed(self) -> str:
        """How the node ended it."""
        self.fleet.until(lambda: bool(self.ended))
        return self.ended

    # -- LinkHandler

    def connected(self, link: Link) -> None:
        self.link = link

    def received(self, data: bytes) -> None:
        self._data += data
        while True:
            line, found, rest = self._data.partition(b"\r\n")
            if not found:
                return
            words = line.decode().split(" ")
            if words[0] in ("MSG", "HMSG"):
                size, headed = int(words[-1]), words[0] == "HMSG"
                if len(rest) < size + 2:
                    return
                head = int(words[-2]) if headed else 0
                block, payload, rest = rest[:head], rest[head:size], rest[size + 2 :]
                names = words[1 : -2 if headed else -1]
                status = block.split(b"\r\n")[0].removeprefix(b"NATS/1.0").decode().strip()
                headers = parse_headers(block) if block else {}
                self.messages.append(
                    Delivered(names[0], names[1], names[2] if len(names) > 2 else "", payload, headers, status)
                )
            elif words[0] == "INFO":
                self.infos.append(msgspec.json.decode(line[5:]))
            else:
                self.lines.append(line.decode())
            self._data = rest

    def lost(self, reason: str) -> None:
        self.ended = reason

    def pause(self) -> None: ...

    def resume(self) -> None: ...
