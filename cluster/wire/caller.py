"""One connection of a client to a node, without the socket: bytes and time in, bytes and outcomes out.

The handshake, the frames, the calls that wait, their deadlines, and what may be said about a call whose answer did not
come. All clients share it: the asyncio one, the blocking one, and those of the simulation. Two machines joined back to
back are the test (after h11). It opens no socket, reads no clock, and decides nothing about other nodes
(`cluster/client/router.py` does).

    caller = Caller("n1", key, me, nonce)
    caller.on_output = ...      called when there is something to take, once until it is taken
    caller.on_full = ...        called when so much is to be taken that the node should begin
    caller.take(now)            frames to write, by number, from the stamp on; what was taken counts as sent
    caller.feed(data, now)      outcomes reach their calls
    caller.sweep(now)           calls whose time is over end; one that was not taken in time never is
    caller.end(error, unsent)   the stream is over: every call ends

**What was not sent whole did not happen** (Unreachable, definite). What was sent may have happened: a write is `Maybe`,
and never sent again unless to do it twice is harmless; a read changes nothing. A frame stays here until it is taken, so
that this is known.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import msgspec

from cluster.errors import (
    BadMessage,
    ClusterError,
    DeadlinePassed,
    HandshakeRefused,
    Overloaded,
    TooLarge,
    Unreachable,
    Usage,
)
from cluster.limits import FRAME_BYTES_MAX, PARTS_WINDOW_BYTES, VALUE_BYTES_MAX
from cluster.wire.admin import Draining
from cluster.wire.clock import SenderClock
from cluster.wire.frames import (
    ONE_WAYS_MAX,
    SMALL_BYTES,
    Body,
    Cancel,
    Credit,
    Failure,
    Frame,
    FrameReader,
    Invalid,
    OneWay,
    OneWays,
    Part,
    Reply,
    Request,
    Stamp,
    encode_frame,
    stamped,
    with_length,
)
from cluster.wire.handshake import (
    LANE_FOREGROUND,
    ROLE_CLIENT,
    Dialler,
    Party,
    is_worth_another_dial,
    refused_proof,
)
from cluster.wire.parts import Window
from cluster.wire.requests import Call, CallDone
from cluster.wire.silence import Silence
from cluster.wire.unanswered import expired, lost

Outcome = Body | ClusterError
Done = Callable[[Outcome], object]

CALLS_MAX = 65_536
"""Calls that wait on one connection; at 40,000 a second these are the answers of more than a second."""
TOGETHER = 128
"""So many calls that wait to be taken are taken at once, where the carrier can: who makes thousands in one pass of its
loop has nodes that work meanwhile, and not thousands of calls whose time is over when the first of them leaves."""
OUT_BYTES_MAX = 32 * 1024 * 1024
"""What may wait for a node that does not read; more is refused at once."""
_encode_any = msgspec.msgpack.Encoder().encode
GRACE_S = 0.1
"""How much longer a client waits than it tells the node, so that the node's better informed `maybe` gets through."""
SILENT = "silent"


def client_party(cluster: str, id: str, boot: str) -> Party:
    """A client's identity, as told in handshakes; `id` is random, and new in every process. `boot` names the boot of
    its machine: a node of the same one shares its clock."""
    return Party(cluster, ROLE_CLIENT, "client", id, 0, boot)


class IncomingParts:
    """What has come of a reply before its end. `take` gets each part, and then gives the credit; without it they are
    put together here."""

    __slots__ = ("joined", "take", "window")

    def __init__(self, take: Callable[[bytes], object] | None) -> None:
        self.window = Window()
        self.take = take
        self.joined = bytearray()


