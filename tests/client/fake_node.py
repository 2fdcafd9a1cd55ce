"""A node that says what a test tells it to: real sockets, the real handshake, one thread."""

import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from cluster.client.locate import Address, Location
from cluster.errors import ClusterError
from cluster.layout.entry import LayoutEntry, LayoutMember
from cluster.wire.frames import Body, Failure, Frame, FrameReader, OneWay, Reply, Request, encode_frame
from cluster.wire.handshake import NONCE_BYTES, ROLE_NODE, HandshakeListener, Party, refusal

SECRET = b"s" * 32
CLUSTER = "testing"
WAIT_S = 10.0

Kind = TypeVar("Kind")


class Peer:
    """One accepted connection."""

    def __init__(self, stream: socket.socket, listener: HandshakeListener) -> None:
        self.stream = stream
        self.listener = listener
        self.reader = FrameReader()

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.stream.sendall(data)

    def reply(self, frame: Request, body: Body) -> None:
        self.raw(encode_frame(Reply(frame.id, body)))

    def fail(self, frame: Request, code: str, message: str = "because") -> None:
        self.raw(encode_frame(Failure(frame.id, code, message)))

    def push(self, body: Body) -> None:
        self.raw(encode_frame(OneWay(body)))

    def hang_up(self) -> None:
        """Close, with what was sent before still delivered."""
        self.stream.shutdown(socket.SHUT_RDWR)


Script = Callable[[Peer, Frame], None]


def silence(peer: Peer, frame: Frame) -> None:
    """Reads everything, answers nothing."""


class FakeNode:
    """Listens at once; `script` is called in its thread with every frame. `greeting`, when given, is sent to whoever
    connects, instead of a handshake; an empty one is a node that never says a word."""

    def __init__(
        self,
        name: str = "n1",
        script: Script = silence,
        *,
        secret: bytes = SECRET,
        cluster: str = CLUSTER,
        greeting: bytes | None = None,
        port: int = 0,
    ) -> None:
        self.name = name
        self.script = script
        self.secret = secret
        self.party = Party(cluster, ROLE_NODE, name, f"{name}-id", 1)
        self.greeting = greeting
        self.frames: list[Frame] = []
        self.peers: list[Peer] = []
        self.accepted = 0
        self._changed = threading.Condition()
        self._stopped = False
        self._selector = selectors.DefaultSelector()
        self._server = socket.create_server(("127.0.0.1", port))
        self._near, self._far = socket.socketpair()
        self._selector.register(self._server, selectors.EVENT_READ, None)
        self._selector.register(self._far, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def address(self) -> Address:
        host, port = self._server.getsockname()
        return host, port

    def bodies(self, kind: type[Kind]) -> list[Kind]:
        """The bodies of that kind in the requests so far."""
        return [
            frame.body for frame in list(self.frames) if isinstance(frame, Request) and isinstance(frame.body, kind)
        ]

    def wait(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; it is looked at after every frame and connection."""
        with self._changed:
            assert self._changed.wait_for(condition, WAIT_S), "the fake node waited in vain"

    def stop(self) -> None:
        """Close everything; harmless when repeated."""
        if not self._stopped:
            self._stopped = True
            self._near.send(b"!")
            self._thread.join(WAIT_S)
            assert not self._thread.is_alive()
            self._near.close()

    def _run(self) -> None:
        ending = False
        while not ending:
            for key, _ in self._selector.select():
                if key.fileobj is self._server:
                    self._accept()
                elif key.fileobj is self._far:
                    ending = True
                else:
                    self._read(key.data)
        for peer in self.peers:
            peer.stream.close()
        self._selector.close()
        self._server.close()
        self._far.close()

    def _accept(self) -> None:
        stream, _ = self._server.accept()
        peer = Peer(stream, HandshakeListener(self.secret, self.party, bytes(NONCE_BYTES)))
        self.peers.append(peer)
        self._selector.register(stream, selectors.EVENT_READ, peer)
        if self.greeting:
            try:
                peer.raw(self.greeting)
            except OSError:  # gone already
                pass
        with self._changed:
            self.accepted += 1
            self._changed.notify_all()

    def _read(self, peer: Peer) -> None:
        try:
            data = peer.stream.recv(1 << 18)
            if not data:
                raise ConnectionError
            if self.greeting is None:
                self._take(peer, data)
        except (OSError, ClusterError):
            self._selector.unregister(peer.stream)
            peer.stream.close()

    def _take(self, peer: Peer, data: bytes) -> None:
        if peer.listener.peer is None:
            try:
                out = peer.listener.feed(data, time.monotonic())
            except ClusterError as error:
                peer.raw(refusal(error))
                raise
            peer.raw(out)
            if peer.listener.peer is None:
                return
            data = peer.listener.rest
        for frame in peer.reader.feed(data):
            with self._changed:
                self.frames.append(frame)
                self._changed.notify_all()
            self.script(peer, frame)


def location(*nodes: FakeNode | tuple[str, Address]) -> Location:
    """Where a cluster of these nodes is; a pair names a node that is not running."""
    places = [(node.name, node.address) if isinstance(node, FakeNode) else node for node in nodes]
    members = tuple(LayoutMember(name, "z1", host, port) for name, (host, port) in places)
    entry = LayoutEntry(7, CLUSTER, members, 3, 2, 2)
    return Location(CLUSTER, SECRET, dict(places), entry)


def closed_address() -> Address:
    """An address that refuses."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
    return host, port
