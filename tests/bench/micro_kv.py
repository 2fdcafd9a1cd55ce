"""What a put and a get cost one node's processor, piece by piece: microseconds an operation, the least of many runs.

One process without sockets or disk: the coordinator is a simulated node whose links swallow what they are given, and
the peers' answers are made here. So the figures are steady where wall times on a shared machine are not; they leave
out system calls and cold caches. `PROF=1` adds a profile, `BATCH=20` sets how many operations a pass carries.
"""

import cProfile
import gc
import os
import pstats
import time
from collections.abc import Callable
from typing import Any

from cluster.env.seam import Link
from cluster.layout import partition_of
from cluster.node import Node
from cluster.replication.mergeable import TABLE_KV
from cluster.simulation.fleet import Fleet
from cluster.transport import Connection
from cluster.versions import Context, decode, encode, encode_clock, put
from cluster.wire.frames import FrameReader, OneWay, Request, encode_frame
from cluster.wire.handshake import LANE_FOREGROUND, ROLE_CLIENT, ROLE_NODE, Party
from cluster.wire.kv import Get, Put
from cluster.wire.replication import Fetch, Fetched, Found, ReplicateBatch, ReplicatedBatch
from tests.bench.harness import show

BATCH = int(os.environ.get("BATCH", "20"))
KEYS = [f"{'k' * 52}{number:012d}" for number in range(1000)]
ROUNDS = 12
WIDTH = 30


class Sink:
    """A link that keeps what was written last."""

    peer = ("bench", 1)

    def __init__(self) -> None:
        self.written: bytes | bytearray = b""

    def write(self, data: bytes | bytearray) -> None:
        self.written = data

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass


class Swallow:
    """A log file that only grows."""

    size = 0

    def append(self, data: bytes) -> None:
        self.size += len(data)

    def sync(self, done: Callable[..., None]) -> None:
        pass

    def close(self) -> None:
        pass


class RealTime:
    """The machine's time; timers never come."""

    now = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    def call_later(self, delay: float, function: Callable[..., object], *args: Any) -> None:
        pass

    call_at = call_later

    def call_soon(self, function: Callable[..., object], *args: Any) -> None:
        pass


