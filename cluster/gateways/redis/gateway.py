"""One node's Redis gateway: its listeners, its connections and their limits, the password, and where its peers listen.

Limits come before the password: connections that have not given it have places of their own, one more ends the oldest
of them, and a full house is said before anything is read. While the node drains it accepts nobody, and lets go of each
connection as soon as nothing is under way on it; who listens to a topic is told by the end of the connection, too.
"""

from collections.abc import Callable
from hmac import compare_digest
from typing import TYPE_CHECKING, Any

import msgspec

from cluster.env import Address, LinkHandler, StreamListener
from cluster.errors import BadMessage, ClusterError
from cluster.gateways.host import FACT, GatewayHost, GatewayPorts
from cluster.gateways.redis.commands import COMMANDS, CONTAINERS, REFUSED
from cluster.gateways.redis.resp import ErrorReply
from cluster.gateways.redis.session import GatewayRequest, RedisSession
from cluster.gateways.redis.table import RedisCommand

if TYPE_CHECKING:
    from msgspec import Struct

NAME = "redis"
CLIENTS_MAX = 1024
UNPROVEN_MAX = 64
"""Connections that have not given the password. One more ends the oldest: a program needs a moment for it, a person at
a keyboard some places."""
OPERATION_S = 5.0
"""What an operation is given at most; the coordinator has a limit of its own, which is shorter."""
FULL = b"-ERR max number of clients reached\r\n"

_encode_fact = msgspec.msgpack.Encoder().encode
_decode_fact = msgspec.msgpack.Decoder(dict[str, tuple[str, int]]).decode


