"""One byte stream with its handshake, its bounded queue, and the fault rules on what arrives.

The same class serves both ends; only who starts the handshake differs. Frames that one pass produced leave in one
write, which begins with the time of the write (see `cluster.wire.frames`). What arrives from another node passes the
fault rules first: it is held while a partition stands (as a network holds what it retransmits), or delayed, and always
keeps its order. Bytes go up as they came; what they mean, who may send what and which call they answer is rpc's.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from msgspec import Struct

from cluster.config import TransportSettings
from cluster.env import Env, Link, OutputTick, Timer
from cluster.env.passes import READ_FIRST_S, SWEEP_LATE_S
from cluster.errors import BadMessage, ClusterError, HandshakeRefused
from cluster.faults import FaultBook
from cluster.ports import Recorder
from cluster.wire.clock import SenderClock
from cluster.wire.frames import ONE_WAYS_MAX, STAMP, STAMP_AT, Body, Frame, OneWay, OneWays, append_frame, stamp_into
from cluster.wire.handshake import NONCE_BYTES, Dialler, HandshakeListener, Party, refusal
from cluster.wire.rights import ROLE_NODE, role_key

HELD_BYTES_MAX = 16 * 1024 * 1024
"""What a partition may hold back on one stream before the stream is reset, as a full socket buffer would stall it."""
TOGETHER_S = 0.01
"""Messages whose deadlines are so close expire together, and so may share a frame."""


class Outbox:
    """What is to be written at the end of this pass: first whoever has something to send, then each stream once."""

    def __init__(self, tick: OutputTick, now: Callable[[], float]) -> None:
        self.end_early = tick.end_early
        """What this pass has queued so far leaves now."""
        self._arm = tick.arm_sockets
        self._now = now
        self._dirty: list[Connection] = []
        self._flushers: list[Callable[[], None]] = []
        tick.write_sockets = self._write

    def mark(self, connection: "Connection") -> None:
        """The connection has something to write."""
        self._dirty.append(connection)
        self._arm()

    def at_flush(self, function: Callable[[], None]) -> None:
        """Call once at the end of this pass, after the log and before the sockets: it may still send."""
        self._flushers.append(function)
        self._arm()

    def _write(self) -> None:
        while self._flushers or self._dirty:  # until nothing is left, as `Tick.arm_sockets` asks
            flushers, self._flushers = self._flushers, []
            for function in flushers:
                function()
            dirty, self._dirty = self._dirty, []
            now = self._now()
            for connection in dirty:
                connection.flush(now)


@dataclass
class LocalEnd:
    """This node's end of all its connections."""

    env: Env
    me: Party
    secret: bytes
    settings: TransportSettings
    faults: FaultBook
    record: Recorder
    outbox: Outbox
    admit: Callable[[Party], str] = lambda party: ""
    """Why a party is refused; empty: it is not."""
    receiver: Callable[["Connection"], Callable[[bytes], None]] = lambda connection: lambda data: None
    """Who takes the bytes of a connection that has just been proven."""
    node_key: bytes = field(init=False)
    boots: dict[str, int] = field(default_factory=dict)
    """The latest boot of each node id that was proven here."""

    def __post_init__(self) -> None:
        self.node_key = role_key(self.secret, ROLE_NODE)

    def amnesia(self, party: Party) -> str:
        """Why a node is refused of which a later boot was seen: its directory is a copy from before that."""
        seen = self.boots.get(party.id, 0)
        if party.role != ROLE_NODE or party.epoch >= seen:
            return ""
        return f"amnesia: boot {seen} of {party.id} was seen here, and this is boot {party.epoch} of it"

    def note_boot(self, party: Party) -> None:
        """A party has proven itself."""
        if party.role == ROLE_NODE:
            self.boots[party.id] = party.epoch


class ConnectionOwner(Protocol):
    """Who dialled or accepted a connection; called once each at most."""

    def opened(self, connection: "Connection") -> None:
        """The other side has proven itself."""

    def ended(self, connection: "Connection", reason: str) -> None:
        """It is over, or could not be made."""


