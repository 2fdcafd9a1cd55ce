"""One byte stream with its handshake, its frames in both directions and its bounded queue.

The same class serves both ends; only who starts the handshake differs. Frames that one pass produced leave in one
write. What arrives from another node passes the fault rules first: it is held while a partition stands (as a network
holds what it retransmits), or delayed, and always keeps its order.
"""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cluster import ports
from cluster.env import Link, Timer
from cluster.errors import BadMessage, ClusterError, HandshakeRefused, from_code
from cluster.transport.inbound import Inbound
from cluster.wire.frames import Cancel, Failure, Frame, FrameReader, OneWay, Reply, Request, append_frame
from cluster.wire.handshake import LANE_CONTROL, NONCE_BYTES, ROLE_NODE, Dialler, Listener, Party, refusal

if TYPE_CHECKING:
    from cluster.transport.transport import Transport

HELD_BYTES_MAX = 16 * 1024 * 1024
"""What a partition may hold back on one stream before the stream is reset, as a full socket buffer would stall it."""


class Connection:
    """A LinkHandler. `target` is the name that was dialled, empty on the accepting side."""

    def __init__(
        self, transport: "Transport", target: str, lane: int, on_open: Callable[[], None], on_end: Callable[[str], None]
    ) -> None:
        self.transport = transport
        self.target = target
        self.lane = lane
        self.on_open = on_open
        self.on_end = on_end
        self.on_close: list[Callable[[], None]] = []
        self.cancels: dict[int, Callable[[], None]] = {}
        self.peer: Party | None = None
        self.link: Link | None = None
        self.open = False
        self.ended = False
        self.writes = 0
        self._out = bytearray()
        self._out_max = transport.settings.queue_bytes_max
        self._paused = False
        self._reader = FrameReader()
        self._handshake: Dialler | Listener | None = None
        self._timer: Timer | None = None
        self._held: deque[tuple[float | None, float, bytes]] = deque()  # due (None: when healed), arrived, data
        self._held_bytes = 0
        self._release: Timer | None = None

    # -- the stream's side: LinkHandler

    def connected(self, link: Link) -> None:
        """The stream is open: begin the handshake, and bound its time."""
        transport = self.transport
        self.link = link
        nonce = transport.env.random.randbytes(NONCE_BYTES)
        if self.target:
            dialler = Dialler(transport.secret, transport.me, self.lane, nonce, expect=self.target)
            self._handshake = dialler
            link.write(dialler.start())
        else:
            self._handshake = Listener(transport.secret, transport.me, nonce)
        self._timer = transport.env.clock.call_later(transport.settings.handshake_timeout_s, self._too_slow)

    def received(self, data: bytes) -> None:
        """Bytes came: through the fault rules (between nodes), then into frames."""
        transport = self.transport
        arrived = transport.stall.arrival(transport.env.clock.now())
        if (transport.faults.active or self._held) and self.peer is not None and self.peer.role == ROLE_NODE:
            self._delay(data, arrived)
        else:
            self._take(data, arrived)

    def lost(self, reason: str) -> None:
        """The stream ended."""
        if self.ended:
            return
        self.ended = True
        self.open = False
        self._out = bytearray()
        if self._timer is not None:
            self._timer.cancel()
        if self._release is not None:
            self._release.cancel()
        for function in list(self.cancels.values()):
            function()
        self.cancels.clear()
        for closed in self.on_close:
            closed()
        self.on_end(reason)

    def pause(self) -> None:
        """The kernel's buffer is full: keep frames in the bounded queue."""
        self._paused = True

    def resume(self) -> None:
        """There is room again."""
        self._paused = False
        if self._out:
            self.transport.mark_dirty(self)

    # -- the owner's side

    def send(self, frame: Frame) -> bool:
        """Queue a frame. False when it was refused: the connection is closed, or its queue is full."""
        out = self._out
        if not out:
            if self.ended:
                return False
            if self.open and not self._paused:
                self.transport.mark_dirty(self)
        elif len(out) > self._out_max:
            return False
        append_frame(out, frame)
        return True

    def send_encoded(self, data: bytes) -> bool:
        """Queue the bytes of a frame, as `send`."""
        out = self._out
        if not out:
            if self.ended:
                return False
            if self.open and not self._paused:
                self.transport.mark_dirty(self)
        elif len(out) > self._out_max:
            return False
        out += data
        return True

    def push(self, body: Any) -> bool:
        """Send a one-way message to whoever is there. False when the queue is full: it is dropped."""
        return self.send(OneWay(body))

    def flush(self) -> None:
        """One write for all that is queued; the buffer goes with it, and a fresh one takes its place."""
        if self.open and self._out and not self._paused and self.link is not None:
            out, self._out = self._out, bytearray()
            self.writes += 1
            self.link.write(out)

    def close(self) -> None:
        """End the connection."""
        if self.link is not None and not self.ended:
            self.flush()
            self.link.close()

    def abort(self) -> None:
        """End the connection at once; the other side sees a reset."""
        if self.link is not None and not self.ended:
            self.link.abort()
        self.lost("aborted")

    # -- inside

    def _take(self, data: bytes, arrived: float) -> None:
        try:
            if self._handshake is None:
                self._dispatch(self._reader.feed(data), arrived)
            elif rest := self._shake(self._handshake, data):
                self.received(rest)  # what came with the end of the handshake meets the rules as all that comes later
        except HandshakeRefused as error:
            self._refuse(error)
        except BadMessage as error:
            self._refuse(error)

    def _shake(self, handshake: Dialler | Listener, data: bytes) -> bytes:
        """Advance the handshake; what is left behind it are frames."""
        answer = handshake.feed(data)
        assert self.link is not None
        if answer:
            self.link.write(answer)
        if handshake.peer is None:
            return b""
        self.peer = handshake.peer
        if isinstance(handshake, Listener):
            self.lane = handshake.lane
        self._handshake = None
        assert self._timer is not None
        self._timer.cancel()
        self.open = True
        if self._out:
            self.transport.mark_dirty(self)
        self.on_open()
        return handshake.rest

    def _dispatch(self, frames: list[Frame], arrived: float) -> None:
        """Give each frame to whom it concerns. The hot path: one look-up for the kind, one for the handler."""
        transport = self.transport
        if self.target:
            transport.on_answer(self.target)
        handlers, answered = transport.handlers, transport.pending.answered
        now = transport.env.clock.now()
        assert self.peer is not None
        peer = self.peer.name
        for frame in frames:
            kind = type(frame)
            if kind is Reply:
                done = answered(frame.id, peer)  # type: ignore[union-attr]
                if done is not None:
                    done(peer, frame.body)  # type: ignore[union-attr]
            elif kind is Request:
                self._request(frame, arrived, now, handlers)  # type: ignore[arg-type]
            elif kind is OneWay:
                handler = handlers.get(type(frame.body))  # type: ignore[union-attr]
                if handler is not None:
                    handler(Inbound(self, 0, frame.body, arrived + 1.0, arrived))  # type: ignore[union-attr]
            elif kind is Failure:
                done = answered(frame.id, peer)  # type: ignore[union-attr]
                if done is not None:
                    done(peer, from_code(frame.code, frame.message))  # type: ignore[union-attr]
            elif isinstance(frame, Cancel):
                cancel = self.cancels.pop(frame.id, None)
                if cancel is not None:
                    cancel()

    def _request(
        self, frame: Request, arrived: float, now: float, handlers: dict[type, Callable[[ports.Inbound], None]]
    ) -> None:
        deadline = arrived + frame.remaining_ms / 1000
        body = frame.body
        handler = handlers.get(type(body))
        inbound = Inbound(self, frame.id, body, deadline, arrived)
        if frame.trace:
            inbound.trace = frame.trace
        if deadline <= now or frame.remaining_ms <= 0:
            self.transport.expired += 1  # its sender has given up: executing it now could only surprise
        elif handler is None:
            inbound.fail(BadMessage(f"this node does not answer {type(body).__name__}"))
        else:
            handler(inbound)

    def _refuse(self, error: ClusterError) -> None:
        """Say why, then close only this connection."""
        self.transport.record("wire.refused", error.message, peer=self.target or self._who())
        if self.link is not None and not self.ended:
            if not self.target and self._handshake is not None:
                self.link.write(refusal(error.message))
            self.link.close()
        self.lost(f"refused: {error.message}" if self.target else "closed")

    def _who(self) -> str:
        if self.peer is not None:
            return self.peer.name
        return "{}:{}".format(*self.link.peer) if self.link is not None else "unknown"

    def _too_slow(self) -> None:
        if self._handshake is not None:
            if self.link is not None:
                self.link.abort()
            self.lost("timeout")

    # -- faults

    def _delay(self, data: bytes, arrived: float) -> None:
        assert self.peer is not None
        delay = self.transport.faults.on_stream(self.peer.name, self.transport.env.random, len(data), arrived)
        if delay == 0.0 and not self._held:
            self._take(data, arrived)
            return
        last = self._held[-1][0] if self._held else arrived
        due = None if delay is None or last is None else max(last, arrived + delay)
        self._held.append((due, arrived, data))
        self._held_bytes += len(data)
        if self._held_bytes > HELD_BYTES_MAX:
            self.abort()
        else:
            self._schedule()

    def _schedule(self) -> None:
        if self._release is None and self._held and self._held[0][0] is not None:
            self._release = self.transport.env.clock.call_at(self._held[0][0], self._released)

    def _released(self) -> None:
        self._release = None
        now = self.transport.env.clock.now()
        while self._held and not self.ended:
            due, arrived, data = self._held[0]
            if due is None or due > now:
                break
            self._held.popleft()
            self._held_bytes -= len(data)
            self._take(data, arrived)
        self._schedule()

    def faults_changed(self) -> None:
        """The rules changed: what a partition held, or a link that is slow no longer, goes on in order, as a
        retransmission would bring it."""
        faults = self.transport.faults
        if not self._held or self.peer is None or faults.blocked(self.peer.name, self.transport.me.name):
            return
        now, slow = self.transport.env.clock.now(), faults.slows(self.peer.name)
        held = self._held
        self._held = deque((now if due is None or not slow else due, arrived, data) for due, arrived, data in held)
        if self._release is not None:
            self._release.cancel()
            self._release = None
        self._schedule()


def lane_name(lane: int) -> str:
    """A lane, for people."""
    return ("control", "foreground", "background")[lane] if LANE_CONTROL <= lane <= 2 else str(lane)
