"""A client made by hand: a socket, the handshake, frames. It may send what the client library never would."""

import os
import socket
import time

from cluster.wire.frames import Body, Failure, FrameReader, Reply, Request, encode_frame, stamped
from cluster.wire.handshake import LANE_FOREGROUND, NONCE_BYTES, Dialler, Party
from cluster.wire.rights import ROLE_CLIENT, role_key
from tests.processes.fleet import Real


def connect(fleet: Real, node: str, role: str = ROLE_CLIENT, key: bytes | None = None) -> socket.socket:
    """A proven connection. Raises HandshakeRefused, or ConnectionError when the node closes it."""
    link = socket.create_connection(fleet.files.addresses[node], timeout=3.0)
    key = key or role_key(fleet.files.secret_path.read_bytes(), role)
    shake = Dialler(key, Party("real", role, "by-hand", "by-hand", 0), LANE_FOREGROUND, os.urandom(NONCE_BYTES))
    try:
        link.sendall(shake.start(time.monotonic()))
        while shake.peer is None:
            data = link.recv(4096)
            if not data:
                raise ConnectionResetError
            link.sendall(shake.feed(data, time.monotonic()))
    except BaseException:
        link.close()
        raise
    return link


def ask(link: socket.socket, body: Body, id: int = 1) -> Reply | Failure:
    """Send a request and wait for what answers it."""
    now = time.monotonic()
    link.sendall(stamped(encode_frame(Request(id, now + 3.0, 0, body)), now))
    reader = FrameReader()
    while True:
        data = link.recv(65536)
        if not data:
            raise ConnectionResetError
        for frame in reader.feed(data):
            if isinstance(frame, Reply | Failure) and frame.id == id:
                return frame