class Connection:
    """A LinkHandler. `target` is the name that was dialled, empty on the accepting side."""

    def __init__(self, end: LocalEnd, target: str, lane: int, owner: ConnectionOwner) -> None:
        self.end = end
        self.target = target
        self.lane = lane
        self.owner = owner
        self.on_close: list[Callable[[], None]] = []
        self.peer: Party | None = None
        """Who the other side has proven to be; stays when the connection has ended."""
        self.clock = SenderClock(same=False)
        self.open = False
        self.ended = False
        self.writes = 0
        self._link: Link | None = None
        self._out = bytearray()  # empty, or a stamp to be filled in and frames
        self._out_max = end.settings.queue_bytes_max
        self._gathered: list[Body] = []  # one way, behind all that `_out` holds
        self._gathered_until = 0.0
        self._paused = False
        self._mark = end.outbox.mark
        self._receive: Callable[[bytes], None] = lambda data: None
        self._ruled = False  # whether fault rules apply: between nodes
        self._handshake: Dialler | HandshakeListener | None = None
        self._timer: Timer | None = None
        self._held: deque[tuple[float | None, float, bytes]] = deque()  # due (None: when healed), arrived, data
        self._held_bytes = 0
        self._release: Timer | None = None

    # -- the stream's side: LinkHandler

    def connected(self, link: Link) -> None:
        """The stream is open: begin the handshake, and bound its time."""
        end = self.end
        clock, settings = end.env.clock, end.settings
        self._link = link
        nonce = end.env.random.randbytes(NONCE_BYTES)
        if self.target:
            dialler = Dialler(end.node_key, end.me, self.lane, nonce, expect=self.target)
            self._handshake = dialler
            link.write(dialler.start(clock.now()))
            self._bound(settings.handshake_timeout_s)
        else:
            self._handshake = HandshakeListener(end.secret, end.me, nonce, end.admit)
            self._bound(settings.prove_timeout_s)

    def received(self, data: bytes) -> None:
        """Bytes came: through the fault rules (between nodes), then up."""
        if self._handshake is not None:
            self._shake(self._handshake, data)
        elif self._ruled and (self.end.faults.active or self._held):
            self._delay(data)
        else:
            self._receive(data)

    def lost(self, reason: str) -> None:
        """The stream ended."""
        if self.ended:
            return
        self.ended = True
        self.open = False
        self._out = bytearray()
        self._gathered = []
        for timer in (self._timer, self._release):
            if timer is not None:
                timer.cancel()
        for closed in self.on_close:
            closed()
        self.owner.ended(self, reason)

    def pause(self) -> None:
        """The kernel's buffer is full: keep frames in the bounded queue."""
        self._paused = True

    def resume(self) -> None:
        """There is room again."""
        self._paused = False
        if self._out:
            self._mark(self)

    # -- the owner's side

    def send(self, frame: Frame) -> bool:
        """Queue a frame. False when it was refused: the connection is closed, or its queue is full."""
        out = self._out
        if (not out or self._gathered or len(out) > self._out_max) and not self._has_room():
            return False
        append_frame(out, frame)
        return True

    def send_encoded(self, data: bytes) -> bool:
        """Queue the bytes of a frame, as `send`."""
        out = self._out
        if (not out or self._gathered or len(out) > self._out_max) and not self._has_room():
            return False
        out += data
        return True

    def push(self, body: Struct, small: bool = False) -> bool:
        """Send a one-way message to whoever is there. False when the queue is full: it is dropped. A `small` one is
        gathered."""
        return self.gather(body) if small else self.send(OneWay(body))  # type: ignore[arg-type]

    def gather(self, body: Body, deadline: float = 0.0) -> bool:
        """Queue a small one-way message (SMALL_BYTES) for a frame that it shares with its neighbours. False when it is
        refused, as by `send`."""
        gathered, out = self._gathered, self._out
        if (not out or len(out) > self._out_max) and not self._has_room():
            return False
        if not gathered:
            self._gathered_until = deadline
        elif abs(deadline - self._gathered_until) > TOGETHER_S:
            self._settle()
            gathered, self._gathered_until = self._gathered, deadline
        gathered.append(body)
        if len(gathered) >= ONE_WAYS_MAX:
            self._settle()
        return True

    def _has_room(self) -> bool:
        """Whether one more frame is taken. What was gathered goes before it; the first begins with a stamp."""
        out = self._out
        if out:
            if self._gathered:
                self._settle()
            return len(out) <= self._out_max
        if self.ended:
            return False
        out += STAMP
        if self.open and not self._paused:
            self._mark(self)
        return True

    def _settle(self) -> None:
        """What was gathered becomes a frame, in its place among the others."""
        gathered, self._gathered = self._gathered, []
        append_frame(self._out, OneWays(gathered, self._gathered_until))

    def flush(self, now: float) -> None:
        """One write for all that is queued; the buffer goes with it, and a fresh one takes its place."""
        if self._gathered:
            self._settle()
        out = self._out
        if out and self.open and not self._paused and self._link is not None:
            self._out = bytearray()
            stamp_into(out, STAMP_AT, now)
            self.writes += 1
            self._link.write(out)

    def close(self) -> None:
        """End the connection."""
        if self._link is not None and not self.ended:
            self.flush(self.end.env.clock.now())
            self._link.close()

    def abort(self) -> None:
        """End the connection at once; the other side sees a reset."""
        if self._link is not None and not self.ended:
            self._link.abort()
        self.lost("aborted")

    def refuse(self, error: ClusterError) -> None:
        """What came cannot be accepted: say why, then close only this connection."""
        who = self.target or (self.peer.name if self.peer is not None else "")
        if not who:
            who = "{}:{}".format(*self._link.peer) if self._link is not None else "unknown"
        self.end.record("wire.refused", error.message, peer=who)
        if self._link is not None and not self.ended:
            if not self.target and self._handshake is not None:
                self._link.write(refusal(error))
            self._link.close()
        self.lost(f"refused: {error.message}" if self.target else "closed")

    # -- inside

    def _shake(self, handshake: Dialler | HandshakeListener, data: bytes) -> None:
        """Advance the handshake; what is left behind it are frames."""
        link = self._link
        assert link is not None
        try:
            answer = handshake.feed(data, self.end.env.clock.now())
        except (HandshakeRefused, BadMessage) as error:
            self.refuse(error)
            return
        if answer:
            link.write(answer)
            if not self.target:
                self._bound(self.end.settings.prove_timeout_s)  # it knows the cluster: the proof has a time of its own
        if handshake.peer is None:
            return
        if reason := self.end.amnesia(handshake.peer):
            self.refuse(HandshakeRefused(reason))
            return
        self.end.note_boot(handshake.peer)
        self.peer, self.clock = handshake.peer, handshake.clock
        if isinstance(handshake, HandshakeListener):
            self.lane = handshake.lane
        self._handshake = None
        self._ruled = self.peer.role == ROLE_NODE
        assert self._timer is not None
        self._timer.cancel()
        self.open = True
        if self._out:
            self._mark(self)
        self._receive = self.end.receiver(self)
        self.owner.opened(self)
        if handshake.rest and not self.ended:
            self.received(handshake.rest)  # what came with the handshake's end meets the rules as all that comes later

    def _bound(self, within_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        clock = self.end.env.clock
        self._timer = clock.call_later(within_s, self._too_slow, clock.now() + within_s)

    def _too_slow(self, due: float) -> None:
        if self._handshake is None:
            return
        clock = self.end.env.clock
        if clock.now() - due > SWEEP_LATE_S:  # this process did not run, and what is missed may lie in the socket
            self._timer = clock.call_later(READ_FIRST_S, self._too_slow, float("inf"))
            return
        if self._link is not None:
            self._link.abort()
        self.lost("timeout")

    # -- faults

    def _delay(self, data: bytes) -> None:
        assert self.peer is not None
        end = self.end
        now = end.env.clock.now()
        delay = end.faults.on_stream(self.peer.name, end.env.random, len(data), now)
        if delay == 0.0 and not self._held:
            self._receive(data)
            return
        last = self._held[-1][0] if self._held else now
        due = None if delay is None or last is None else max(last, now + delay)
        self._held.append((due, now, data))
        self._held_bytes += len(data)
        if self._held_bytes > HELD_BYTES_MAX:
            self.abort()
        else:
            self._schedule()

    def _schedule(self) -> None:
        if self._release is not None or not self._held or self._held[0][0] is None:
            return

        def release() -> None:
            self._release = None
            now = self.end.env.clock.now()
            while self._held and not self.ended:
                due, _, data = self._held[0]
                if due is None or due > now:
                    break
                self._held.popleft()
                self._held_bytes -= len(data)
                self._receive(data)
            self._schedule()

        self._release = self.end.env.clock.call_at(self._held[0][0], release)

    def faults_changed(self) -> None:
        """The rules changed: what a partition held, or a link that is slow no longer, goes on in order, as a
        retransmission would bring it."""
        faults = self.end.faults
        if not self._held or self.peer is None or faults.blocked(self.peer.name, self.end.me.name):
            return
        now, slow = self.end.env.clock.now(), faults.slows(self.peer.name)
        held = self._held
        self._held = deque((now if due is None or not slow else due, arrived, data) for due, arrived, data in held)
        if self._release is not None:
            self._release.cancel()
            self._release = None
        self._schedule()
