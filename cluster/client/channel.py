"""One asyncio connection to one node, by callbacks: thousands of calls in flight, no task and no future for any.

All that one pass of the loop produced leaves in one write; all that arrived is decoded in one pass. A frame stays in
`_out` until it is written, so what never left is known to be definite. A channel lives once: dialled, up, ended.
"""

import asyncio
import os
from collections.abc import Callable
from typing import cast

from cluster.client.certainty import GRACE_S, expired, lost
from cluster.client.link import DIAL_S
from cluster.client.locate import Address
from cluster.errors import BadMessage, ClusterError, DeadlinePassed, Overloaded, Unreachable, from_code
from cluster.wire.frames import Body, Cancel, Failure, FrameReader, OneWay, Reply, Request, encode_frame
from cluster.wire.handshake import LANE_FOREGROUND, NONCE_BYTES, Dialler, Party

Outcome = Body | ClusterError
Done = Callable[[Outcome], object]

CALLS_MAX = 65_536
"""Calls in flight on one channel; at 40,000 a second this is what a node may owe for more than a second."""
OUT_BYTES_MAX = 32 * 1024 * 1024
"""What may wait for a node that does not read; more is refused at once."""
DOUBT_S = 0.5
"""A node silent for so long while a call ran out of time is avoided until it is heard again."""


