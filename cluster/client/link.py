"""One stream to a node without an event loop: connect, prove, send and receive, never blocking by itself.

`turn` waits for several links at once, so that one thread can gather from all nodes, and dial the next node while the
first keeps silent. Nothing here retries: that is for who knows what the bytes mean.
"""

import errno
import os
import select
import socket
from collections.abc import Iterable
from math import ceil
from time import monotonic

from cluster.client.certainty import nobody
from cluster.client.locate import Address
from cluster.errors import ClusterError, Unreachable
from cluster.wire.frames import Frame, FrameReader, encode_frame
from cluster.wire.handshake import LANE_FOREGROUND, NONCE_BYTES, ROLE_CLIENT, Dialler, Party

DIAL_S = 1.0
"""How long one node may take to connect and prove itself; on one machine only a stalled one takes longer."""
HEDGE_S = 0.1
"""A node silent for so long gets company: the next is dialled too. Nothing but handshakes is ever sent twice."""
READ_BYTES = 256 * 1024

_STARTED = (0, errno.EINPROGRESS, errno.EAGAIN)


def client_party(cluster: str) -> Party:
    """A new identity of a client, as told in handshakes."""
    return Party(cluster, ROLE_CLIENT, "client", os.urandom(8).hex(), 0)


class Link:
    """A stream to one node. `ready` after the handshake; `error`, once set, is final. The user empties `inbox`."""

    def __init__(self, name: str, address: Address, secret: bytes, me: Party) -> None:
        self.name = name
        self.address = address
        self.ready = False
        self.error: ClusterError | None = None
        self.inbox: list[Frame] = []
        self.written = 0
        """Bytes given to the kernel; a frame that ends at or before this may have been acted on."""
        self._dialler = Dialler(secret, me, LANE_FOREGROUND, os.urandom(NONCE_BYTES), "" if ":" in name else name)
        self._reader = FrameReader()
        self._out = self._dialler.start()
        self._connected = False
        self._socket = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connect()

    def _connect(self) -> None:
        try:
            code = self._socket.connect_ex(self.address)
        except OSError as error:  # a host name that means nothing
            self.fail(Unreachable(f"{self.name}: {error.strerror or error}"))
            return
        if code not in _STARTED:
            self.fail(Unreachable(f"{self.name}: {os.strerror(code).lower()}"))

    @property
    def peer(self) -> Party | None:
        """Who answered, once `ready`."""
        return self._dialler.peer

    def fileno(self) -> int:
        """The descriptor, for polling."""
        return self._socket.fileno()

    def wants(self) -> int:
        """What to poll for."""
        if not self._connected:
            return select.POLLOUT
        return select.POLLIN | select.POLLOUT if self._out else select.POLLIN

    def push(self, frame: Frame) -> int:
        """Send a frame as far as the kernel takes it now. Returns the value of `written` at which it is out whole."""
        data = encode_frame(frame)
        end = self.written + len(self._out) + len(data)
        self._out += data
        self.step(select.POLLOUT)
        return end

    def step(self, events: int) -> None:
        """Do what `events` allow. Never raises: trouble is in `error`."""
        try:
            if self.error is None and not self._connected:
                self._check_connected()
            if self.error is None and self._out:
                self._send()
            if self.error is None and events & ~select.POLLOUT:
                self._receive()
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self.fail(Unreachable(f"{self.name}: {(error.strerror or str(error)).lower()}"))
        except ClusterError as error:
            self.fail(error)

    def _check_connected(self) -> None:
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        self._connected = True

    def _send(self) -> None:
        count = self._socket.send(self._out)
        self.written += count
        self._out = self._out[count:]

    def _receive(self) -> None:
        data = self._socket.recv(READ_BYTES)
        if not data:
            raise Unreachable(f"{self.name}: closed the connection")
        if self.ready:
            self.inbox += self._reader.feed(data)
            return
        self._out += self._dialler.feed(data)
        if self._dialler.peer is not None:
            self.ready = True
            self._send()
            self.inbox += self._reader.feed(self._dialler.rest)

    def fail(self, error: ClusterError) -> None:
        """End the link; `error` says why."""
        self.error = error
        self._socket.close()

    def close(self) -> None:
        """End the link; harmless when it has ended."""
        if self.error is None:
            self.fail(Unreachable(f"{self.name}: the connection was closed by this side"))


def turn(links: Iterable[Link], timeout: float) -> None:
    """Wait until at least one of `links` can move, or for `timeout` seconds, and move those that can."""
    poller = select.poll()
    by_descriptor = {link.fileno(): link for link in links if link.error is None}
    for descriptor, link in by_descriptor.items():
        poller.register(descriptor, link.wants())
    for descriptor, events in poller.poll(max(0, ceil(timeout * 1000))):
        by_descriptor[descriptor].step(events)


def open_first(targets: dict[str, Address], cluster: str, secret: bytes, me: Party, deadline: float) -> Link:
    """A proven link to the first of `targets`, in order, that answers. Raises Unreachable or HandshakeRefused.

    A node that refuses is followed by the next at once; beside one that keeps silent the next is dialled after HEDGE_S.
    """
    waiting = list(targets.items())
    links: list[Link] = []
    errors: dict[str, ClusterError] = {}
    hedge_at = 0.0
    give_up_at = min(deadline, monotonic() + DIAL_S)
    try:
        while True:
            now = monotonic()
            live = [link for link in links if link.error is None]
            for link in live:
                if link.ready:
                    links.remove(link)
                    return link
            if waiting and now < deadline and (not live or now >= hedge_at):
                link = Link(*waiting.pop(0), secret, me)
                links.append(link)
                hedge_at, give_up_at = now + HEDGE_S, min(deadline, now + DIAL_S)
                continue
            errors.update((link.name, link.error) for link in links if link.error is not None)
            if not live and (not waiting or now >= deadline):
                raise nobody(cluster, errors)
            if now >= give_up_at:
                silent = {link.name: Unreachable(f"{link.name}: silent") for link in live}
                raise nobody(cluster, errors | silent)
            turn(live, (min(hedge_at, give_up_at) if waiting else give_up_at) - now)
    finally:
        for link in links:
            link.close()
