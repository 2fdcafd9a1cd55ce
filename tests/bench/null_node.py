"""A process that proves itself and answers puts and gets out of a dictionary: next to no work, to measure a client
against. It keeps the last value of each key, so that what a load reads is what it wrote.
"""

import asyncio
import sys
import time

import uvloop

from cluster.versions.context import encode_clock
from cluster.wire.admin import AdminAnswer, AdminQuery
from cluster.wire.frames import Body, FrameReader, Reply, Request, encode_frame
from cluster.wire.handshake import NONCE_BYTES, ROLE_NODE, HandshakeListener, Party
from cluster.wire.kv import Get, Got, Put, PutDone

NAME, CLUSTER, SECRET = "n1", "null", b"s" * 32
CLOCK = encode_clock({"a1": 3})
PUT_DONE = PutDone("ok", 2, 0, CLOCK, NAME, 1, "interval")
SETTLED = AdminAnswer({"state": "running", "hints": 0})


class NullNode(asyncio.Protocol):
    """One connection."""

    def __init__(self, values: dict[str, bytes]) -> None:
        self.values = values
        self.listener = HandshakeListener(SECRET, Party(CLUSTER, ROLE_NODE, NAME, NAME, 1), bytes(NONCE_BYTES))
        self.reader = FrameReader()
        self.transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        if self.listener.peer is None:
            self.transport.write(self.listener.feed(data, time.monotonic()))
            if self.listener.peer is None:
                return
            data = self.listener.rest
        out = [
            encode_frame(Reply(frame.id, self.answer(frame.body)))
            for frame in self.reader.feed(data)
            if isinstance(frame, Request)
        ]
        if out:
            self.transport.write(b"".join(out))

    def answer(self, body: Body) -> Body:
        if type(body) is Put:
            self.values[body.key] = body.value
            return PUT_DONE
        if type(body) is Get:
            found = self.values.get(body.key)
            return Got([] if found is None else [found], CLOCK, 2, 0, False, NAME)
        assert isinstance(body, AdminQuery), body
        return SETTLED


async def serve() -> None:
    """Listen, say where on the first line, and answer until standard input ends."""
    values: dict[str, bytes] = {}
    server = await asyncio.get_running_loop().create_server(lambda: NullNode(values), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
