"""Byte streams to nodes by name and from whoever connects: dialled lanes, accepted connections, and their limits.

A refusal or a reset across a partition stays unseen, as on a network: `on_end` says so. Peers have places of their own:
neither many clients nor many connections that prove nothing can keep them out.
"""

from collections.abc import Callable

from msgspec import Struct

from cluster.config import TransportSettings
from cluster.env import Address, Env, OutputTick, StreamListener
from cluster.faults import FaultBook
from cluster.ports import Recorder
from cluster.transport.connection import Connection, LocalEnd, Outbox
from cluster.transport.lane import IDLE, Backoff, Lane
from cluster.wire.handshake import LANE_CONTROL, LANE_FOREGROUND, Party
from cluster.wire.rights import ROLE_CLIENT, ROLE_NODE

UNPROVEN_MAX = 256
"""Accepted streams whose handshake is under way. One more ends the oldest of them: an honest one needs a few
milliseconds, so whoever floods this ends its own."""


class Transport:
    """One node's streams."""

    def __init__(
        self,
        env: Env,
        tick: OutputTick,
        me: Party,
        secret: bytes,
        settings: TransportSettings,
        faults: FaultBook,
        record: Recorder,
    ) -> None:
        self.env = env
        self.me = me
        self.settings = settings
        self.faults = faults
        self.record = record
        self.outbox = Outbox(tick, env.clock.now)
        self.addresses: dict[str, Address] = {}
        """Of the members."""
        self.others: dict[str, Address] = {}
        """Of nodes that are no members, and that may be dialled all the same."""
        self.on_end: list[Callable[[Connection, str, bool], None]] = []
        """(connection, reason, hidden): a dialled connection ended, or could not be made. Hidden: nobody can know."""
        self.on_lost: list[Callable[[str, str], None]] = []
        """(peer, reason), of those that are not hidden, and that this node did not let go."""
        self.on_contact: list[Callable[[str], None]] = []
        """(peer): a handshake with it succeeded."""
        self.on_client: list[Callable[[Connection], None]] = []
        """A client has proven itself on this connection."""
        self.admit: Callable[[Party], str] = lambda party: ""
        """Why a party may not connect; empty: it may."""
        self._end = LocalEnd(env, me, secret, settings, faults, record, self.outbox, self._admit)
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._backoffs: dict[str, Backoff] = {}
        self._watched: dict[str, None] = {}
        self._unproven: dict[Connection, None] = {}
        self._accepted: dict[Connection, None] = {}
        self._clients = 0
        self._listener: StreamListener | None = None

    # -- life

    def start(self, at: Address) -> None:
        """Listen. Raises OSError when the port is taken."""
        self._listener = self.env.network.listen(at, self._accept)

    def stop(self) -> None:
        """Close everything."""
        if self._listener is not None:
            self._listener.close()
        self._watched.clear()
        for connection in self._connections():
            connection.close()

    def receive(self, receiver: Callable[[Connection], Callable[[bytes], None]]) -> None:
        """`receiver(connection)` is called for each proven connection, and gives who takes its bytes."""
        self._end.receiver = receiver

    # -- lanes

    def connection(self, peer: str, lane: int) -> Connection | None:
        """The connection to send on, perhaps still being dialled; None while the peer is not to be dialled."""
        found = self._lanes.get((peer, lane)) or self._lane(peer, lane)
        return found.connection or found.ready()

    def clients(self) -> list[Connection]:
        """The connections of clients."""
        return [one for one in self._accepted if one.peer is not None and one.peer.role == ROLE_CLIENT]

    def push_clients(self, body: Struct) -> None:
        """Send one way to every client that is connected."""
        for connection in self.clients():
            connection.push(body)

    def watch(self, peer: str) -> None:
        """Hold an idle control connection open: its end tells of a death at once."""
        self._watched[peer] = None
        self._lane(peer, LANE_CONTROL).ready()

    def unwatch(self, peer: str) -> None:
        """Let go of a watched connection."""
        self._watched.pop(peer, None)

    def redial(self, peer: str) -> None:
        """The peer runs: what was refused before it listened is no reason to wait."""
        backoff = self._backoffs.get(peer)
        if backoff is not None:
            backoff.reset()

    def faults_changed(self) -> None:
        """The fault book was reloaded: move what was held, and forget backoffs that a partition caused."""
        for connection in self._connections():
            connection.faults_changed()
        for backoff in self._backoffs.values():
            backoff.reset()

    # -- inside

    def _lane(self, peer: str, lane: int) -> Lane:
        found = self._lanes.get((peer, lane))
        if found is None:
            backoff = self._backoffs.get(peer)
            if backoff is None:
                backoff = Backoff(self.settings.reconnect_min_s, self.settings.reconnect_max_s)
                self._backoffs[peer] = backoff
            found = Lane(self._end, peer, lane, backoff, self._address, self._contacted, self._lane_lost)
            self._lanes[peer, lane] = found
        return found

    def _address(self, peer: str) -> Address | None:
        return self.addresses.get(peer) or self.others.get(peer)

    def _connections(self) -> list[Connection]:
        dialled = [lane.connection for lane in self._lanes.values() if lane.connection is not None]
        return [*dialled, *self._unproven, *self._accepted]

    def _contacted(self, peer: str) -> None:
        for function in self.on_contact:
            function(peer)

    def _lane_lost(self, connection: Connection, reason: str) -> None:
        peer, was_open = connection.target, connection.peer is not None
        # Across a partition nobody hears a refusal or a reset; that nothing came in time, everybody can tell.
        hidden = self.faults.hides(peer) and reason != "timeout"
        if not hidden and reason != IDLE and (reason not in ("aborted", "closed") or was_open):
            self.faults.note_failure(peer, reason)
        for ended in self.on_end:
            ended(connection, reason, hidden)
        if hidden or reason == IDLE:
            return
        for function in self.on_lost:
            function(peer, reason)
        if peer in self._watched and connection.lane == LANE_CONTROL and was_open:
            self._lane(peer, LANE_CONTROL).ready()

    # -- accepted connections

    def _accept(self, peer: Address) -> Connection:
        if len(self._unproven) >= UNPROVEN_MAX:
            next(iter(self._unproven)).abort()
        connection = Connection(self._end, "", LANE_FOREGROUND, self)
        self._unproven[connection] = None
        return connection

    def _admit(self, party: Party) -> str:
        if party.role != ROLE_NODE and self._clients >= self.settings.clients_max:
            return f"this node serves {self._clients} clients already"
        return self._end.amnesia(party) or self.admit(party)

    def opened(self, connection: Connection) -> None:
        """Whoever connected has proven itself."""
        self._unproven.pop(connection, None)
        self._accepted[connection] = None
        assert connection.peer is not None
        if connection.peer.role != ROLE_NODE:
            self._clients += 1
            for welcome in self.on_client:
                welcome(connection)
        elif not self.faults.hides(connection.peer.name):
            self.redial(connection.peer.name)
            self._contacted(connection.peer.name)

    def ended(self, connection: Connection, reason: str) -> None:
        """An accepted connection is over."""
        self._unproven.pop(connection, None)
        if connection in self._accepted:
            del self._accepted[connection]
            if connection.peer is not None and connection.peer.role != ROLE_NODE:
                self._clients -= 1
