"""What the gateways of all protocols do alike: listen, bound their connections, check the password, drain.

Limits come before the password: connections that have not given it have places of their own, one more ends the oldest
of them, and a full house is said before anything is read. While the node drains it accepts nobody, and lets go of each
connection as soon as nothing is under way on it; who listens to a topic is told by the end of the connection, too.
"""

from collections.abc import Callable
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from cluster.env import Address, Link, LinkHandler, StreamListener
from cluster.errors import ClusterError, QuorumMissing
from cluster.gateways.host import GatewayHost, GatewayPorts
from cluster.gateways.session import GatewayRequest, GatewaySession
from cluster.ports import Outcome
from cluster.wire.admin import AdminAnswer, AdminQuery
from cluster.wire.kv import Keys, KeysFound, first_keys

if TYPE_CHECKING:
    from msgspec import Struct

S = TypeVar("S", bound=GatewaySession)

CLIENTS_MAX = 1024
UNPROVEN_MAX = 64
"""Connections that have not given the password. One more ends the oldest: a program needs a moment for it, a person at
a keyboard some places."""
OPERATION_S = 5.0
"""What an operation is given at most; the coordinator has a limit of its own, which is shorter."""
DEFINE_S = 10.0
"""For a majority to decide a definition, and all live members to take it over."""
PAGE_S = 2.0
"""For one page of keys of all nodes."""


class ListeningGateway(Generic[S]):
    """See the module. A protocol says its `name`, what a connection for which there is no place is sent, and makes the
    sessions."""

    name: ClassVar[str]
    full: bytes

    def __init__(self, host: GatewayHost, ports: GatewayPorts) -> None:
        self.host = host
        self.ports = ports
        self.sessions: dict[S, None] = {}
        self.served = 0
        """Connections since the boot."""
        self.draining = False
        self.began = host.clock.now()
        self._numbers = 0
        self._prefix = host.random.randbytes(9).hex()
        self._operations = 0
        self._unproven: dict[S, None] = {}
        self._dirty: dict[S, None] = {}
        self._listeners: list[StreamListener] = []

    def make_session(self, number: int, peer: Address) -> S:
        """A connection was accepted."""
        raise NotImplementedError

    # -- life

    def start(self) -> None:
        """Listen, and say where. Raises OSError when a port is taken."""
        if self.draining:
            return
        host, ports = self.host, self.ports
        self._listeners.append(host.network.listen((host.address, ports.port), self._accept))
        if ports.shared:
            self._listeners.append(host.network.listen((host.address, ports.shared), self._accept, shared=True))
        host.addresses.set(self.name, (host.address, ports.port))

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
        self.host.addresses.set(self.name, None)
        for session in list(self.sessions):
            session.drain()

    def status(self) -> dict[str, int]:
        """Its ports, how many clients it has, and for how many more there are places."""
        places = CLIENTS_MAX - self._proven_count
        ports = self.ports
        return {"port": ports.port, "shared": ports.shared, "clients": len(self.sessions), "places": max(0, places)}

    @property
    def _proven_count(self) -> int:
        return len(self.sessions) - len(self._unproven)

    @property
    def in_flight(self) -> int:
        """Connections on which something is under way."""
        return sum(not session.idle for session in self.sessions)

    # -- connections

    def _accept(self, peer: Address) -> LinkHandler | None:
        if self._proven_count >= CLIENTS_MAX:
            return _Turned(self.full)
        if len(self._unproven) >= UNPROVEN_MAX:
            next(iter(self._unproven)).abort()
        self.served += 1
        self._numbers += 1
        session = self.make_session(self._numbers, peer)
        self.sessions[session] = self._unproven[session] = None
        return session

    def check_password(self, password: bytes) -> bool:
        """Whether it is the one that `dsectl env` prints."""
        return compare_digest(password, self.host.password.encode())

    def proven(self, session: S) -> None:
        """It has given the password."""
        self._unproven.pop(session, None)

    def unproven(self, session: S) -> None:
        """It has to give the password again."""
        self._unproven[session] = None

    def ended(self, session: S) -> None:
        """It is over."""
        self.sessions.pop(session, None)
        self._unproven.pop(session, None)

    def mark(self, session: S) -> None:
        """It has something to write at the end of this pass, or to begin."""
        if not self._dirty:
            self.host.messenger.at_flush(self._flush)
        self._dirty[session] = None

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, {}
        for session in dirty:
            session.work()
            if self.draining and session.idle:
                session.close()
                session.work()

    # -- operations

    def operation_id(self) -> str:
        """Different for any two writes, and changes of definitions."""
        self._operations += 1
        return f"{self._prefix}-{self._operations}"

    def ask(
        self,
        session: S,
        body: "Struct",
        then: Callable[[Any], None],
        limit_s: float = OPERATION_S,
        trace: str = "",
        on_part: Callable[[bytes], None] | None = None,
    ) -> GatewayRequest:
        """Have this node carry out `body`; `then` gets the answer or the error, once. `trace`: a W3C traceparent.
        `on_part` takes what comes of the answer before it, see `GatewayRequest`."""
        now = self.host.clock.now()
        request = GatewayRequest(session, body, now, now + limit_s, then, trace)
        request.on_part = on_part
        try:
            self.host.handlers[type(body)](request)
        except ClusterError as error:
            then(error)
        return request

    def ask_node(
        self, session: S, what: str, arguments: dict[str, Any], then: Callable[[Any], None], limit_s: float = DEFINE_S
    ) -> None:
        """Have this node answer an admin query: `then` gets what it says, or the error."""

        def answered(outcome: Outcome) -> None:
            then(outcome.value if isinstance(outcome, AdminAnswer) else outcome)

        now = self.host.clock.now()
        request = GatewayRequest(session, AdminQuery(what, arguments), now, now + limit_s, answered)
        try:
            self.host.admin(request)
        except ClusterError as error:
            then(error)

    def list_keys(self, session: S, body: Keys, then: Callable[[KeysFound | ClusterError], None]) -> None:
        """A page of keys out of those of all live nodes, in order; without enough of them an error."""
        host = self.host
        alive = host.alive()
        waiting = dict.fromkeys(alive)
        pages: list[KeysFound] = []

        def answered(name: str, outcome: object) -> None:
            del waiting[name]
            if isinstance(outcome, KeysFound):
                pages.append(outcome)
            if waiting:
                return
            silent = len(host.view.members) - len(pages)
            if silent >= host.view.entry.n:
                then(QuorumMissing(f"{silent} nodes do not answer: keys may be missing"))
            else:
                then(first_keys(pages, body.limit))

        others = [name for name in alive if name != host.node]
        if others:
            host.messenger.request(others, body, host.clock.now() + PAGE_S, answered)
        self.ask(session, body, lambda outcome: answered(host.node, outcome), PAGE_S)

    def peers(self) -> dict[str, Address]:
        """Where this gateway listens at all live members, by node."""
        return self.host.addresses.peers(self.name)


class _Turned:
    """A connection for which there is no place."""

    def __init__(self, full: bytes) -> None:
        self._full = full

    def connected(self, link: Link) -> None:
        """Say so."""
        link.write(self._full)
        link.close()

    def received(self, data: bytes) -> None:
        """Not read."""

    def lost(self, reason: str) -> None:
        """Over."""

    def pause(self) -> None:
        """Nothing more is written."""

    def resume(self) -> None:
        """Nothing more is written."""
