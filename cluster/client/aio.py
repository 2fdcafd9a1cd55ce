"""The asyncio client: `async with cluster.connect("default") as c`. Runs under asyncio and under uvloop.

It only carries: bytes between sockets and the callers of a `Router`, and coroutines over operations. All that one pass
of the loop produced for a node leaves in one write, or in a few if it is much. Whoever needs tens of thousands of
operations a second uses the callback core itself (`Calls`). A client belongs to the loop that it was opened on; another
loop, thread or process is refused.
"""

import asyncio
import os
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any, Self, TypeVar, cast

from cluster.client.admin import Admin
from cluster.client.aio_queues import AioQueues
from cluster.client.aio_streams import AioReplies
from cluster.client.aio_topics import MOVE_S, Subscription, Topics, check_loop
from cluster.client.dispatch import Dispatch, StreamDispatch
from cluster.client.keyed import Contexts
from cluster.client.kv import Kv
from cluster.client.locate import Address, Location, addresses, find
from cluster.client.operation import Bounded, Gather, Send, Steps, check_count, check_name
from cluster.client.questions import Questions
from cluster.client.requests import Requests
from cluster.client.router import Router
from cluster.client.topics import Listening
from cluster.env.real_boot import boot_id
from cluster.env.real_local import open_stream
from cluster.errors import ClusterError, Unreachable, Usage
from cluster.layout.entry import LayoutEntry
from cluster.limits import CLIENT_TIMEOUT_S
from cluster.wire.caller import Caller, Done, Outcome
from cluster.wire.kv import AddItems, Get, Got, Increment, Keys, KeysFound, KvOperation, Put, PutDone, Update, Updated
from cluster.wire.queues import (
    Outgoing,
    QueueAck,
    QueueAnswered,
    QueueReceive,
    QueueReceived,
    QueueSend,
    QueueSent,
)
from cluster.wire.requests import Call, CallDone
from cluster.wire.rows import IncomingRows, Row, RowFormat
from cluster.wire.topics import Message, Publish, Published

__all__ = [
    "AddItems",
    "Call",
    "CallDone",
    "Calls",
    "Client",
    "Got",
    "Increment",
    "KeysFound",
    "Message",
    "Outcome",
    "Published",
    "PutDone",
    "QueueAnswered",
    "QueueReceived",
    "QueueSent",
    "Updated",
    "connect",
]

CLOSE_S = 1.0
"""How long closing waits for what is still to be written."""

R = TypeVar("R")


def connect(
    target: str | list[str] | list[Address] = "default",
    *,
    secret: bytes | None = None,
    cluster: str | None = None,
    via: str | None = None,
    timeout: float = CLIENT_TIMEOUT_S,
    seed: int | None = None,
) -> "Client":
    """A client of the cluster called `target`, or of the nodes at some addresses (with `secret`, and the cluster's name
    when it is not `default`); enter it with `async with`. `via`: talk to this node only. `timeout` in seconds bounds
    each operation; `seed` fixes which owner is asked first. Raises UnknownCluster, Damaged or Usage.
    """
    return Client(find(target, secret, cluster), via, timeout, seed)