class Bench:
    """One node of three, its connections, and the least time of each piece."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.best: dict[str, float] = {}
        self.client = self.connection(ROLE_CLIENT, "client", "")
        self.peers = {name: self.connection(ROLE_NODE, name, name) for name in ("n2", "n3")}
        for name, connection in self.peers.items():
            node.transport._lane(name, LANE_FOREGROUND).connection = connection
        self.asking = self.connection(ROLE_NODE, "n2", "")
        self.contexts: dict[str, bytes] = {}

    def connection(self, role: str, name: str, target: str) -> Connection:
        transport = self.node.transport
        made = Connection(transport._end, target, LANE_FOREGROUND, transport)
        link: Link = Sink()
        made._link, made.open, made.peer = link, True, Party("simulated", role, name, f"{name}-id", 1)
        made._receive = transport._end.receiver(made)
        made.clock.same = True
        return made

    def run(self, what: str, *arriving: tuple[Connection, bytes]) -> None:
        """Time the passes that read these bytes, and what they write at their ends."""
        read = written = 0.0
        for connection, data in arriving:
            started = time.perf_counter()
            connection.received(data)
            between = time.perf_counter()
            self.node.tick._run()
            read += between - started
            written += time.perf_counter() - between
        for piece, took in ((f"{what}: read", read), (f"{what}: write", written)):
            self.best[piece] = min(self.best.get(piece, 1.0), took / BATCH)

    def asked(self, name: str) -> Any:
        """The body of the batch that was last written to a peer, if there is one."""
        link = self.peers[name]._link
        assert isinstance(link, Sink)
        data, link.written = bytes(link.written), b""
        frames = FrameReader().feed(data)
        return frames[0].body if frames else None  # type: ignore[union-attr]

    def puts(self, turn: int, keys: list[str]) -> None:
        """Coordinate puts; both owners answer."""
        requests = [
            Request(
                number + 1,
                time.monotonic() + 1.0,
                1,
                Put(key, b"v" * 100, f"operation-{turn}-{key[-6:]}", self.contexts.get(key)),
            )
            for number, key in enumerate(keys)
        ]
        self.run("put", (self.client, b"".join(map(encode_frame, requests))))
        arriving = []
        for name, connection in self.peers.items():
            copies = self.asked(name).copies
            arriving.append((connection, encode_frame(OneWay(ReplicatedBatch([copy[0] for copy in copies], [])))))
        self.run("put: answers", *arriving)
        for key in keys:
            held = self.node.store.get(TABLE_KV, partition_of(key), key)
            assert held is not None
            self.contexts[key] = encode_clock(decode(held).clock)

    def copies(self, turn: int, keys: list[str]) -> None:
        """Take the copies of another coordinator's puts."""
        copies = []
        for number, key in enumerate(keys):
            partition = partition_of(key)
            held = decode(self.node.store.get(TABLE_KV, partition, key) or b"")
            blob = encode(put(held, "n2-aa.1.0", turn + 1, Context(held.clock), f"copy-{turn}", turn, b"w" * 100))
            copies.append((number, time.monotonic() + 1.0, TABLE_KV, partition, key, blob))
        self.run("replica put", (self.asking, encode_frame(OneWay(ReplicateBatch(copies)))))

    def gets(self, keys: list[str]) -> None:
        """Coordinate gets; the owner that is asked holds the same."""
        later = time.monotonic() + 1.0
        requests = [Request(number + 1, later, 1, Get(key)) for number, key in enumerate(keys)]
        self.run("get", (self.client, b"".join(map(encode_frame, requests))))
        arriving = []
        for name, connection in self.peers.items():
            fetch = self.asked(name)
            if fetch is not None:
                answers: list[Found] = [(question[0], True, None, 3) for question in fetch.questions]
                arriving.append((connection, encode_frame(OneWay(Fetched(answers)))))
        self.run("get: answers", *arriving)

    def fetches(self, keys: list[str]) -> None:
        """Answer another coordinator's reads."""
        context = self.node.replication.context
        questions = []
        for number, key in enumerate(keys):
            partition = partition_of(key)
            digest = context.mergeables[TABLE_KV].digest(context.store.get(TABLE_KV, partition, key) or b"")
            questions.append((number, time.monotonic() + 1.0, TABLE_KV, partition, key, digest))
        self.run("replica get", (self.asking, encode_frame(OneWay(Fetch(questions)))))

    def report(self) -> None:
        """The pieces, and the sums over a cluster of three."""
        for piece, seconds in self.best.items():
            show(f"{piece:{WIDTH}} {seconds * 1e6:6.2f} us")
        for what, replicas in (("put", 2), ("get", 1)):
            own = sum(seconds for piece, seconds in self.best.items() if piece.startswith(what)) * 1e6
            other = sum(seconds for piece, seconds in self.best.items() if piece.startswith(f"replica {what}")) * 1e6
            show(f"{what}: {own:.1f} + {replicas} x {other:.1f} = {own + replicas * other:.1f} us")


def main() -> None:
    """The table."""
    with Fleet(1, 3) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        fleet.world.run_for(1.0)
        node = fleet.nodes["n1"]
        real: Any = RealTime()
        node.env.clock = node.tick._clock = real
        node.transport.outbox._now = real.now
        node.rpc._clock = real
        file: Any = Swallow()
        node.store._log._file = file
        bench = Bench(node)
        gc.freeze()
        gc.disable()
        profile = cProfile.Profile() if os.environ.get("PROF") else None
        if profile:
            profile.enable()
        batches = [KEYS[start : start + BATCH] for start in range(0, len(KEYS), BATCH)]
        for turn in range(ROUNDS):
            for keys in batches:
                bench.puts(turn, keys)
        for turn in range(ROUNDS):
            for keys in batches:
                bench.copies(turn, keys)
        for _ in range(ROUNDS):
            for keys in batches:
                bench.gets(keys)
                bench.fetches(keys)
        if profile:
            profile.disable()
            pstats.Stats(profile).sort_stats("tottime").print_stats(40)
        bench.report()


if __name__ == "__main__":
    main()
