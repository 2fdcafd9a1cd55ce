"""How an answer leaves: whole when it is small, in parts under credit when it is large.

A large reply that left whole would stand before all small ones on its connection. In parts, one window of it is on the
way at most, and the others come between (see `cluster.wire.parts`).
"""

from cluster.env import Clock, Timer
from cluster.errors import ClusterError, Maybe
from cluster.limits import PART_BYTES_MAX, PARTS_WINDOW_BYTES
from cluster.ports import Inbound
from cluster.wire.parts import PartWriter
from cluster.wire.requests import CallDone


def answer(inbound: Inbound, clock: Clock, outcome: CallDone | ClusterError) -> None:
    """Answer a call."""
    if not isinstance(outcome, CallDone):
        inbound.fail(outcome)
    elif len(outcome.payload) <= PARTS_WINDOW_BYTES:
        inbound.reply(outcome)
    else:
        _LargeReply(inbound, outcome, clock)


class _LargeReply:
    """A reply on its way in parts. Its last bytes go with the CallDone."""

    def __init__(self, inbound: Inbound, done: CallDone, clock: Clock) -> None:
        self._inbound = inbound
        self._done = done
        self._writer = writer = PartWriter(inbound.part)
        payload = done.payload
        done.payload = payload[-PART_BYTES_MAX:]
        inbound.on_credit(writer.credit)
        writer.write(payload[:-PART_BYTES_MAX])
        self._timer: Timer | None = None
        if writer.waits:
            writer.on_sent = self._end
            inbound.on_cancel(self._stop)
            self._timer = clock.call_at(inbound.deadline, self._expire)
        else:
            self._end()

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._writer.failed:
            self._inbound.fail(Maybe("a part of the reply was lost: the queue to its reader is full"))
        else:
            self._inbound.reply(self._done)

    def _expire(self) -> None:
        """Its reader is too slow. It waits no longer, and what is left is not kept for it."""
        self._writer.stop()
        self._inbound.fail(Maybe("the deadline passed before the reply was read"))

    def _stop(self) -> None:
        self._writer.stop()
        if self._timer is not None:
            self._timer.cancel()