class AioStream(asyncio.Protocol):
    """One connection, from the dial on."""

    def __init__(self, loop: asyncio.AbstractEventLoop, address: Address, caller: Caller) -> None:
        self.closed = loop.create_future()
        """Done when nothing is left to be written."""
        self._caller = caller
        self._transport: asyncio.Transport | None = None
        self._paused = False
        caller.on_output = partial(loop.call_soon, self._flush)
        caller.on_full = self._flush

        async def dial() -> None:
            try:
                await open_stream(loop, self, *address)
            except OSError as error:
                words = os.strerror(error.errno) if error.errno else str(error)
                caller.end(Unreachable(f"{caller.name}: {words.lower()}"))

        self._dialling = loop.create_task(dial())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The stream is open: the handshake begins."""
        self._transport = stream = cast(asyncio.Transport, transport)  # uvloop's are not of asyncio's classes
        if self._caller.error is not None:
            stream.abort()
        else:
            self._flush()

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self._caller.feed(data, monotonic())

    def connection_lost(self, error: Exception | None) -> None:
        """The stream ended."""
        words = "closed the connection" if error is None else (getattr(error, "strerror", "") or str(error)).lower()
        self._caller.end(Unreachable(f"{self._caller.name}: {words}"))
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        """The node reads slower than this side writes."""
        self._paused = True

    def resume_writing(self) -> None:
        """The node has caught up."""
        self._paused = False
        self._flush()

    def _flush(self) -> None:
        if self._transport is not None and not self._paused:
            frames = self._caller.take(monotonic())
            if frames and not self._transport.is_closing():
                self._transport.write(b"".join(frames.values()))

    def close(self) -> None:
        """End it, after what was written."""
        if self._transport is not None:
            self._transport.close()
        else:
            self._dialling.cancel()
            if not self.closed.done():
                self.closed.set_result(None)

    def abort(self) -> None:
        """End it without waiting for what is still to be written."""
        if self._transport is not None:
            self._transport.abort()


class AioSession(Bounded, Questions["AioSession"]):
    """One cluster, asked with bodies of the wire. A context manager; see `Client`."""

    def __init__(
        self, location: Location, via: str | None = None, timeout: float = CLIENT_TIMEOUT_S, seed: int | None = None
    ) -> None:
        Bounded.__init__(self, timeout)
        Questions.__init__(self, self)
        self.location = location
        self.contexts = Contexts()
        """What this session has seen of each key."""
        self._via = check_name(via, "`via`")
        self._seed = None if seed is None else check_count(seed, "seed", -(1 << 63), (1 << 63) - 1)
        self._router: Router | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._streams: dict[AioStream, None] = {}
        self._changed = asyncio.Event()

        self.now = monotonic
        """The system's clock: uvloop's stands still within a pass."""

    # -- what a router wants of its carrier

    def call_later(self, delay_s: float, function: Callable[[], object]) -> asyncio.TimerHandle:
        """See Carrier."""
        assert self._loop is not None
        return self._loop.call_later(delay_s, function)

    def boot_id(self) -> str:
        """See Carrier."""
        return boot_id()

    def random_bytes(self, size: int) -> bytes:
        """See Carrier."""
        return os.urandom(size)

    def dial(self, address: Address, caller: Caller) -> AioStream:
        """See Carrier."""
        assert self._loop is not None
        stream = AioStream(self._loop, address, caller)
        self._streams[stream] = None
        stream.closed.add_done_callback(lambda _: self._streams.pop(stream, None))
        return stream

    # -- the session

    async def __aenter__(self) -> Self:
        if self._router is not None and not self._router.closed:
            raise Usage("this client is open: make another with `cluster.connect`")
        self._loop, self._changed = loop, _ = asyncio.get_running_loop(), asyncio.Event()
        turn = int.from_bytes(os.urandom(2), "big") if self._seed is None else self._seed
        self._router = router = Router(self, self.location, self._via, turn=turn)
        router.on_change = self._changed.set
        router.on_bug = lambda error: loop.call_exception_handler(
            {"message": "a callback of a call failed", "exception": error}
        )
        try:
            router.start()
            while not router.ready:
                if (error := router.refused) is not None:
                    raise error
                self._changed.clear()
                await self._changed.wait()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the session. Operations that still wait end as lost; subscriptions end."""
        router = self._router
        if router is None or router.closed:
            return
        self._check_loop()
        router.close()
        streams = list(self._streams)
        if streams:
            _, late = await asyncio.wait([stream.closed for stream in streams], timeout=CLOSE_S)
            for stream in streams if late else ():
                stream.abort()

    @property
    def is_open(self) -> bool:
        """Whether it was entered, and not closed since."""
        return self._router is not None and not self._router.closed

    @property
    def router(self) -> Router:
        """The callback core. Raises Unreachable when the session is not open, and Usage on another loop."""
        if self._router is None or self._router.closed:
            raise Unreachable("this client is not connected: use `async with cluster.connect(...)`")
        self._check_loop()
        return self._router

    def _check_loop(self) -> None:
        if self._loop is not None:
            check_loop(self._loop)

    def operation_id(self) -> str:
        """See Session."""
        return (self._router or self.router).operation_id()

    async def run(self, steps: Steps[R]) -> R:
        """Carry one operation of a family. Cancelling it tells the nodes."""
        outcome: Any
        try:
            step = next(steps)
            while True:
                try:
                    if isinstance(step, Send):
                        future, dispatch = self._send(step)
                        try:
                            outcome = await future
                        except asyncio.CancelledError:
                            dispatch.cancel()
                            raise
                    else:
                        outcome = await self._gather(step)
                except ClusterError as error:  # refused, and nothing was sent
                    outcome = error
                step = steps.throw(outcome) if isinstance(outcome, ClusterError) else steps.send(outcome)
        except StopIteration as stop:
            result: R = stop.value
            return result

    def stream(self, call: Call, timeout: float | None, format: RowFormat[Row]) -> AioReplies[Row]:
        """Begin a call whose reply is a stream; what to iterate over."""
        router, loop = self.router, self._loop
        assert loop is not None
        deadline = monotonic() + (self.timeout if timeout is None else timeout)
        return AioReplies(IncomingRows(router, call, deadline, format), loop)

    def _send(self, send: Send) -> tuple[asyncio.Future[Outcome], Dispatch]:
        """Send one message; its outcome, an error too, is the future's result."""
        router, loop = self.router, self._loop
        assert loop is not None
        future: asyncio.Future[Outcome] = loop.create_future()

        def settle(outcome: Outcome) -> None:
            if not future.done():
                future.set_result(outcome)

        deadline = monotonic() + (self.timeout if send.timeout is None else send.timeout)
        return future, router.call(send.body, deadline, settle, send.key, send.node, send.trace)

    async def _gather(self, gather: Gather) -> dict[str, Outcome]:
        begun = {name: self._send(Send(body, gather.timeout, None, name)) for name, body in gather.bodies.items()}
        try:
            return {name: await future for name, (future, _) in begun.items()}
        except asyncio.CancelledError:
            for _, dispatch in begun.values():
                dispatch.cancel()
            raise

    def use_layout(self, entry: LayoutEntry) -> None:
        """Route by another layout entry from now on, for example after nodes were added. Raises Usage."""
        if not isinstance(entry, LayoutEntry):
            raise Usage(f"a layout entry is needed, not {type(entry).__name__}")
        nodes = addresses(entry)
        self.location = Location(self.location.name, self.location.secret, nodes, entry)
        self.router.use(nodes, entry)


