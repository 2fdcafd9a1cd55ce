"""Requests, one-way messages and datagrams to nodes by name.

Everything is by callback and costs no task. A request ends in exactly one of: the peer's reply, its failure, or an
error made here whose `definite` says whether the peer surely did not act (refused, queue full: it did not; connection
broken after sending, deadline: it may have).
"""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from cluster.config import TransportSettings
from cluster.env import Address, DatagramSocket, Env, Listener, StallWatch, Tick
from cluster.env.stall import SWEEP_LATE_S
from cluster.errors import ClusterError, Maybe, Overloaded, Unreachable
from cluster.faults import FaultBook
from cluster.ports import Done, Inbound, Recorder
from cluster.transport.backoff import Backoff
from cluster.transport.connection import Connection
from cluster.transport.lane import Lane
from cluster.transport.pending import Pending
from cluster.wire.datagram import DatagramSeal
from cluster.wire.frames import Cancel, OneWay, Request, encode_frame
from cluster.wire.handshake import LANE_BACKGROUND, LANE_CONTROL, LANE_FOREGROUND, ROLE_CLIENT, Party

UNPROVEN_MAX = 256
"""Accepted streams whose handshake is under way; more are closed at once."""


class Transport:
    """One node's endpoints."""

    def __init__(
        self,
        env: Env,
        tick: Tick,
        me: Party,
        secret: bytes,
        settings: TransportSettings,
        faults: FaultBook,
        stall: StallWatch,
        record: Recorder,
    ) -> None:
        self.env = env
        self.me = me
        self.secret = secret
        self.settings = settings
        self.faults = faults
        self.stall = stall
        self.record = record
        self.addresses: dict[str, Address] = {}
        self.handlers: dict[type, Callable[[Inbound], None]] = {}
        self.on_lost: list[Callable[[str, str], None]] = []
        self.on_broken: list[Callable[[str, int, ClusterError], None]] = []
        self.on_contact: list[Callable[[str], None]] = []
        self.on_client: list[Callable[[Connection], None]] = []
        """A client has proven itself on this connection."""
        self.on_datagram: Callable[[str, bytes, float], None] = lambda sender, body, arrived: None
        self.on_answer: Callable[[str], None] = lambda peer: None
        """Bytes came on a connection that was dialled from here: answers come there."""
        self.on_sweep: Callable[[float], None] = lambda now: None
        """Called with the time whenever requests in flight are looked through."""
        self.layout = 0
        self.expired = 0
        self._tick = tick
        self._seal = DatagramSeal(secret, me.cluster)
        self.pending = Pending(settings.sweep_interval_s)
        self._sweeping = False
        self._sweep_at = 0.0
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._backoffs: dict[str, Backoff] = {}
        self._watched: dict[str, None] = {}
        self._accepted: dict[Connection, None] = {}
        self._unproven = 0
        self._clients = 0
        self._dirty: list[Connection] = []
        self._flushers: list[Callable[[], None]] = []
        self._listener: Listener | None = None
        self._socket: DatagramSocket | None = None
        tick.write_sockets = self._write

    # -- life

    def start(self, at: Address) -> None:
        """Listen on streams and datagrams. Raises OSError when the port is taken."""
        self._listener = self.env.network.listen(at, self._accept)
        self._socket = self.env.network.datagrams(at, self._datagram)

    def stop(self) -> None:
        """Close everything."""
        if self._listener is not None:
            self._listener.close()
        if self._socket is not None:
            self._socket.close()
        self._watched.clear()
        for connection in self._connections():
            connection.close()

    def handle(self, body_type: type, handler: Callable[[Inbound], None]) -> None:
        """Give all requests and one-way messages of a type to `handler`."""
        assert body_type not in self.handlers, body_type
        self.handlers[body_type] = handler

    # -- requests

    def request(self, peers: Sequence[str], body: Any, deadline: float, done: Done, lane: int = LANE_FOREGROUND) -> int:
        """Ask each of `peers`; `done(peer, outcome)` comes once for each, never before this returns.

        Returns an id for `finish`. `deadline` is on the local monotonic clock.
        """
        now = self.env.clock.now()
        id = self.pending.add(dict.fromkeys(peers, lane), deadline, done)
        if not self._sweeping:
            self._sweep_again(now)
        data = encode_frame(Request(id, max(1, int((deadline - now) * 1000)), self.layout, body))
        for peer in peers:
            lane_of = self._lanes.get((peer, lane)) or self._lane(peer, lane)
            connection = lane_of.connection or lane_of.ready()
            if connection is None:
                self.env.clock.call_soon(self._fail, id, peer, Unreachable(f"{peer} cannot be reached"))
            elif not connection.send_encoded(data):
                self.env.clock.call_soon(self._fail, id, peer, Overloaded(f"the queue to {peer} is full"))
        return id

    def finish(self, id: int, cancel: bool = False) -> None:
        """Make no more callbacks for a request; with `cancel`, tell the peers that nobody waits."""
        waiting = self.pending.waiting.pop(id, None)
        if waiting is not None and cancel:
            for peer, lane in waiting.left.items():
                connection = self._lane(peer, lane).connection
                if connection is not None:
                    connection.send(Cancel(id))

    def send(self, peer: str, body: Any, lane: int = LANE_FOREGROUND) -> bool:
        """One way. False when it was dropped here: no connection is to be had, or the queue is full."""
        connection = self._lane(peer, lane).ready()
        return connection is not None and connection.send_encoded(encode_frame(OneWay(body)))

    def push_clients(self, body: Struct) -> None:
        """Send one way to every client that is connected."""
        for connection in list(self._accepted):
            if connection.peer is not None and connection.peer.role == ROLE_CLIENT:
                connection.push(body)

    def send_encoded(self, peer: str, data: bytes, lane: int = LANE_FOREGROUND) -> bool:
        """As `send`, of a frame encoded once for many peers."""
        connection = self._lane(peer, lane).ready()
        return connection is not None and connection.send_encoded(data)

    def at_flush(self, function: Callable[[], None]) -> None:
        """Call once at the end of this pass, after the log and before the sockets: it may still send."""
        self._flushers.append(function)
        self._tick.arm_sockets()

    def timed_out(self, peer: str) -> None:
        """The peer did not answer in time what it was sent one way."""
        self.faults.note_failure(peer, "timeout")

    def datagram(self, peer: str, body: bytes) -> None:
        """Send a sealed datagram; it may be lost."""
        address = self.addresses.get(peer)
        if address is not None and self._socket is not None:
            self._socket.send(self._seal.seal(self.me.name, body), address)

    def watch(self, peer: str) -> None:
        """Hold an idle control connection open: its end tells of a death at once."""
        self._watched[peer] = None
        self._lane(peer, LANE_CONTROL).ready()

    def unwatch(self, peer: str) -> None:
        """Let go of a watched connection."""
        self._watched.pop(peer, None)

    def in_flight(self) -> int:
        """How many requests wait for an answer."""
        return len(self.pending)

    # -- faults

    def faults_changed(self) -> None:
        """The fault book was reloaded: move what was held, and forget backoffs that a partition caused."""
        for connection in self._connections():
            connection.faults_changed()
        for backoff in self._backoffs.values():
            backoff.reset()

    # -- called by lanes and connections

    def backoff(self, peer: str) -> Backoff:
        """The redial times of a peer, shared by its lanes."""
        backoff = self._backoffs.get(peer)
        if backoff is None:
            backoff = self._backoffs[peer] = Backoff(self.settings.reconnect_min_s, self.settings.reconnect_max_s)
        return backoff

    def redial(self, peer: str) -> None:
        """The peer runs: what was refused before it listened is no reason to wait."""
        backoff = self._backoffs.get(peer)
        if backoff is not None:
            backoff.reset()

    def contacted(self, peer: str) -> None:
        """A handshake with the peer succeeded."""
        for function in self.on_contact:
            function(peer)

    def lane_lost(self, peer: str, lane: int, reason: str, was_open: bool) -> None:
        """A connection to a peer ended, or could not be made."""
        hidden = self.faults.hides(peer) and reason != "timeout"
        if not was_open:
            self.backoff(peer).failed(self.env.clock.now(), self.env.random)
        if hidden:
            return  # across a partition nobody hears a refusal or a reset: requests meet their deadlines
        if reason not in ("aborted", "closed") or was_open:
            self.faults.note_failure(peer, reason)
        error: ClusterError = Unreachable(f"{peer} cannot be reached: {reason}")
        if was_open:
            error = Maybe(f"the connection to {peer} ended: {reason}")
        for done in self.pending.lost(peer, lane):
            done(peer, error)
        for broken in self.on_broken:
            broken(peer, lane, error)
        for function in self.on_lost:
            function(peer, reason)
        if peer in self._watched and lane == LANE_CONTROL and was_open:
            self._lane(peer, lane).ready()

    def mark_dirty(self, connection: Connection) -> None:
        """The connection has frames to write at the end of this pass."""
        self._dirty.append(connection)
        self._tick.arm_sockets()

    # -- inside

    def _lane(self, peer: str, lane: int) -> Lane:
        found = self._lanes.get((peer, lane))
        if found is None:
            found = self._lanes[peer, lane] = Lane(self, peer, lane)
        return found

    def _connections(self) -> list[Connection]:
        dialled = [lane.connection for lane in self._lanes.values() if lane.connection is not None]
        return dialled + list(self._accepted)

    def _write(self) -> None:
        while self._flushers or self._dirty:  # until nothing is left, as `Tick.arm_sockets` asks
            flushers, self._flushers = self._flushers, []
            for function in flushers:
                function()
            dirty, self._dirty = self._dirty, []
            for connection in dirty:
                connection.flush()

    def _fail(self, id: int, peer: str, error: Unreachable | Overloaded) -> None:
        done = self.pending.answered(id, peer)
        if done is not None:
            done(peer, error)

    def _sweep(self) -> None:
        now = self.env.clock.now()
        if now - self._sweep_at > SWEEP_LATE_S:
            self._sweep_again(now)
            return
        self.on_sweep(now)
        for done, peers in self.pending.expired(now):
            for peer in peers:
                self.timed_out(peer)
                done(peer, Maybe(f"no answer from {peer} before the deadline"))
        self._sweeping = len(self.pending) > 0
        if self._sweeping:
            self._sweep_again(now)

    def _sweep_again(self, now: float) -> None:
        self._sweeping = True
        self._sweep_at = now + self.settings.sweep_interval_s
        self.env.clock.call_later(self.settings.sweep_interval_s, self._sweep)

    def _accept(self, peer: Address) -> Connection | None:
        if self._unproven >= UNPROVEN_MAX or self._clients >= self.settings.clients_max:
            return None
        connection: Connection = Connection(
            self,
            "",
            LANE_FOREGROUND,
            on_open=lambda: self._proven(connection),
            on_end=lambda reason: self._closed(connection),
        )
        self._accepted[connection] = None
        self._unproven += 1
        return connection

    def _proven(self, connection: Connection) -> None:
        self._unproven -= 1
        assert connection.peer is not None
        if connection.peer.role == ROLE_CLIENT:
            self._clients += 1
            for welcome in self.on_client:
                welcome(connection)
        elif not self.faults.hides(connection.peer.name):
            self.backoff(connection.peer.name).reset()
            self.contacted(connection.peer.name)

    def _closed(self, connection: Connection) -> None:
        self._accepted.pop(connection, None)
        if connection.peer is None:
            self._unproven -= 1
        elif connection.peer.role == ROLE_CLIENT:
            self._clients -= 1

    def _datagram(self, data: bytes, source: Address) -> None:
        opened = self._seal.open(data)
        if opened is None or opened[0] == self.me.name:
            return
        sender, body = opened
        arrived = self.stall.arrival(self.env.clock.now())
        if not self.faults.active:
            self._heard(sender, body, arrived)
            return
        for delay in self.faults.on_datagram(sender, self.env.random, len(data), arrived):
            if delay:
                self.env.clock.call_later(delay, self._heard, sender, body, arrived + delay)
            else:
                self._heard(sender, body, arrived)

    def _heard(self, sender: str, body: bytes, arrived: float) -> None:
        self.redial(sender)
        self.on_datagram(sender, body, arrived)


__all__ = ["LANE_BACKGROUND", "LANE_CONTROL", "LANE_FOREGROUND", "Transport"]
