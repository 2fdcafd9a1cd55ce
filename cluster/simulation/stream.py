"""One side of a simulated byte stream: what is written arrives in order, late, cut anywhere, and never with a hole.

Each side is one queue towards the other. Data, the handshake and the end of the stream all travel in it, so that a
partition, a pause or a slow link holds them back in their order. The state is below the process (the kernel's), the
handler is the process's: a paused process's port still accepts, a killed process's streams still end.
"""

from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Any

from cluster.env import Address, LinkHandler
from cluster.simulation.route import Route
from cluster.simulation.schedule import ScheduledCall, SimulatedProcess

if TYPE_CHECKING:
    from cluster.simulation.network import SimulatedNetwork

WRITE_BUFFER_HIGH = 256 << 10  # bytes not yet taken by the other side: the buffers of the loop and of both kernels
WRITE_BUFFER_LOW = 64 << 10
READ_SIZE = 256_000  # uvloop's UV_STREAM_RECV_BUF_SIZE
READS_PER_PASS = 32


class State(Enum):
    """Where one side of a stream stands."""

    DIALLING = 1
    OPEN = 2
    ENDING = 3  # closed or aborted by this side, which has yet to hear of it
    ENDED = 4
    VANISHED = 5  # its machine lost power without a word


class Sign(Enum):
    """What travels in a stream beside data."""

    DIAL = "dial"
    CONNECTED = "connected"
    CLOSED = "closed"
    RESET = "reset"
    REFUSED = "refused"


