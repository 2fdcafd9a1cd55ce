"""The blocking client: no event loop, no threads. What one-shot commands use, so its imports are counted.

It only carries: one thread polls the sockets of a `Router` while an operation of its own waits. Connections are made
when the first operation needs one, in the layout's order, and kept. Owners are not computed: the nodes forward, and one
hop more costs less than loading the placement.

A forked process gets connections, request ids, operation ids and an identity of its own with its first operation. A
second thread that uses a client while it is in use is refused.
"""

from __future__ import annotations

import os
import select
import socket
from _thread import allocate_lock
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EAGAIN, EINPROGRESS
from functools import cached_property, partial
from math import ceil
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from cluster.client.admin import Admin
from cluster.client.keyed import Contexts
from cluster.client.kv import Kv
from cluster.client.locate import Address, Location, find
from cluster.client.operation import Bounded, Gather, Send, Steps, check_nodes
from cluster.client.questions import Questions
from cluster.client.router import Router
from cluster.env.real_boot import boot_id
from cluster.env.real_local import dialled_locally
from cluster.errors import ClusterError, Maybe, Unreachable, Usage
from cluster.limits import CLIENT_TIMEOUT_S
from cluster.wire.caller import Caller, Outcome

if TYPE_CHECKING:
    from typing import Self

    from cluster.client.blocking_topics import BlockingTopics
    from cluster.client.queues import Queues
    from cluster.client.requests import Requests
    from cluster.client.streams import BlockingReplies
    from cluster.wire.requests import Call
    from cluster.wire.rows import Row, RowFormat

READ_BYTES = 256 * 1024
R = TypeVar("R")


def connect_blocking(
    target: str | list[str] | list[Address] = "default",
    *,
    secret: bytes | None = None,
    cluster: str | None = None,
    via: str | None = None,
    timeout: float = CLIENT_TIMEOUT_S,
) -> BlockingCluster:
    """A client of the cluster called `target`, or of the nodes at some addresses (with `secret`, and the cluster's name
    when it is not `default`). `via`: talk to this node only. `timeout` in seconds bounds each operation.

    Raises UnknownCluster, Damaged, Usage, or NotFound for an unknown `via`. Connects when the first operation needs it.
    """
    return BlockingCluster(find(target, secret, cluster), via, timeout)


class BlockingStream:
    """One connection, from the dial on; never blocks by itself."""

    def __init__(self, address: Address, caller: Caller) -> None:
        self.caller = caller
        self.failed: ClusterError | None = None
        """Why it could not even be begun."""
        self._connected = False
        self._buffer = b""
        self._sending: dict[int, bytes] = {}
        local = dialled_locally(*address)
        if local is not None:
            self.socket = local
            return
        self.socket = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            code = self.socket.connect_ex(address)
        except OSError as error:  # a host name that means nothing
            self.failed = Unreachable(f"{caller.name}: {error.strerror or error}")
        else:
            if code not in (0, EINPROGRESS, EAGAIN):
                self.failed = Unreachable(f"{caller.name}: {os.strerror(code).lower()}")

    def wants(self) -> int:
        """What to poll for."""
        if not self._connected:
            return select.POLLOUT
        return select.POLLIN | select.POLLOUT if self._buffer else select.POLLIN

    def step(self, events: int) -> None:
        """Do what `events` allow. Never raises: trouble ends the caller."""
        try:
            if not self._connected:
                code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code:
                    raise OSError(code, os.strerror(code))
                self._connected = True
            if events & ~select.POLLOUT:
                data = self.socket.recv(READ_BYTES)
                if not data:
                    self.end("closed the connection")
                    return
                self.caller.feed(data, monotonic())
            self.flush()
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self.end((error.strerror or str(error)).lower())

    def flush(self) -> None:
        """Send as far as the kernel takes it now."""
        if self.caller.error is not None or not self._connected:
            return
        try:
            if not self._buffer:
                self._sending = self.caller.take(monotonic())
                self._buffer = b"".join(self._sending.values())
            if self._buffer:
                count = self.socket.send(self._buffer)
                self._buffer = self._buffer[count:]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self.end((error.strerror or str(error)).lower())

    def end(self, words: str) -> None:
        """The stream is over; what did not leave whole did not happen."""
        left, unsent = len(self._buffer), []
        for id, data in reversed(self._sending.items()):
            if left <= 0:
                break
            unsent.append(id)
            left -= len(data)
        self.caller.end(Unreachable(f"{self.caller.name}: {words}"), unsent)

    def close(self) -> None:
        """Harmless when it has ended. Sends nothing: a child of a fork may do this to its parent's connections."""
        self.socket.close()


