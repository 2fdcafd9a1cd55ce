"""The short way between processes of one machine: beside its port a node listens on a Unix socket named after it.

Whoever dials a loopback address takes the Unix socket when somebody listens there, and else TCP: no packet is made,
so a hop costs 3 us less (docs/decisions/0016 has the figures). Nobody above is told which way was taken: handshake,
limits and fault rules are the same.

The names are abstract (Linux, unix(7)). They live in the network namespace, as ports do, and end with the process that
holds them: no stale file, no path that is too long, none that means another node. Elsewhere there is TCP alone. No file
system guards a name: what another user's process holds is passed over.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio  # a one-shot client does without

LOOPBACK = ("127.0.0.1", "::1")
CREDENTIALS_BYTES = 12
"""Process, user and group, of four bytes each."""


def bound_locally(host: str, port: int) -> socket.socket | None:
    """A bound socket for those who dial this address from this machine; None where there is no short way. To be made
    before the port is bound: whoever gets the port finds the name free."""
    if sys.platform != "linux" or host not in LOOPBACK:
        return None
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.setblocking(False)
        bound.bind(_name(host, port))
    except OSError:  # somebody holds it; who may serve here, the port decides
        bound.close()
        return None
    return bound


def dialled_locally(host: str, port: int) -> socket.socket | None:
    """A connected socket, without waiting; None when this address is to be dialled by TCP."""
    if sys.platform != "linux" or host not in LOOPBACK:
        return None
    dialled = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        dialled.setblocking(False)
        dialled.connect(_name(host, port))
        listener = dialled.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS_BYTES)
        if int.from_bytes(listener[4:8], sys.byteorder) == os.geteuid():
            return dialled
    except OSError:  # nobody listens, or its queue is full
        pass
    dialled.close()
    return None


async def open_stream(loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol, host: str, port: int) -> None:
    """Make the loop serve a stream to this address with `protocol`. Raises OSError."""
    local = dialled_locally(host, port)
    if local is None:
        await loop.create_connection(lambda: protocol, host, port)
        return
    try:
        await loop.create_unix_connection(lambda: protocol, sock=local)
    except BaseException:
        local.detach()  # uvloop has closed the descriptor, which may be another file's by now
        raise


def _name(host: str, port: int) -> bytes:
    return f"\0dsectl:{host}:{port}".encode()