class RedisGateway:
    """See the module."""

    def __init__(self, host: GatewayHost, ports: GatewayPorts) -> None:
        self.host = host
        self.ports = ports
        self.commands: dict[bytes, RedisCommand] = {
            spelling: command
            for command in COMMANDS.values()
            if "|" not in command.name and command.name not in CONTAINERS
            for spelling in (command.name.encode(), command.name.upper().encode())
        }
        """As they are mostly spelt; `find` has the others."""
        self.sessions: dict[RedisSession, None] = {}
        self.cursors: dict[int, str] = {}
        """Where a SCAN goes on, by the number that its client was given."""
        self.served = 0
        """Connections since the boot, or since CONFIG RESETSTAT."""
        self.carried_out = 0
        """Commands, likewise."""
        self.draining = False
        self.began = host.clock.now()
        self.offered = COMMANDS
        self._prefix = host.random.randbytes(9).hex()
        self._operations = self._numbers = 0
        self._unproven: dict[RedisSession, None] = {}
        self._dirty: dict[RedisSession, None] = {}
        self._listeners: list[StreamListener] = []

    # -- life

    def start(self) -> None:
        """Listen, and say where. Raises OSError when a port is taken."""
        if self.draining:
            return
        host, ports = self.host, self.ports
        self._listeners.append(host.network.listen((host.address, ports.port), self._accept))
        if ports.shared:
            self._listeners.append(host.network.listen((host.address, ports.shared), self._accept, shared=True))
        host.facts.announce(FACT, _encode_fact({NAME: (host.address, ports.port)}))

    def stop(self) -> None:
        """Close everything."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for session in list(self.sessions):
            session.abort()

    def drain(self, draining: bool) -> None:
        """Let go of the clients, or take some again."""
        if draining == self.draining:
            return
        self.draining = draining
        if not draining:
            self.start()
            return
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        self.host.facts.announce(FACT, _encode_fact({}))
        for session in list(self.sessions):
            self.mark(session)

    def status(self) -> dict[str, int]:
        """Its ports, and how many clients it has."""
        return {"port": self.ports.port, "shared": self.ports.shared, "clients": len(self.sessions)}

    @property
    def in_flight(self) -> int:
        """Connections on which something is under way."""
        return sum(not session.idle for session in self.sessions)

    # -- connections

    def _accept(self, peer: Address) -> LinkHandler | None:
        if len(self.sessions) - len(self._unproven) >= CLIENTS_MAX:
            return _Turned()
        if len(self._unproven) >= UNPROVEN_MAX:
            next(iter(self._unproven)).abort()
        self.served += 1
        self._numbers += 1
        session = RedisSession(self, self._numbers, peer)
        self.sessions[session] = self._unproven[session] = None
        return session

    def check_password(self, password: bytes) -> bool:
        """Whether it is the one that `dsectl env` prints."""
        return compare_digest(password, self.host.password.encode())

    def proven(self, session: RedisSession) -> None:
        """It has given the password."""
        self._unproven.pop(session, None)

    def unproven(self, session: RedisSession) -> None:
        """It has to give the password again."""
        self._unproven[session] = None

    def ended(self, session: RedisSession) -> None:
        """It is over."""
        self.sessions.pop(session, None)
        self._unproven.pop(session, None)

    def mark(self, session: RedisSession) -> None:
        """It has something to write at the end of this pass, or to begin."""
        if not self._dirty:
            self.host.messenger.at_flush(self._flush)
        self._dirty[session] = None

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, {}
        for session in dirty:
            session.flush()
            if self.draining and session.idle:
                session.close()
                session.flush()

    # -- operations

    def operation_id(self) -> str:
        """Different for any two writes."""
        self._operations += 1
        return f"{self._prefix}-{self._operations}"

    def ask(
        self, session: RedisSession, body: "Struct", then: Callable[[Any], None], limit_s: float = OPERATION_S
    ) -> None:
        """Have this node carry out `body`; `then` gets the answer or the error, once."""
        now = self.host.clock.now()
        request = GatewayRequest(session, body, now, now + limit_s, then)
        try:
            self.host.handlers[type(body)](request)
        except ClusterError as error:
            then(error)

    def peers(self) -> dict[str, Address]:
        """Where the Redis gateways of all live members listen, by node."""
        alive, found = self.host.alive(), dict[str, Address]()
        for name, body in sorted(self.host.facts.facts(FACT).items()):
            if name in alive and body:
                try:
                    at = _decode_fact(body).get(NAME)
                except msgspec.DecodeError as error:
                    raise BadMessage(f"{name} does not say where its gateways are: {error}") from None
                if at is not None:
                    found[name] = at
        return found

    # -- commands

    def find(self, words: list[bytes]) -> RedisCommand | None:
        """The command, or subcommand, that a request means, however it is spelt."""
        name = words[0].decode(errors="replace").lower()
        if name in CONTAINERS:
            if len(words) < 2:
                return COMMANDS.get(name)
            name = f"{name}|{words[1].decode(errors='replace').lower()}"
        return COMMANDS.get(name)

    def unknown(self, words: list[bytes]) -> ErrorReply:
        """Why a request that is none of the table's is refused."""
        name = words[0].decode(errors="backslashreplace")[:128]
        reason = REFUSED.get(name.lower())
        if reason is not None:
            return ErrorReply(f"ERR {name.upper()} is not offered here: {reason}")
        if name.lower() in CONTAINERS:
            if len(words) < 2:
                return ErrorReply(f"ERR wrong number of arguments for '{name.lower()}' command")
            what = words[1].decode(errors="backslashreplace")[:128]
            reason = REFUSED.get(f"{name.lower()}|{what.lower()}")
            if reason is not None:
                return ErrorReply(f"ERR {name.upper()} {what.upper()} is not offered here: {reason}")
            return ErrorReply(f"ERR unknown subcommand '{what}' of {name.upper()}")
        some = " ".join(repr(word[:32].decode(errors="backslashreplace")) for word in words[1:4])
        return ErrorReply(f"ERR unknown command '{name}', with args beginning with: {some}")


class _Turned:
    """A connection for which there is no place."""

    def connected(self, link: Any) -> None:
        """Say so."""
        link.write(FULL)
        link.close()

    def received(self, data: bytes) -> None:
        """Not read."""

    def lost(self, reason: str) -> None:
        """Over."""

    def pause(self) -> None:
        """Nothing more is written."""

    def resume(self) -> None:
        """Nothing more is written."""
