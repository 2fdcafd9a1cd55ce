"""Requests through the HTTP gateway: a second, p50 and p99, and the processor time of the nodes for each.

`python -m tests.bench.bench_http`. CONNECTIONS connections that are kept, each with the next request behind the answer,
spread over the three nodes; 112 bytes of text or value.
"""

import asyncio
import time
from collections.abc import Callable
from typing import cast

import uvloop

from cluster.emulator.home import find_home, load_cluster
from tests.bench.harness import RUNS, SECONDS, cpu_s, fresh_cluster, percentile, rate, show, spread

CONNECTIONS, KEYS = 64, 40
TEXT = b'{"text":"' + b"x" * 112 + b'"}'


def request(method: str, target: str, password: str, body: bytes = b"") -> bytes:
    """As curl sends it."""
    head = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {password}\r\nAccept: */*\r\n"
    kind = "Content-Type: application/json\r\n" if body else ""
    return f"{head}{kind}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Closed(asyncio.Protocol):
    """One connection in a closed loop."""

    def __init__(self, requests: list[bytes], end: float) -> None:
        self.requests, self.end = requests, end
        self.latencies: list[float] = []
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def itself(self) -> "Closed":
        """As what makes it, for the loop."""
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self.next()

    def next(self) -> None:
        self.started = time.perf_counter()
        if self.started >= self.end:
            self.transport.close()
            self.over.set_result(None)
        else:
            self.transport.write(self.requests[len(self.latencies) % len(self.requests)])

    def data_received(self, data: bytes) -> None:
        assert data.startswith(b"HTTP/1.1 200 "), data  # small, so it comes in one piece
        self.latencies.append(time.perf_counter() - self.started)
        self.next()


async def measure(addresses: list[str], requests: Callable[[int], list[bytes]]) -> tuple[float, float, float, float]:
    """Requests a second, p50 and p99 in ms, microseconds of the nodes' processors for each."""
    loop, before, began = asyncio.get_running_loop(), cpu_s(), time.perf_counter()
    clients = [Closed(requests(number), began + SECONDS) for number in range(CONNECTIONS)]
    for number, client in enumerate(clients):
        host, port = addresses[number % len(addresses)].split(":")
        await loop.create_connection(client.itself, host, int(port))
    await asyncio.gather(*(client.over for client in clients))
    took, used = time.perf_counter() - began, cpu_s() - before
    latencies = sorted(one for client in clients for one in client.latencies)
    count = len(latencies)
    return count / took, percentile(latencies, 0.5) * 1e3, percentile(latencies, 0.99) * 1e3, used / count * 1e6


def main() -> None:
    """The table."""
    with fresh_cluster(3, gateway="http"):
        files = load_cluster("bench", find_home())
        addresses = [files.gateways["http"][node] for node in files.nodes]
        word = files.gateway_password
        cases: dict[str, Callable[[int], list[bytes]]] = {
            "POST /services/echo/echo": lambda client: [request("POST", "/services/echo/echo", word, TEXT)],
            "PUT /kv/KEY": lambda client: [request("PUT", f"/kv/{client}-{n}", word, TEXT) for n in range(KEYS)],
            "GET /kv/KEY": lambda client: [request("GET", f"/kv/{client}-{n}", word) for n in range(KEYS)],
        }
        for name, requests in cases.items():
            runs = [uvloop.run(measure(addresses, requests)) for _ in range(RUNS)]
            columns = list(zip(*runs, strict=True))
            p50, p99, cost = (spread(list(column)) for column in columns[1:])
            show(f"{name:26} {rate(list(columns[0]))} /s  p50 {p50} ms  p99 {p99} ms  nodes {cost} us")


if __name__ == "__main__":
    main()