class BlockingTimer:
    """A call to come."""

    __slots__ = ("function", "when")

    def __init__(self, when: float, function: Callable[[], object]) -> None:
        self.when = when
        self.function: Callable[[], object] | None = function

    def cancel(self) -> None:
        """It shall not come."""
        self.function = None


class BlockingSession(Bounded, Questions["BlockingSession"]):
    """One cluster, asked with bodies of the wire; keeps the connections that it made. For one thread at a time."""

    def __init__(self, location: Location, via: str | None = None, timeout: float = CLIENT_TIMEOUT_S) -> None:
        Bounded.__init__(self, timeout)
        Questions.__init__(self, self)
        self.location = location
        self.contexts = Contexts()
        """What this session has seen of each key; another client of the same session may be given it, too."""
        self.now = monotonic
        self._via = via
        self._lock = allocate_lock()
        self._closed = False
        self._begin()

    def _begin(self) -> None:
        """No connection, and a new identity."""
        self._pid = os.getpid()
        self._streams: list[BlockingStream] = []
        self._timers: list[BlockingTimer] = []
        self._router = Router(self, self.location, self._via, spread=False)

    # -- what a router wants of its carrier

    def call_later(self, delay_s: float, function: Callable[[], object]) -> BlockingTimer:
        """See Carrier."""
        timer = BlockingTimer(monotonic() + delay_s, function)
        self._timers.append(timer)
        return timer

    def boot_id(self) -> str:
        """See Carrier."""
        return boot_id()

    def random_bytes(self, size: int) -> bytes:
        """See Carrier."""
        return os.urandom(size)

    def dial(self, address: Address, caller: Caller) -> BlockingStream:
        """See Carrier."""
        stream = BlockingStream(address, caller)
        if stream.failed is not None:
            self.call_later(0.0, lambda: caller.end(stream.failed or Unreachable(caller.name)))
        else:
            self._streams.append(stream)
        return stream

    # -- the session

    def __enter__(self) -> Self:
        self._closed = False
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all connections. Operations are refused from now on, until it is entered again."""
        with self.in_use():
            self._closed = True
            self._router.close()
            self._begin()

    def operation_id(self) -> str:
        """See Session."""
        return self._router.operation_id()

    @property
    def router(self) -> Router:
        """The callback core of this process; its operations end while this session waits for something."""
        return self._router

    def check_open(self) -> None:
        """Raise Unreachable when the session was closed: what it dialled now, nobody would end."""
        if self._closed:
            raise Unreachable("this client is not connected: use `with cluster.connect_blocking(...)`")

    def addresses(self, nodes: list[str] | None) -> dict[str, Address]:
        """Where each of `nodes` (all, for None) listens. Raises NotFound."""
        known = self.location.nodes
        return {node: known[node] for node in check_nodes(nodes, known, self.location.name)}

    def run(self, steps: Steps[R]) -> R:
        """Carry one operation of a family."""
        with self.in_use():
            self.check_open()
            try:
                step = next(steps)
                while True:
                    try:
                        reply = self._reply_to(step)
                    except ClusterError as error:
                        step = steps.throw(error)
                    else:
                        step = steps.send(reply)
            except StopIteration as stop:
                result: R = stop.value
                return result

    def stream(self, call: Call, timeout: float | None, format: RowFormat[Row]) -> BlockingReplies[Row]:
        """Begin a call whose reply is a stream; what to iterate over."""
        from cluster.client.streams import BlockingReplies
        from cluster.wire.rows import IncomingRows

        with self.in_use():
            self.check_open()
            if self._streams:
                self._turn(0.0)
            deadline = monotonic() + (self.timeout if timeout is None else timeout)
            return BlockingReplies(self, IncomingRows(self._router, call, deadline, format))

    def wait(self, is_over: Callable[[], bool], until: float) -> None:
        """Carry until something is so, or until this time. What interrupts it (Ctrl-C) ends all connections, since one
        may stand in the middle of a frame."""
        try:
            while not is_over() and (remaining := until - monotonic()) > 0:
                self._turn(remaining)
            self._flush()
        except BaseException:
            self._abandon()
            raise

    def _reply_to(self, step: Send | Gather) -> Outcome | dict[str, Outcome]:
        """Send, and wait: the router ends every operation. Raises what one message came to, if that is an error."""
        deadline = monotonic() + (self.timeout if step.timeout is None else step.timeout)
        if isinstance(step, Gather):
            answers: dict[str, Outcome] = {}
            for name, body in step.bodies.items():
                self._router.call(body, deadline, partial(answers.__setitem__, name), None, name)
            self.wait(lambda: len(answers) == len(step.bodies), float("inf"))
            return {name: answers[name] for name in step.bodies}
        if self._streams:
            self._turn(0.0)  # a node may have closed its connection meanwhile: nothing is sent into the void
        outcomes: list[Outcome] = []
        self._router.call(step.body, deadline, outcomes.append, step.key, step.node, step.trace)
        self.wait(lambda: bool(outcomes), float("inf"))
        if isinstance(outcomes[0], ClusterError):
            raise outcomes[0]
        return outcomes[0]

    def _turn(self, timeout: float) -> None:
        """Write, wait for any socket or timer, read; timers come last, so that after a stall what came is heard."""
        self._flush()
        live = [stream for stream in self._streams if stream.caller.error is None]
        if len(live) < len(self._streams):
            self._streams = live
        now = monotonic()
        timers = self._timers = [timer for timer in self._timers if timer.function is not None]
        wait_s = min([timeout, *(timer.when - now for timer in timers)])
        poller = select.poll()
        by_descriptor = {stream.socket.fileno(): stream for stream in live}
        for descriptor, stream in by_descriptor.items():
            poller.register(descriptor, stream.wants())
        for descriptor, events in poller.poll(None if wait_s == float("inf") else max(0, ceil(wait_s * 1000))):
            if os.getpid() != self._pid:  # forked by a signal handler meanwhile: what came is the parent's
                raise Maybe("this process was forked in the middle of the operation: it may have happened")
            by_descriptor[descriptor].step(events)
        now = monotonic()
        for timer in timers:
            function = timer.function
            if timer.when <= now and function is not None:
                timer.function = None
                function()

    def _flush(self) -> None:
        for stream in self._streams:
            if stream.caller.armed:
                stream.flush()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """By this thread, in this process."""
        if os.getpid() != self._pid:
            self._lock = allocate_lock()  # the parent's may be held by a thread that is not here
            self._abandon()
        lock = self._lock
        if not lock.acquire(False):
            raise Usage(
                "this client is in use by another thread",
                help="Give each thread a client of its own: cluster.connect_blocking(...).",
            )
        try:
            yield
        finally:
            lock.release()

    def _abandon(self) -> None:
        """Leave all connections as they are, without another word on them; what comes next begins anew."""
        self._router.closed = True
        for stream in self._streams:
            stream.close()
        self._begin()


class BlockingCluster(BlockingSession):
    """A session with one cluster. The families of operations are loaded when they are first used."""

    @cached_property
    def kv(self) -> Kv[BlockingSession]:
        """The key-value store."""
        return Kv(self)

    @cached_property
    def topics(self) -> BlockingTopics:
        """Publish and subscribe."""
        from cluster.client.blocking_topics import BlockingTopics

        return BlockingTopics(self)

    @cached_property
    def queues(self) -> Queues[BlockingSession]:
        """Work queues."""
        from cluster.client.queues import Queues

        return Queues(self)

    @cached_property
    def requests(self) -> Requests[BlockingSession]:
        """Calls of services."""
        from cluster.client.requests import Requests

        return Requests(self)

    @cached_property
    def admin(self) -> Admin[BlockingSession]:
        """Questions about the cluster itself."""
        return Admin(self)