class SimulatedLink:
    """One side of a stream: the node's `Link`, and the kernel's socket behind it."""

    __slots__ = (
        "_held_back",
        "_in_flight",
        "_last_arrival",
        "_network",
        "_paused",
        "_queue",
        "_reading",
        "_schedule",
        "_unread",
        "fresh",
        "handler",
        "local",
        "other",
        "peer",
        "process",
        "route",
        "state",
        "timer",
    )

    def __init__(
        self,
        network: "SimulatedNetwork",
        process: SimulatedProcess,
        route: Route,
        local: Address,
        peer: Address,
        state: State,
    ) -> None:
        self._network = network
        self._schedule = network.schedule
        self._queue: deque[bytes | Sign] = deque()  # towards the other side
        self._last_arrival = 0.0  # of what is in the queue: nothing overtakes
        self._held_back = 0  # how many of the queue's items have met a partition
        self._in_flight = 0  # bytes that the other side has not taken
        self._paused = False
        self._reading = True
        self._unread: deque[bytes | Sign] = deque()  # what came while it did not read
        self.fresh = False  # accepted by a process that was stopped, which has yet to take note of it
        self.process = process
        self.route = route
        self.local = local
        self.peer = peer
        self.state = state
        self.handler: LinkHandler | None = None
        self.other: SimulatedLink | None = None
        self.timer: ScheduledCall | None = None

    # What the process does.

    def write(self, data: bytes | bytearray) -> None:
        """Queue bytes for sending; none on a stream that is not open."""
        if self.state is not State.OPEN or not data:
            return
        data = bytes(data)
        at = self._network.note_write(self.route, data)
        self._in_flight += len(data)
        if at:
            self.push(data[:at])
            self.push(data[at:])
        else:
            self.push(data)
        if self.process.trap is not None:
            self.process.trap("write")
        if self._in_flight > WRITE_BUFFER_HIGH and not self._paused:
            self._paused = True
            assert self.handler is not None
            self.handler.pause()

    def pause_reading(self) -> None:
        """Take no more bytes for now; what comes waits in the kernel, the end of the stream behind it."""
        self._reading = False

    def resume_reading(self) -> None:
        """Take bytes again, from the next pass on."""
        if not self._reading:
            self._reading = True
            self._schedule.soon(self.process, self._read_on)

    def _read_on(self) -> None:
        while self._reading and self._unread:
            self._take(self._unread.popleft())

    def close(self) -> None:
        """Send what is queued, then close."""
        self._finish(Sign.CLOSED, "closed")

    def abort(self) -> None:
        """Close at once with a reset; what is on its way may be lost."""
        if self.state is State.OPEN and self._network.random.random() < 0.5:
            self._queue = deque(b"" if isinstance(item, bytes) else item for item in self._queue)
        self._finish(Sign.RESET, "aborted")

    def _finish(self, sign: Sign, reason: str) -> None:
        if self.state is State.OPEN:
            self.state = State.ENDING
            self.push(sign)
            self._schedule.soon(self.process, self._end, (reason,))

    # What the kernel does.

    def push(self, item: bytes | Sign) -> None:
        """Send one item to the other side, after all that was sent before."""
        when = self._schedule.now + self._network.stream_delay(self.route)
        if when < self._last_arrival:
            when = self._last_arrival
        self._last_arrival = when
        self._queue.append(item)
        self._schedule.at(when, self._schedule.kernel, self._arrive)

    def _arrive(self) -> None:
        if self._held_back or self.route.blocked or self._blocked():
            self._held_back += 1
            self._network.hold(self)
        else:
            self._deliver()

    def _blocked(self) -> bool:
        """A dial needs both directions: the answer belongs to the handshake."""
        return self.route.blocked or (self._queue[0] is Sign.DIAL and self.route.back.blocked)

    def flush(self) -> None:
        """Deliver what a partition held back, now that it has healed."""
        if self._held_back and self._blocked():
            self._network.hold(self)  # parted again
            return
        count, self._held_back = self._held_back, 0
        for _ in range(count):
            self._deliver()

    def _deliver(self) -> None:
        item = self._queue.popleft()
        if item is Sign.DIAL:
            self._network.answer(self)
            return
        other = self.other
        assert other is not None
        if other.state is State.VANISHED and self._network.is_up(other.process.name):
            other.state = State.ENDED  # its machine is back and knows nothing of the stream
            other.push(Sign.RESET)
        else:
            self._schedule.receive(other.process, other, item)

    def vanish(self, sign: Sign | None) -> None:
        """The process is dead; the other side hears of it by `sign`, or not at all."""
        if self.state is State.DIALLING and self.other is None:
            self.state = State.ENDED  # the dial may still arrive, and finds nobody
        elif sign is None:
            self.state = State.VANISHED
        elif self.state is not State.ENDING:  # which has said so
            self.state = State.ENDED
            self.push(sign)

    # What the kernel tells the process.

    def take(self, item: bytes | Sign) -> None:
        """One item from the other side, in the process's own time."""
        if self._reading and not self._unread:
            self._take(item)
        else:
            self._unread.append(item)

    def _take(self, item: bytes | Sign) -> None:
        if isinstance(item, bytes):
            if self.state is State.OPEN and item:
                sender = self.other
                assert self.handler is not None and sender is not None
                sender._in_flight -= len(item)
                if sender._paused:
                    sender.taken()
                self.handler.received(item)
        elif item is Sign.CONNECTED:
            if self.state is State.DIALLING:
                self.state = State.OPEN
                assert self.handler is not None and self.timer is not None
                self.timer.cancel()
                self.handler.connected(self)
        else:
            self._end(item.value)

    def read(self, items: list[bytes | Sign]) -> int:
        """What one pass reads: all that has come, in pieces as large as the loop's buffer, up to a limit (libuv's
        uv__read goes round 32 times). A stream that was just accepted is read a pass later."""
        if self.fresh:
            self.fresh = False
            return 0
        size, taken = 0, 0
        for item in items:
            if not isinstance(item, bytes) or size >= READS_PER_PASS * READ_SIZE:
                break
            size += len(item)
            taken += 1
        if not taken:
            self.take(items[0])
            return 1
        data = b"".join(item for item in items[:taken] if isinstance(item, bytes))
        for start in range(0, len(data), READ_SIZE):
            self.take(data[start : start + READ_SIZE])
        return taken

    def taken(self) -> None:
        """The other side has read some bytes."""

        def drained() -> None:
            if self.state is State.OPEN and self.handler is not None:
                self.handler.resume()

        if self._paused and self._in_flight <= WRITE_BUFFER_LOW:
            self._paused = False
            self._schedule.soon(self.process, drained)

    def accepted(self, accept: Any) -> None:
        """The listener's process gives the stream its handler, or closes it."""
        self.fresh = self in self.process.incoming
        self.handler = accept(self.peer)
        if self.handler is not None:
            self.handler.connected(self)
        else:
            self.close()

    def timed_out(self) -> None:
        """Nothing came of the dial in time."""
        if self.state is State.DIALLING:
            if self.other is not None:
                self.push(Sign.RESET)
            self._end("timeout")

    def _end(self, reason: str) -> None:
        if self.state is not State.ENDED:
            self.state = State.ENDED
            if self.timer is not None:
                self.timer.cancel()
            self._network.forget(self)
            if self.handler is not None:
                self.handler.lost(reason)
