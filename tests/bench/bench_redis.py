"""SET and GET through the Redis gateway beside a cluster of Redis (three masters with a replica each), as a ratio.

`python -m tests.bench.bench_redis`, with redis-server and redis-cli in PATH. 50 connections (as redis-benchmark -c 50),
spread over the three nodes or masters, 100-byte values, RUNS turns of SECONDS. Both keep a log that is synced each
second; here an OK says that two owners hold the write, there WAIT 1 says that a replica does.
"""

import asyncio
import subprocess
import tempfile
import time
from binascii import crc_hqx
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import cast

import uvloop

from cluster.emulator.ports import choose_ports, ephemeral_range, is_free, usable_ports
from tests.bench.harness import RUNS, SECONDS, fresh_cluster, percentile, rate, show, spread

CONNECTIONS, KEYS, MASTERS, SLOTS = 50, 40, 3, 16_384
VALUE = b"v" * 100


def request(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


class Closed(asyncio.Protocol):
    """One connection in a closed loop: the next request follows the reply, of which `size` bytes are expected."""

    def __init__(self, requests: list[bytes], reply: bytes, hello: bytes, end: float) -> None:
        self.requests, self.reply, self.hello, self.end = requests, reply, hello, end
        self.latencies: list[float] = []
        self.got = b""
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        if self.hello:
            self.transport.write(self.hello)
        else:
            self.next()

    def next(self) -> None:
        self.started = time.perf_counter()
        if self.started >= self.end:
            self.transport.close()
            self.over.set_result(None)
            return
        self.transport.write(self.requests[len(self.latencies) % len(self.requests)])

    def data_received(self, data: bytes) -> None:
        self.got += data
        if self.hello:
            assert self.got == b"+OK\r\n", self.got
            self.hello = self.got = b""
            self.next()
        elif len(self.got) >= len(self.reply):
            assert self.got == self.reply, self.got
            self.got = b""
            self.latencies.append(time.perf_counter() - self.started)
            self.next()


async def load(ports: list[int], tags: list[bytes], write: bool, wait: bool, password: str) -> list[float]:
    """The latencies of one turn."""
    loop, made = asyncio.get_running_loop(), []
    end = time.perf_counter() + SECONDS
    hello = request(b"AUTH", password.encode()) if password else b""
    for number in range(CONNECTIONS):
        keys = [b"%b:%d:%d" % (tags[number % MASTERS], number, turn) for turn in range(KEYS)]
        suffix, reply = (request(b"WAIT", b"1", b"0"), b"+OK\r\n:1\r\n") if wait else (b"", b"+OK\r\n")
        if write:
            requests = [request(b"SET", key, VALUE) + suffix for key in keys]
        else:
            requests, reply = [request(b"GET", key) for key in keys], b"$100\r\n" + VALUE + b"\r\n"
        port = ports[number % MASTERS]
        made.append((await loop.create_connection(lambda: Closed(requests, reply, hello, end), "127.0.0.1", port))[1])  # noqa: B023
    for one in made:
        await one.over
    return sorted(latency for one in made for latency in one.latencies)


def tag(slot_first: int, slot_last: int) -> bytes:
    """A hash tag whose slot lies in a range."""
    return next(
        b"{%d}" % number for number in range(1_000_000) if slot_first <= crc_hqx(b"%d" % number, 0) % SLOTS <= slot_last
    )


@contextmanager
def redis_cluster() -> Iterator[list[int]]:
    """Three masters, whose ports are given, and three replicas."""
    ports = [port for port in choose_ports(6, {}, is_free, usable_ports(6, ephemeral_range()), Random())]
    with tempfile.TemporaryDirectory(prefix="redis-bench-") as folder:
        servers = []
        try:
            for port in ports:
                place = Path(folder) / str(port)
                place.mkdir()
                options = {
                    "port": port,
                    "cluster-enabled": "yes",
                    "appendonly": "yes",
                    "appendfsync": "everysec",
                    "save": "",
                }
                words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
                servers.append(subprocess.Popen(["redis-server", *words], cwd=place, stdout=subprocess.DEVNULL))
            time.sleep(1.0)
            addresses = [f"127.0.0.1:{port}" for port in ports]
            create = ["redis-cli", "--cluster", "create", *addresses, "--cluster-replicas", "1", "--cluster-yes"]
            subprocess.run(create, check=True, stdout=subprocess.DEVNULL, timeout=60)
            time.sleep(3.0)  # until the replicas have taken their place
            yield ports[:MASTERS]
        finally:
            for server in servers:
                server.kill()
                server.wait()


def main() -> None:
    """The table."""
    tags = [tag(first, last) for first, last in ((0, 5460), (5461, 10922), (10923, 16383))]
    with redis_cluster() as theirs, fresh_cluster(3, gateway="redis") as report:
        ours = [int(address.rpartition(":")[2]) for address in list(report.files.gateways["redis"].values())[:MASTERS]]
        password = report.files.gateway_password
        for write in (True, False):
            turns = []
            for _ in range(RUNS):
                here = uvloop.run(load(ours, tags, write, False, password))
                there = uvloop.run(load(theirs, tags, write, write, ""))
                turns.append((here, there))
            ratios = [len(here) / len(there) for here, there in turns]
            for who, side in (("dsectl", 0), ("redis", 1)):
                rates = rate([len(turn[side]) / SECONDS for turn in turns])
                p50, p99 = (spread([percentile(turn[side], share) * 1e3 for turn in turns]) for share in (0.5, 0.99))
                show(f"{'SET' if write else 'GET'} {who:6}: {rates} /s  p50 {p50} ms  p99 {p99} ms")
            show(f"{'SET' if write else 'GET'} ratio: {spread(ratios)}")


if __name__ == "__main__":
    main()