class Client(AioSession):
    """A session with one cluster. Entering it raises Unreachable, HandshakeRefused, or NotFound for a wrong `via`."""

    def __init__(
        self, location: Location, via: str | None = None, timeout: float = CLIENT_TIMEOUT_S, seed: int | None = None
    ) -> None:
        super().__init__(location, via, timeout, seed)
        self.kv: Kv[AioSession] = Kv(self)
        self.topics = Topics(self)
        self.queues = AioQueues(self)
        self.requests: Requests[AioSession] = Requests(self)
        self.admin: Admin[AioSession] = Admin(self)


class Calls:
    """Operations by callback: no future and no task for any, so that one process offers tens of thousands a second.

    Over the router of an open client. `timeout` in seconds bounds each operation. `done` is called once, never before
    the method returns, with the body of the reply (`PutDone`, `Updated`, `Got`, `KeysFound`, `Published`, `CallDone`,
    `QueueSent`, `QueueReceived`, `QueueAnswered`) or with a ClusterError, whose `definite` says whether the operation
    surely did not happen. Contexts are encoded clocks, and the caller keeps them. Arguments are not checked here.
    """

    def __init__(self, session: AioSession, timeout: float) -> None:
        self.router = session.router
        self.timeout = timeout
        self._session = session
        self._call = self.router.call
        self._operation_id = self.router.operation_id

    def put(self, key: str, value: bytes, context: bytes | None, done: Done) -> Dispatch:
        """Write; the value replaces what `context` covers, and nothing for None."""
        return self._call(Put(key, value, self._operation_id(), context), monotonic() + self.timeout, done, key)

    def update(self, key: str, change: KvOperation, done: Done) -> Dispatch:
        """Change what is there, as the operation says."""
        return self._call(Update(key, self._operation_id(), change), monotonic() + self.timeout, done, key)

    def get(
        self, key: str, done: Done, strict: bool = False, within: float | None = None, cell: bool = False
    ) -> Dispatch:
        """Read. `within` so many seconds, when that is not the `timeout`. `cell`: of a set the items."""
        deadline = monotonic() + (self.timeout if within is None else within)
        return self._call(Get(key, 0, strict, cell=cell), deadline, done, key)

    def keys(self, node: str, prefix: str, after: str, limit: int, done: Done) -> Dispatch:
        """The keys that one node owns, in order, behind `after`."""
        return self._call(Keys(prefix, after, limit), monotonic() + self.timeout, done, None, node)

    def publish(self, subject: str, payload: bytes, done: Done) -> Dispatch:
        """Send a message towards every matching subscription."""
        return self._call(Publish(subject, payload), monotonic() + self.timeout, done)

    def send(self, queue: str, messages: list[Outgoing], done: Done) -> Dispatch:
        """Send messages to a queue; each has a result of its own."""
        return self._call(QueueSend(queue, messages), monotonic() + self.timeout, done)

    def receive(self, queue: str, max: int, wait_s: float, visibility_s: float, receiver: str, done: Done) -> Dispatch:
        """Lease up to `max` messages, and wait so long for the first. A visibility of 0 is the queue's own."""
        body = QueueReceive(queue, max, wait_s, visibility_s, receiver)
        return self._call(body, monotonic() + self.timeout + wait_s, done)

    def ack(self, receipts: list[str], done: Done) -> Dispatch:
        """These messages are done with; each receipt has a result of its own."""
        return self._call(QueueAck(receipts), monotonic() + self.timeout, done)

    def call(self, body: Call, done: Done, within: float | None = None) -> Dispatch:
        """Call a service, `within` so many seconds, when that is not the `timeout`. The body is not changed, and may be
        sent again."""
        return self._call(body, monotonic() + (self.timeout if within is None else within), done)

    def stream(
        self, body: Call, done: Done, take: Callable[[bytes], object], within: float | None = None
    ) -> StreamDispatch:
        """As `call`, of an operation that streams: `take` gets the parts of its reply, lines of JSON, and whoever reads
        them gives `credit` to what this returns."""
        deadline = monotonic() + (self.timeout if within is None else within)
        return self.router.stream(body, deadline, done, take)

    def subscription(self, pattern: str, take: Callable[[Message], None]) -> Subscription:
        """A subscription, to be started, that hands each message to `take` as it comes, and keeps none."""
        session = self._session
        listening = Listening(
            self.router, session.now, session.call_later, pattern, "", self.timeout, move_s=MOVE_S, take=take
        )
        return Subscription(listening, asyncio.get_running_loop())