class Caller:
    """The calls of one connection, from the first byte of its handshake to its end."""

    def __init__(self, name: str, key: bytes, me: Party, nonce: bytes) -> None:
        """`key` proves the role of `me`."""
        self.name = name
        self.ready = False
        """The node has proven itself. Calls made before wait here."""
        self.good = False
        """Ready, not quiet, and not draining: the first choice for a new operation."""
        self.draining = False
        """The node has asked for new operations to go elsewhere; what it has, it finishes."""
        self.error: ClusterError | None = None
        """Why it has ended; final."""
        self.was_ready = False
        self.again = False
        """It ended because the handshake was slow: the next dial may succeed."""
        self.pending: dict[int, tuple[Done, float, Body]] = {}
        self.silence = Silence()
        self.heard_at = float("-inf")
        self.watchers: list[Callable[[], object]] = []
        """Called at the end, before the calls are told."""
        self.on_silent: list[Callable[[], object]] = []
        """Of those who wait for what the node sends on its own: called when it is given up as silent."""
        self.on_output: Callable[[], object] = _nothing
        self.on_full: Callable[[], object] = _nothing
        self.on_ready: Callable[[], object] = _nothing
        self.on_end: Callable[[], object] = _nothing
        """Called before the calls are told, so that they find another node."""
        self.on_push: Callable[[Body], object] = _nothing
        """Called with every body that the node sends on its own."""
        self.on_requests: Callable[[list[Frame | Invalid], float], list[Frame | Invalid]] | None = None
        """Of a worker, which its node calls on this connection: takes out what is for it, and gives back the rest."""
        self.on_bug: Callable[[Exception], object] = _reraise
        """A caller's `done` has raised: that must not take the connection, and all other calls, with it."""
        # An address that was given without a name has the address as its name: any node may answer there.
        self._dialler = Dialler(key, me, LANE_FOREGROUND, nonce, "" if ":" in name else name)
        self._started = False
        self._greeting = b""
        self._reader = FrameReader()
        self._answered = False  # the node has sent a frame, and so accepted the proof
        self._first = b""
        self._out: dict[int, bytes] = {}  # by call, in the order of the calls, until taken
        self._out_bytes = 0
        self._gathered: list[msgspec.Raw] = []  # encoded bodies that go one way, behind all that `_out` holds
        self.armed = False
        """There is something to `take`."""
        self._last_id = 0
        self._parts: dict[int, IncomingParts] = {}

    @property
    def clock(self) -> SenderClock:
        """The node's, once `ready`."""
        return self._dialler.clock

    @property
    def peer(self) -> Party | None:
        """Who answered, once `ready`."""
        return self._dialler.peer

    # -- what the user wants

    def call(
        self,
        body: Body,
        deadline: float,
        done: Done,
        now: float,
        layout: int = 0,
        trace: str = "",
        on_part: Callable[[bytes], object] | None = None,
    ) -> int:
        """Send a request; `done` is called once, never before this returns, with the reply or an error. `on_part` is
        called with each part of the reply, and whoever takes it gives `credit`; without it, a reply comes whole.

        Returns the number to cancel it by. Raises Overloaded, Unreachable when the connection has ended, and Usage for
        what cannot be encoded: nothing is sent then.
        """
        if self.error is not None:
            raise Unreachable(self.error.message)
        if len(self.pending) >= CALLS_MAX or self._out_bytes > OUT_BYTES_MAX:
            raise Overloaded(f"{self.name}: too much is waiting for this node")
        if self._gathered:
            self._settle()
        id = self._last_id + 1
        data = with_length(_encode(Request(id, deadline, layout, body, trace), body))
        self._last_id = id
        self.pending[id] = (done, deadline, body)
        if on_part is not None:
            self._parts[id] = IncomingParts(on_part)
        self._out[id] = data
        self._out_bytes += len(data)
        if not self.armed:
            self.armed = True
            self.on_output()
        elif not len(self._out) % TOGETHER:
            self.on_full()
        return id

    def credit(self, id: int, count: int) -> None:
        """So many bytes of the parts of a reply were taken: as many more may come. Harmless when it has ended."""
        incoming = self._parts.get(id)
        if incoming is not None:
            incoming.window.give(count)
            self._queue(encode_frame(Credit(id, count)))

    def oneway(self, body: Body) -> bool:
        """Send a body that wants no answer; False when it is refused. It may be lost with the connection."""
        if self.error is not None or self._out_bytes > OUT_BYTES_MAX:
            return False
        data = _encode(body, body)
        if len(data) > SMALL_BYTES:
            self._queue(encode_frame(OneWay(msgspec.Raw(data))))  # type: ignore[arg-type]
            return True
        self._gathered.append(msgspec.Raw(data))
        self._out_bytes += len(data)
        if len(self._gathered) >= ONE_WAYS_MAX:
            self._settle()
        else:
            self._arm()
        return True

    def answer(self, frame: Reply | Failure | Part) -> None:
        """Send what answers a request of the node; it is dropped when the connection has ended."""
        if self.error is None:
            self._queue(encode_frame(frame))

    def cancel(self, id: int) -> None:
        """Forget a call without an outcome, and tell the node. Harmless when it is over."""
        if self.pending.pop(id, None) is not None:
            self._withdraw(id)

    def give_up(self, id: int) -> None:
        """End a call now, since the node has fallen silent."""
        call = self.pending.pop(id, None)
        if call is not None:
            done, _, body = call
            sent = self._withdraw(id)
            self._tell(done, lost(body, self.name, SILENT) if sent else Unreachable(f"{self.name}: {SILENT}"))

    # -- the stream's side

    def take(self, now: float) -> dict[int, bytes]:
        """Everything to write now, by number and in order; it counts as sent from here on."""
        if self._gathered:
            self._settle()
        self.armed = False
        first = {}
        if not self._started:
            self._started = True
            self._greeting = self._dialler.start(now)
        if self._greeting:
            first[0], self._greeting = self._greeting, b""
        if not self.ready or not self._out:
            return first
        out, self._out = self._out, {}
        self._out_bytes = 0
        begin = next(iter(out))
        call = self.pending.get(begin)
        if call is not None and call[1] <= now:
            out = self._in_time(out, now)
            if not out:
                return first
            begin = next(iter(out))
        out[begin] = stamped(out[begin], now)
        return {**first, **out} if first else out

    def feed(self, data: bytes, now: float) -> None:
        """Bytes came: replies find their calls. Never raises; what breaks the protocol ends the connection, behind the
        answers that came before it."""
        self.heard_at = now
        if self.silence.quiet_s:
            self.silence.heard()
            self.good = self.ready and not self.draining
        if not self._answered:
            data = self._shake(data, now)
            if not data:
                return
        reader, take, parts = self._reader, self.pending.pop, self._parts
        frames = reader.serve(data)
        if self.on_requests is not None:
            frames = self.on_requests(frames, now)
        for frame in frames:
            if type(frame) is Reply:
                call = take(frame.id, None)
                if parts:
                    incoming = parts.pop(frame.id, None)
                    if incoming is not None and incoming.joined and type(frame.body) is CallDone:
                        incoming.joined += frame.body.payload
                        frame.body.payload = bytes(incoming.joined)
                if call is not None:
                    try:  # as `_tell`
                        call[0](frame.body)
                    except Exception as error:
                        self.on_bug(error)
            elif type(frame) is Failure:
                call = take(frame.id, None)
                parts.pop(frame.id, None)
                if call is not None:
                    self._tell(call[0], frame.to_error())
            elif type(frame) is OneWays:
                for body in frame.bodies:
                    self.on_push(body)
            elif type(frame) is OneWay:
                if type(frame.body) is Draining:
                    self._drained(frame.body)
                else:
                    self.on_push(frame.body)
            elif type(frame) is not Stamp:  # answers are not dated
                try:
                    self._part(frame)
                except BadMessage as error:
                    self.end(error)
                    return
        if reader.broken is not None:
            self.end(reader.broken)

    def sweep(self, now: float) -> None:
        """End the calls whose time is over. A node may answer until the very end, so it gets a little more."""
        limit = now - GRACE_S
        for id in [id for id, call in self.pending.items() if call[1] <= limit]:
            call = self.pending.pop(id, None)
            if call is None:  # ended by the callback of another
                continue
            done, _, body = call
            if self._withdraw(id):
                self._tell(done, expired(body, self.name))
            elif self.ready:
                self._tell(done, DeadlinePassed(f"{self.name}: the request could not be sent in time"))
            else:
                self._tell(done, Unreachable(f"{self.name}: silent"))

    def beat(self, elapsed_s: float) -> None:
        """So much time has passed since the last beat: see whether the node keeps silent although it should answer."""
        if self.pending and self.ready:
            self.silence.beat(elapsed_s)
            self.good = not self.draining and not self.silence.quiet

    def end(self, error: ClusterError, unsent: Collection[int] = ()) -> None:
        """The stream is over, and every call on it. `unsent` are numbers that were taken and did not leave whole."""
        if self.error is not None:
            return
        self.error, self.ready, self.good = error, False, False
        waiting, self._out = self._out, {}
        self._parts.clear()
        calls = list(self.pending.items())
        self.pending.clear()  # not replaced: this may be told while `feed` goes through frames that answer them
        self.on_end()
        for watcher in self.watchers:
            watcher()
        never_left = error if isinstance(error, Unreachable) else Unreachable(error.message)
        for id, (done, _, body) in calls:
            self._tell(done, never_left if id in waiting or id in unsent else lost(body, self.name, error.message))

    # -- inside

    def _refused(self, error: ClusterError) -> None:
        """There will be no connection, and nothing that was written behind the proof was read."""
        self.again = is_worth_another_dial(error)
        words = Unreachable(f"{self.name}: {error.message}") if self.again else error
        self.end(words, unsent=list(self.pending))

    def _shake(self, data: bytes, now: float) -> bytes:
        """Advance the handshake, which is over with the first frame. Returns what has come of frames."""
        if not self.ready:
            try:
                self._greeting = self._dialler.feed(data, now)
                if self._greeting:
                    self._arm()
                if self._dialler.peer is None:
                    return b""
                self.ready = self.good = self.was_ready = True
                self.on_ready()
                data = self._dialler.rest
            except ClusterError as error:
                self._refused(error)
                return b""
        self._first += data
        found = refused_proof(self._first)
        if isinstance(found, HandshakeRefused):
            self._refused(found)
            return b""
        if found:
            self._answered, self._first = True, b""
        return data

    def _drained(self, body: Draining) -> None:
        """The node takes no new operations, or takes them again."""
        self.draining = body.draining
        self.good = self.ready and not self.draining
        if self.draining:
            self.oneway(body)  # behind all that was sent, so that the node need not wait for more

    def _part(self, frame: Frame | Invalid) -> None:
        """A part of a reply came. One that is late is passed over. Raises BadMessage for what was not asked for."""
        if isinstance(frame, Invalid):
            raise BadMessage(f"not a frame: {frame.message}")
        if not isinstance(frame, Part):
            raise BadMessage(f"{self.name} sent a frame that only clients send")
        if frame.id > self._last_id:
            raise BadMessage(f"{self.name} sent a part of a reply to no request")
        call = self.pending.get(frame.id)
        if call is None:
            return
        incoming = self._parts.get(frame.id)
        if incoming is None:
            if type(call[2]) is not Call:
                raise BadMessage(f"{self.name} sent a part of a reply that has none")
            incoming = self._parts[frame.id] = IncomingParts(None)
        incoming.window.take(len(frame.data))
        if incoming.take is not None:
            try:
                incoming.take(frame.data)
            except Exception as error:
                self.on_bug(error)
            return
        incoming.joined += frame.data
        if len(incoming.joined) > VALUE_BYTES_MAX:
            raise BadMessage(f"{self.name} sent a reply of more than {VALUE_BYTES_MAX} bytes")
        if incoming.window.left < PARTS_WINDOW_BYTES // 2:
            self.credit(frame.id, PARTS_WINDOW_BYTES - incoming.window.left)

    def _withdraw(self, id: int) -> bool:
        """Take a call back. Returns whether it had been sent, and so needs a Cancel."""
        self._parts.pop(id, None)
        data = self._out.pop(id, None)
        if data is not None:
            self._out_bytes -= len(data)
            return False
        if self.error is None:
            self._queue(encode_frame(Cancel(id)))
        return True

    def _in_time(self, out: dict[int, bytes], now: float) -> dict[int, bytes]:
        """What is worth sending. Calls whose time is over stay here, where `sweep` finds that they did not happen."""
        late = {id: data for id, data in out.items() if id in self.pending and self.pending[id][1] <= now}
        self._out, self._out_bytes = late, sum(map(len, late.values()))
        return {id: data for id, data in out.items() if id not in late}

    def _settle(self) -> None:
        """What was gathered becomes a frame, in its place among the others."""
        gathered, self._gathered = self._gathered, []
        self._out_bytes -= sum(map(len, gathered))
        self._queue(encode_frame(OneWays(gathered)))  # type: ignore[arg-type]

    def _queue(self, data: bytes) -> None:
        if self._gathered:
            self._settle()
        self._last_id += 1
        self._out[self._last_id] = data
        self._out_bytes += len(data)
        self._arm()

    def _arm(self) -> None:
        if not self.armed:
            self.armed = True
            self.on_output()

    def _tell(self, done: Done, outcome: Outcome) -> None:
        try:
            done(outcome)
        except Exception as error:
            self.on_bug(error)


def _encode(message: Request | Body, body: Body) -> bytes:
    """A message, refused here when the node would have to close the connection over it."""
    try:
        data = _encode_any(message)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise Usage(f"{type(body).__name__.lower()}: an argument cannot be sent: {error}") from None
    if len(data) > FRAME_BYTES_MAX:
        raise TooLarge(f"the message has {len(data)} bytes; {FRAME_BYTES_MAX} are allowed")
    return data


def _nothing(*_: object) -> None:
    """Nobody wants to know."""


def _reraise(error: Exception) -> None:
    raise error
