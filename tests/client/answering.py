"""A process that proves itself and answers every request with the same body, to measure the client against."""

import asyncio
import sys
import time

import uvloop

from cluster.versions.context import encode_clock
from cluster.wire.frames import Body, FrameReader, Reply, Request, encode_frame
from cluster.wire.handshake import NONCE_BYTES, ROLE_NODE, HandshakeListener, Party
from cluster.wire.kv import Get, Got, PutDone
from tests.client.fake_node import CLUSTER, SECRET

CLOCK = encode_clock({"a1": 3})
PUT_DONE: Body = PutDone("ok", 2, 0, CLOCK, "n1", 1, "interval")
GOT: Body = Got([b"v" * 100], CLOCK, 2, 0, False, "n1")


class Answering(asyncio.Protocol):
    """One connection."""

    def __init__(self, name: str) -> None:
        self.listener = HandshakeListener(SECRET, Party(CLUSTER, ROLE_NODE, name, name, 1), bytes(NONCE_BYTES))
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
        frames = self.reader.feed(data)
        out = [
            encode_frame(Reply(frame.id, GOT if isinstance(frame.body, Get) else PUT_DONE))
            for frame in frames
            if isinstance(frame, Request)
        ]
        if out:
            self.transport.write(b"".join(out))


async def serve(name: str) -> None:
    """Listen, say where on the first line, and answer until standard input ends."""
    server = await asyncio.get_running_loop().create_server(lambda: Answering(name), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(sys.argv[1]))
