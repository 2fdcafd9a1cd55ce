"""Streams and datagrams of the real world, as thin as asyncio allows: TCP or its short cut, and UDP.

`RealLink` is the loop's protocol and the node's link in one object. A pass reads one buffer of a stream at most: libuv
goes on reading while buffers come full, 32 of them, and a client that floods its socket would hold up all others for
half a second. Sockets are made and bound here, so that listening and its errors are synchronous.
Datagrams are read and sent on the bare socket: measured a tenth cheaper than the loop's datagram transport.
Hosts are numeric addresses; a name would block the loop while it is resolved.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Callable

from cluster.env.real_local import bound_locally, open_stream
from cluster.env.seam import Address, LinkHandler

DATAGRAM_SIZE_MAX = 65_535
READ_BYTES_FULL = 200_000
"""A read of so many bytes has probably left some: uvloop's buffer holds 256,000."""
DATAGRAMS_PER_PASS = 64  # bounds how long one busy socket keeps the others waiting
RECEIVE_BUFFER_SIZE = 4 << 20  # datagrams that outlast a stall; the system may grant less
BACKLOG = 1024
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, for 0 s: closing sends a reset


class RealNetwork:
    """Streams and datagrams of this machine."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._dials: dict[asyncio.Task[None], None] = {}  # the loop itself holds tasks weakly

    def listen(
        self, at: Address, accept: Callable[[Address], LinkHandler | None], *, shared: bool = False
    ) -> "RealListener":
        """Accept streams at `at`. Raises OSError when the address is taken."""
        local = None if shared else bound_locally(*at)
        try:
            bound = bound_socket(at, socket.SOCK_STREAM, shared=shared)
        except BaseException:
            if local is not None:
                local.close()
            raise
        return RealListener(self._loop, [bound] if local is None else [local, bound], accept)

    def dial(self, to: Address, handler: LinkHandler, timeout: float) -> None:
        """Open a stream; the outcome comes to the handler in a later pass."""

        async def open_link() -> None:
            link = RealLink(self._loop, handler, to)
            try:
                async with asyncio.timeout(timeout):
                    await open_stream(self._loop, link, *to)
            except OSError as error:  # TimeoutError is one
                link.abort()
                link.connection_lost(error)

        task = self._loop.create_task(open_link())
        self._dials[task] = None
        task.add_done_callback(self._dials.__delitem__)

    def datagrams(self, at: Address, receive: Callable[[bytes, Address], None]) -> "RealDatagramSocket":
        """Bind a datagram socket. Raises OSError when the address is taken."""
        return RealDatagramSocket(self._loop, bound_socket(at, socket.SOCK_DGRAM), receive)


class RealLink(asyncio.Protocol):
    """One side of a stream: the node's `Link`, and the loop's protocol behind it."""

    __slots__ = ("_accept", "_ended", "_handler", "_loop", "_reading", "_reason", "_transport", "peer", "write")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        handler: LinkHandler | None,
        peer: Address = ("", 0),
        accept: Callable[[Address], LinkHandler | None] | None = None,
    ) -> None:
        self._loop = loop
        self._accept = accept
        self._reading = True  # as far as the handler wants
        self._transport: asyncio.Transport | None = None
        self._reason = ""
        self._ended = False
        self.peer = peer
        self.write: Callable[[bytes | bytearray], None] = discard
        if handler is not None:
            self._handler = handler

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The loop's word for an open stream."""
        name = transport.get_extra_info("peername")
        if isinstance(name, tuple):  # else a Unix socket's, which says nothing
            self.peer = name[:2]
        self._transport = transport
        if self._accept is not None:
            handler = self._accept(self.peer)
            if handler is None:
                self._ended = True  # nobody to tell
                transport.close()
                return
            self._handler = handler
        self.write = transport.write
        self._handler.connected(self)

    def data_received(self, data: bytes) -> None:
        """Bytes came. Whoever fills the buffer has its next turn in the next pass."""
        if len(data) >= READ_BYTES_FULL and self._reading and self._transport is not None:
            self._transport.pause_reading()
            self._loop.call_soon(self._read_on)
        self._handler.received(data)

    def _read_on(self) -> None:
        if self._reading and self._transport is not None and not self._ended:
            self._transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """The loop's word for a stream that ended, or a dial that failed."""
        self.write = discard
        if not self._ended:
            self._ended = True
            self._handler.lost(self._reason or reason_of(error))

    def pause_writing(self) -> None:
        """The send buffer is over its high-water mark."""
        self._handler.pause()

    def resume_writing(self) -> None:
        """The send buffer has drained."""
        self._handler.resume()

    def pause_reading(self) -> None:
        """Take no more bytes for now."""
        self._reading = False
        if self._transport is not None and not self._ended:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take bytes again."""
        self._reading = True
        if self._transport is not None and not self._ended:
            self._transport.resume_reading()

    def close(self) -> None:
        """Send what is queued, then close."""
        self.write = discard
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once with a reset."""
        self.write = discard
        transport = self._transport
        if transport is not None and not self._ended:
            self._reason = "aborted"
            open_socket = transport.get_extra_info("socket")
            if open_socket is not None:  # None: it broke already, and the loop is about to say so
                try:
                    open_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                except (OSError, ValueError):
                    pass  # as above: the descriptor of uvloop's socket is negative once that is closed
            transport.abort()


