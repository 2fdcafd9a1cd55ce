"""How an answer leaves: whole when it is small, in parts under credit when it is large or a stream.

A large reply that left whole would stand before all small ones on its connection. In parts, one window of it is on the
way at most, and the others come between (see `cluster.wire.parts`).
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Protocol

from cluster.env import Clock, Timer
from cluster.errors import ClusterError, Maybe
from cluster.limits import PART_BYTES_MAX, PARTS_WINDOW_BYTES
from cluster.ports import Inbound
from cluster.requests.nested import HandlerFuture
from cluster.wire.parts import PartWriter
from cluster.wire.requests import CallDone


class PartSink(Protocol):
    """Takes the parts of an answer; an `Inbound` is one."""

    def on_credit(self, function: Callable[[int], None]) -> None:
        """There will be parts: one window, and then as many bytes as `function` is called with."""

    def part(self, data: bytes) -> bool:
        """A part. False when it is lost."""


class CallAnswers:
    """The answers of one node's calls."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.under_way = 0
        """Large replies that are not read to their end: a drain waits for them."""

    def answer(self, inbound: Inbound, outcome: CallDone | ClusterError) -> None:
        """Answer a call."""
        if not isinstance(outcome, CallDone):
            inbound.fail(outcome)
        elif len(outcome.payload) <= PARTS_WINDOW_BYTES or outcome.replies is not None:
            inbound.reply(outcome)
        else:
            LargeReply(self, inbound, outcome)


class LargeReply:
    """A reply on its way in parts. Its last bytes go with the CallDone."""

    def __init__(self, answers: CallAnswers, inbound: Inbound, done: CallDone) -> None:
        self._answers = answers
        self._inbound = inbound
        self._done = done
        self._writer = writer = PartWriter(inbound.part)
        payload = done.payload
        done.payload = payload[-PART_BYTES_MAX:]
        answers.under_way += 1
        inbound.on_credit(writer.credit)
        writer.write(payload[:-PART_BYTES_MAX])
        self._timer: Timer | None = None
        if writer.waits:
            writer.on_sent = self._end
            inbound.on_cancel(self._stop)
            self._timer = answers.clock.call_at(inbound.deadline, self._expire)
        else:
            self._end()

    def _end(self) -> None:
        self._answers.under_way -= 1
        if self._timer is not None:
            self._timer.cancel()
        if self._writer.failed:
            self._inbound.fail(Maybe("a part of the reply was lost: the queue to its reader is full"))
        else:
            self._inbound.reply(self._done)

    def _expire(self) -> None:
        """Its reader is too slow. It waits no longer, and what is left is not kept for it."""
        self._answers.under_way -= 1
        self._writer.stop()
        self._inbound.fail(Maybe("the deadline passed before the reply was read"))

    def _stop(self) -> None:
        self._answers.under_way -= 1
        self._writer.stop()
        if self._timer is not None:
            self._timer.cancel()


class RowStream:
    """Sends the rows that a handler yields, as JSON lines, no faster than they are read.

    What is yielded in one pass leaves together at its end. A handler that yields without ever waiting is stopped at
    each part for the others of its loop, and when a window was sent and not read, until it is. `future` makes
    what is waited for.
    """

    def __init__(self, sink: PartSink, clock: Clock, future: Callable[[], HandlerFuture]) -> None:
        self.replies = 0
        """Rows so far."""
        self._clock = clock
        self._future = future
        self._writer = PartWriter(sink.part)
        self._rows = bytearray()  # of this pass
        self._flushing: Timer | None = None
        sink.on_credit(self._writer.credit)

    @property
    def lost(self) -> bool:
        """Whether a part was lost, and with it what would have followed."""
        return self._writer.failed

    async def run(self, rows: AsyncGenerator[Any, None], encode: Callable[[Any], bytes]) -> None:
        """Send all rows. Raises what the generator or `encode` raises, after the rows before it have been sent."""
        try:
            async with aclosing(rows):
                async for row in rows:
                    self._rows += encode(row)
                    self._rows += b"\n"
                    self.replies += 1
                    if self._writer.waits or len(self._rows) >= PART_BYTES_MAX:
                        await self._sent()
                        if self.lost:
                            return
                    elif self._flushing is None:
                        self._flushing = self._clock.call_soon(self._flush)
        except Exception:
            await self._sent()
            raise
        finally:
            if self._flushing is not None:
                self._flushing.cancel()
        await self._sent()

    def _flush(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        rows, self._rows = self._rows, bytearray()
        self._writer.write(bytes(rows))

    async def _sent(self) -> None:
        """Send what there is, and wait until there is room for more; for one pass at least."""
        self._flush()
        wake = self._future()

        def resume() -> None:
            if not wake.done():
                wake.set_result(None)

        if self._writer.waits:
            self._writer.on_sent = resume
        else:
            self._clock.call_soon(resume)
        await wake