class Channel(asyncio.Protocol):
    """`on_up` and `on_end` are called once each at most; `on_push` with every body that the node sends on its own."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        name: str,
        address: Address,
        secret: bytes,
        me: Party,
        on_up: Callable[["Channel"], None],
        on_end: Callable[["Channel"], None],
        on_push: Callable[[Body], None],
    ) -> None:
        self.name = name
        self.address = address
        self.up = False
        self.error: ClusterError | None = None
        self.doubtful = False
        self.pending: dict[int, tuple[Done, float, Body]] = {}
        self.ended: list[Callable[[], None]] = []
        """Called when the channel ends, after `on_end`."""
        self.closed = loop.create_future()
        self._loop = loop
        self._time = loop.time
        self._on_up, self._on_end, self._on_push = on_up, on_end, on_push
        self._dialler = Dialler(secret, me, LANE_FOREGROUND, os.urandom(NONCE_BYTES), "" if ":" in name else name)
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._out: dict[int, bytes] = {}  # by call, in the order of the calls, until written
        self._out_bytes = 0
        self._armed = False
        self._paused = False
        self._last_id = 0
        self._heard_at = self._time()
        self._timer = loop.call_later(DIAL_S, self.end, Unreachable(f"{name}: silent"))
        self._dialling = loop.create_task(self._dial())

    # -- calls

    def call(self, body: Body, deadline: float, done: Done, layout: int = 0, trace: str = "") -> int:
        """Send a request; `done` is called once, never before this returns, with the reply or an error.

        `deadline` is a time of the loop. Returns the number to cancel it by. Waits for the handshake when the channel
        is not up yet. Raises Overloaded, and Unreachable when the channel has ended: nothing is sent then.
        """
        if self.error is not None:
            raise Unreachable(self.error.message)
        if len(self.pending) >= CALLS_MAX or self._out_bytes > OUT_BYTES_MAX:
            raise Overloaded(f"{self.name}: too much is waiting for this node")
        id = self._last_id + 1
        remaining_ms = int((deadline - self._time()) * 1000)
        data = encode_frame(Request(id, remaining_ms if remaining_ms > 0 else 1, layout, body, trace))
        self._last_id = id
        self.pending[id] = (done, deadline, body)
        self._out[id] = data
        self._out_bytes += len(data)
        if not self._armed:
            self._armed = True
            self._loop.call_soon(self._flush)
        return id

    def oneway(self, body: Body) -> bool:
        """Send a body that wants no answer; False when it is refused. It may be lost with the connection."""
        if self.error is not None or self._out_bytes > OUT_BYTES_MAX:
            return False
        self._queue(encode_frame(OneWay(body)))
        return True

    def cancel(self, id: int) -> None:
        """Forget a call without an outcome, and tell the node. Harmless when it is over."""
        if self.pending.pop(id, None) is not None:
            self._withdraw(id)

    def sweep(self, now: float) -> None:
        """Give up on the calls whose time is over. A node may answer until the very end, so it gets a little more."""
        limit = now - GRACE_S
        due = [id for id, call in self.pending.items() if call[1] <= limit]
        for id in due:
            call = self.pending.pop(id, None)
            if call is None:  # finished by the callback of another
                continue
            done, _, body = call
            if self._withdraw(id):
                self.doubtful = self.doubtful or now - self._heard_at > DOUBT_S
                self._tell(done, expired(body, self.name))
            else:
                self._tell(done, DeadlinePassed(f"{self.name}: the request could not be sent in time"))

    def _withdraw(self, id: int) -> bool:
        """Take a call back. Returns whether it had been written, and so needs a Cancel."""
        data = self._out.pop(id, None)
        if data is not None:
            self._out_bytes -= len(data)
            return False
        if self.error is None:
            self._queue(encode_frame(Cancel(id)))
        return True

    def _queue(self, data: bytes) -> None:
        self._last_id += 1
        self._out[self._last_id] = data
        self._out_bytes += len(data)
        if not self._armed:
            self._armed = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._armed = False
        if self.up and not self._paused and self._out and self._transport is not None:
            data = b"".join(self._out.values())
            self._out.clear()
            self._out_bytes = 0
            self._transport.write(data)

    # -- the stream

    async def _dial(self) -> None:
        try:
            await self._loop.create_connection(lambda: self, *self.address)
        except OSError as error:
            words = os.strerror(error.errno) if error.errno else str(error)
            self.end(Unreachable(f"{self.name}: {words.lower()}"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The stream is open: begin the handshake."""
        self._transport = stream = cast(asyncio.Transport, transport)  # uvloop's are not of asyncio's classes
        if self.error is not None:
            stream.abort()
        else:
            stream.write(self._dialler.start())

    def data_received(self, data: bytes) -> None:
        """Bytes came: replies find their calls."""
        self._heard_at = self._time()
        self.doubtful = False
        try:
            if not self.up:
                data = self._greet(data)
            frames = self._reader.feed(data)
        except ClusterError as error:
            self.end(error)
            return
        take = self.pending.pop
        for frame in frames:
            if type(frame) is Reply:
                call = take(frame.id, None)
                if call is not None:
                    try:  # as `_tell`
                        call[0](frame.body)
                    except Exception as error:
                        self._failed(error)
            elif isinstance(frame, Failure):
                call = take(frame.id, None)
                if call is not None:
                    self._tell(call[0], from_code(frame.code, frame.message))
            elif isinstance(frame, OneWay):
                self._on_push(frame.body)
            else:
                self.end(BadMessage(f"{self.name} sent a frame that only clients send"))
                return

    def _greet(self, data: bytes) -> bytes:
        """One step of the handshake. Returns the frames behind it."""
        answer = self._dialler.feed(data)
        assert self._transport is not None
        if answer:
            self._transport.write(answer)
        if self._dialler.peer is None:
            return b""
        self._timer.cancel()
        self.up = True
        self._on_up(self)
        self._flush()
        return self._dialler.rest

    def _tell(self, done: Done, outcome: Outcome) -> None:
        try:
            done(outcome)
        except Exception as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        """A caller's bug must not take the connection, and all other calls, with it."""
        self._loop.call_exception_handler({"message": "a callback of a call failed", "exception": error})

    def connection_lost(self, error: Exception | None) -> None:
        """The stream ended."""
        words = "closed the connection" if error is None else (getattr(error, "strerror", "") or str(error)).lower()
        self.end(Unreachable(f"{self.name}: {words}"))
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        """The node reads slower than this side writes."""
        self._paused = True

    def resume_writing(self) -> None:
        """The node has caught up."""
        self._paused = False
        self._flush()

    def end(self, error: ClusterError) -> None:
        """End the channel, and every call on it: definite for what never left, else as `certainty` says."""
        if self.error is not None:
            return
        self.error, self.up = error, False
        self._timer.cancel()
        if self._transport is not None:
            self._transport.close()
        else:
            self._dialling.cancel()
            self.closed.set_result(None)
        unsent, self._out = self._out, {}
        calls, self.pending = self.pending, {}
        self._on_end(self)
        for told in self.ended:
            told()
        for id, (done, _, body) in calls.items():
            never_left = Unreachable(error.message) if not isinstance(error, Unreachable) else error
            self._tell(done, never_left if id in unsent else lost(body, self.name, error.message))

    def abort(self) -> None:
        """Close the stream without waiting for what is still to be written."""
        if self._transport is not None:
            self._transport.abort()