class RealListener:
    """Bound sockets, first the local one if there is one; connections wait in their backlogs until the loop serves
    them, a pass later."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sockets: list[socket.socket],
        accept: Callable[[Address], LinkHandler | None],
    ) -> None:
        for bound in sockets:
            bound.listen(BACKLOG)
        self._closed = False
        self._servers: list[asyncio.AbstractServer] = []
        self._serving = loop.create_task(self._serve(loop, sockets, accept))

    async def _serve(
        self,
        loop: asyncio.AbstractEventLoop,
        sockets: list[socket.socket],
        accept: Callable[[Address], LinkHandler | None],
    ) -> None:
        here = sockets[-1].getsockname()[0]

        def link() -> RealLink:
            return RealLink(loop, None, (here, 0), accept)

        for bound in sockets:
            if self._closed:
                bound.close()
                continue
            serve = loop.create_unix_server if bound.family == socket.AF_UNIX else loop.create_server
            server = await serve(link, sock=bound, backlog=BACKLOG)
            self._servers.append(server)
            if self._closed:
                server.close()

    def close(self) -> None:
        """Accept no more."""
        self._closed = True
        for server in self._servers:
            server.close()


class RealDatagramSocket:
    """A bound UDP socket."""

    __slots__ = ("_loop", "_receive", "_socket")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        bound: socket.socket,
        receive: Callable[[bytes, Address], None],
    ) -> None:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_SIZE)
        self._loop = loop
        self._socket = bound
        self._receive = receive
        loop.add_reader(bound, self._readable)

    def _readable(self) -> None:
        for _ in range(DATAGRAMS_PER_PASS):
            try:
                data, sender = self._socket.recvfrom(DATAGRAM_SIZE_MAX)
            except OSError:  # nothing more, an error that an earlier send met, or closed by `receive`
                return
            self._receive(data, sender)

    def send(self, data: bytes, to: Address) -> None:
        """Send one datagram, or lose it silently."""
        try:
            self._socket.sendto(data, to)
        except OSError:
            pass

    def close(self) -> None:
        """Receive no more."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()


def bound_socket(at: Address, kind: socket.SocketKind, *, shared: bool = False) -> socket.socket:
    """A non-blocking socket bound to `at`, where others may be bound too if all say `shared`. Raises OSError when the
    address is taken."""
    bound = socket.socket(socket.AF_INET6 if ":" in at[0] else socket.AF_INET, kind)
    try:
        bound.setblocking(False)
        if kind == socket.SOCK_STREAM:  # rebind beside the old incarnation's closed streams; on UDP it would share
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(at)
    except BaseException:
        bound.close()
        raise
    return bound


def reason_of(error: Exception | None) -> str:
    """The word of the seam for how a stream ended."""
    match error:
        case None:
            return "closed"
        case ConnectionRefusedError():
            return "refused"
        case TimeoutError():
            return "timeout"
        case ConnectionResetError() | BrokenPipeError() | ConnectionAbortedError():
            return "reset"
        case OSError(errno=int(number)):
            return os.strerror(number)
        case _:
            return str(error) or type(error).__name__


def discard(data: bytes | bytearray) -> None:
    """Where bytes go on a link that is not open."""
