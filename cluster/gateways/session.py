"""One connection of a gateway's client: the stream, what waits to be written, the password, and how it ends.

A protocol adds how it reads (`received`), what it begins (`work`) and whether something is under way (`idle`). Output
is gathered, and written once a pass. What waits for a client that does not read is bounded: a protocol that answers
requests stops reading, and one that pushes cuts the client off, which learns by it that it has missed something.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cluster.env import Address, Link
from cluster.errors import ClusterError
from cluster.limits import VALUE_BYTES_MAX
from cluster.wire.requests import CallDone
from cluster.wire.rights import ROLE_GATEWAY

if TYPE_CHECKING:
    from msgspec import Struct

    from cluster.gateways.listening import ListeningGateway

OUTPUT_BYTES_MAX = 8 * 1024 * 1024
"""What waits for a client that does not read; one with more than this is cut off, as in Redis and NATS."""


class GatewaySession:
    """See the module. A `LinkHandler` for the stream, and an `InboundLink` for the topics."""

    def __init__(self, gateway: "ListeningGateway[Any]", number: int, peer: Address) -> None:
        self.gateway = gateway
        self.number = number
        self.peer = peer
        self.began = gateway.host.clock.now()
        self.on_close: list[Callable[[], None]] = []
        self.ended = False
        self.proven = False
        self._link: Link | None = None
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._writes_paused = False
        self._reads_paused = False
        self._closing = False

    # -- what a protocol adds

    def received(self, data: bytes) -> None:
        """Bytes came."""
        raise NotImplementedError

    def work(self) -> None:
        """Begin what can begin, write what is to be written, and close what is over: at the end of a pass in which the
        session was marked, and when a client that had stopped reading has read."""
        raise NotImplementedError

    def push(self, body: "Struct", small: bool = False) -> bool:
        """A message of a topic, unless there is no room for it."""
        return False

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        raise NotImplementedError

    def drain(self) -> None:
        """The node wants to let go of it; it is closed once it is idle."""
        self.gateway.mark(self)

    # -- LinkHandler

    def connected(self, link: Link) -> None:
        """The stream is open."""
        self._link = link

    def lost(self, reason: str) -> None:
        """The stream is over."""
        self._link, self._closing, self.ended = None, True, True
        for function in self.on_close:
            function()
        self.gateway.ended(self)

    def pause(self) -> None:
        """The client does not read."""
        self._writes_paused = True

    def resume(self) -> None:
        """It has read."""
        self._writes_paused = False
        self.work()

    # -- what a protocol does to its connection

    def prove(self) -> None:
        """The password was right."""
        self.proven = True
        self.gateway.proven(self)

    def unprove(self) -> None:
        """It has to give the password again."""
        self.proven = False
        self.gateway.unproven(self)

    def close(self) -> None:
        """Read no more; close once what is under way has been answered."""
        self._closing = True

    def abort(self) -> None:
        """End it at once."""
        self._closing = True
        if self._link is not None:
            self._link.abort()

    def send(self, output: bytes) -> None:
        """Bytes for the client, with the others of this pass."""
        self._out.append(output)
        self._out_bytes += len(output)

    def cut_off(self, waiting: int) -> None:
        """End the connection of a client that does not read."""
        name = self.gateway.name
        self.gateway.host.record(
            f"{name}.closed", f"a client does not read: {waiting} bytes wait for it", peer=self.peer[0]
        )
        self.abort()

    def write(self) -> None:
        """Give the link what waits, if the client reads."""
        if self._out and not self._writes_paused and self._link is not None:
            data, self._out, self._out_bytes = self._out, [], 0
            self._link.write(data[0] if len(data) == 1 else b"".join(data))

    def settle(self, *, reads: bool) -> None:
        """Close, when all is said; else read on, or not."""
        link = self._link
        if link is None:
            return
        if self._closing and self.idle and not self._out:
            link.close()
        elif reads == self._reads_paused:
            self._reads_paused = not reads
            if reads:
                link.resume_reading()
            else:
                link.pause_reading()


class GatewayRequest:
    """A message to this node's own handler, from within: see `ports.Inbound`. `then` gets its outcome, once."""

    __slots__ = (
        "_cancels", "_credit", "_parts", "arrived", "body", "deadline", "is_too_long", "link", "on_part", "then",
        "trace",
    )  # fmt: skip

    sender = ""
    role = ROLE_GATEWAY

    def __init__(
        self, link: GatewaySession, body: "Struct", now: float, deadline: float, then: Callable[[Any], None],
        trace: str = "",
    ) -> None:  # fmt: skip
        self.link = link
        self.body = body
        self.arrived = now
        self.deadline = deadline
        self.then = then
        self.trace = trace
        self._cancels: Callable[[], None] | None = None
        self.on_part: Callable[[bytes], None] | None = None
        """Takes the parts of an answer as they come, and gives `credit` for them."""
        self.is_too_long = False
        """Whether the answer in parts had more bytes than are kept; it is none then."""
        self._credit: Callable[[int], None] | None = None
        self._parts = bytearray()

    def cancel(self) -> bool:
        """Nobody waits for it any more: what waits for something to happen ends, what has begun is carried out. Returns
        whether it only waited."""
        if self._cancels is None:
            return False
        self._cancels()
        return True

    def sender_time(self, at: float) -> float:
        """It has the same clock."""
        return at

    def reply(self, body: "Struct") -> None:
        """Answer, with what came in parts before the rest."""
        if self._parts and type(body) is CallDone:
            body.payload = bytes(self._parts) + body.payload
        self.then(body)

    def fail(self, error: ClusterError) -> None:
        """Answer with an error."""
        self.then(error)

    def push(self, body: "Struct") -> bool:
        """A message of a topic."""
        return self.link.push(body)

    def on_credit(self, function: Callable[[int], None]) -> None:
        """A large reply comes in parts. Unless `on_part` takes them they are kept, each followed by another at once."""
        self._credit = function

    def part(self, data: bytes) -> bool:
        """A part of the answer."""
        if self.on_part is not None:
            self.on_part(data)
            return True
        self._parts += data
        self.is_too_long = len(self._parts) > VALUE_BYTES_MAX
        if self.is_too_long:
            return False
        self.credit(len(data))
        return True

    def credit(self, count: int) -> None:
        """So many bytes of the parts have been taken in."""
        assert self._credit is not None
        self._credit(count)

    def on_cancel(self, function: Callable[[], None]) -> None:
        """Called by `cancel`, if the session calls that. A protocol whose operations are short carries out what has
        begun, also when its client goes away."""
        self._cancels = function
