"""After it did not run for a while a process meets its timers, its sockets and what these make ready in the order of
the real loop: uvloop on libuv 1.45 or later, see docs/simulation.md. The same program runs on both.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster.env import Link
from cluster.simulation import World
from cluster.simulation.fleet import Fleet, OpenLink, SimulatedRequest
from cluster.wire.topics import Publish, Subscribe
from tests.simulation.safeguards.scenes import acknowledged, settled_siblings
from tests.simulation.stopped import DATAGRAMS, FIRST_S, SECOND_S, SIZES, Notes

ROOT = Path(__file__).parents[2]
BUSY_S = 1.5
TIMERS = ["timer first", "timer second"]
SOCKETS = ["stream 0 3000", "stream 1 20", "datagram one", "datagram two"]


def soon(lines: list[str]) -> list[str]:
    return [f"soon after {line}" for line in lines]


ORDERS = {
    # A poll that is interrupted by a signal returns without events; the timers are due.
    "stopped": [*TIMERS, *soon(TIMERS), *SOCKETS, *soon(SOCKETS)],
    # After the timers of a pass comes the poll; the timers that are due by then come after it, in the same pass.
    "busy in a timer": [*SOCKETS, *TIMERS, *soon(SOCKETS), *soon(TIMERS)],
    # After the poll of a pass come its timers. The first stream had handed over what there was when it began.
    "busy in a stream": ["stream 0 5", *TIMERS, *soon(["stream 0 5", *TIMERS]), *SOCKETS, *soon(SOCKETS)],
}


@contextmanager
def process(where: str) -> Iterator[tuple["subprocess.Popen[str]", list[socket.socket], socket.socket, int]]:
    """The program as a process, and this end of its sockets."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.simulation.stopped", where, str(port)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    sockets: list[socket.socket] = []
    try:
        read_line(child, "listening")
        for _ in SIZES:
            sockets.append(socket.create_connection(("127.0.0.1", port), timeout=10))
            sockets[-1].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sockets.append(datagrams)
        read_line(child, "begun")
        yield child, sockets, datagrams, port
    finally:
        for one in sockets:
            one.close()
        child.kill()
        child.wait()
        assert child.stdin is not None and child.stdout is not None
        child.stdin.close()
        child.stdout.close()


def read_line(child: "subprocess.Popen[str]", expected: str) -> None:
    assert child.stdout is not None
    assert child.stdout.readline().strip() == expected


def sleeps(pid: int) -> bool:
    """Whether the process waits in its poll, as far as the system tells."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def send_all(streams: list[socket.socket], datagrams: socket.socket, port: int) -> None:
    for stream, sizes in zip(streams, SIZES, strict=False):
        for size in sizes:
            stream.sendall(bytes(size))
    for data in DATAGRAMS:
        datagrams.sendto(data, ("127.0.0.1", port))


def real_order(case: str) -> list[str]:
    """What the process wrote."""
    with process({"stopped": "nowhere", "busy in a timer": "timer", "busy in a stream": "stream"}[case]) as (
        child,
        sockets,
        datagrams,
        port,
    ):
        due = time.monotonic() + SECOND_S + 0.1
        if case == "stopped":
            while not sleeps(child.pid):
                pass
            os.kill(child.pid, signal.SIGSTOP)
            os.waitpid(child.pid, os.WUNTRACED)
        elif case == "busy in a stream":
            sockets[0].sendall(bytes(5))
            read_line(child, "busy")
        else:
            read_line(child, "busy")
        send_all(sockets, datagrams, port)
        assert child.stdin is not None
        child.stdin.write("all is sent\n")
        child.stdin.flush()
        if case == "stopped":
            while time.monotonic() < due:
                pass
            os.kill(child.pid, signal.SIGCONT)
        assert child.stdout is not None
        return child.stdout.read().splitlines()


def simulated_order(seed: int, case: str) -> list[str]:
    with World(seed, cut_probability=0.0) as world:
        notes = Notes(world.env("n1"), ("10.0.0.1", 7000))
        streams = [Sender(world) for _ in SIZES]
        other = world.env("n2").network.datagrams(("10.0.0.2", 7000), lambda data, sender: None)
        for stream in streams:
            world.env("n2").network.dial(("10.0.0.1", 7000), stream, 5.0)
            world.run_until_true(lambda stream=stream: bool(stream.links))  # type: ignore[misc]
        world.run_until_true(lambda: notes.streams == len(SIZES))
        if case == "busy in a timer":
            notes.in_timer = lambda: None
        notes.begin()
        if case == "stopped":
            world.pause("n1")
        else:
            world.stall("n1", BUSY_S, after_calls=1)
        if case == "busy in a stream":
            streams[0].links[0].write(bytes(5))
        world.run_for(0.05)
        for stream, sizes in zip(streams, SIZES, strict=True):
            for size in sizes:
                stream.links[0].write(bytes(size))
                world.run_for(0.001)
        for data in DATAGRAMS:
            other.send(data, ("10.0.0.1", 7000))
            world.run_for(0.001)
        world.run_for(SECOND_S)
        assert world.now > FIRST_S
        if case == "stopped":
            world.resume("n1")
        world.run_for(1.0)
        return notes.lines


class Sender:
    """The other end of a stream."""

    def __init__(self, world: World) -> None:
        self.links: list[Link] = []

    def connected(self, link: Link) -> None:
        self.links.append(link)

    def received(self, data: bytes) -> None: ...

    def lost(self, reason: str) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


@pytest.mark.skipif(sys.platform != "linux", reason="the order is that of epoll")
@pytest.mark.parametrize("case", ORDERS)
def test_the_real_loop_has_this_order(case: str) -> None:
    assert real_order(case) == ORDERS[case]


@pytest.mark.parametrize("case", ORDERS)
def test_the_simulation_has_the_order_of_the_real_loop(seed: int, case: str) -> None:
    assert simulated_order(seed, case) == ORDERS[case]


@pytest.mark.parametrize("after_s", [0.01, 0.05, 0.3, 0.9])
def test_what_waited_at_a_paused_node_past_its_deadline_is_not_done(after_s: float) -> None:
    with Fleet.running(1, 5) as fleet:
        owners = fleet.owners("cart")
        stranger = next(name for name in fleet.names if name not in owners)
        zero = acknowledged(fleet, stranger, "cart", b"zero")
        fleet.world.pause(owners[0])
        fleet.world.run_for(after_s)
        fleet.wait(fleet.put(stranger, "cart", b"one"))
        acknowledged(fleet, owners[1], "cart", b"two", context=zero.context)
        fleet.world.run_for(8.0)
        fleet.world.resume(owners[0])
        fleet.world.run_for(1.0)
        assert settled_siblings(fleet, "cart") == [b"two"]


def test_a_message_that_reaches_a_stopped_node_after_its_deadline_is_dropped() -> None:
    with Fleet.running(1, 3) as fleet:
        to, link = fleet.nodes["n2"], OpenLink()
        subscribe = SimulatedRequest(Subscribe(1, "orders.>"), fleet.world.now + 5.0)
        subscribe.link = link
        to.env.clock.call_soon(to.rpc.handler(Subscribe), subscribe)
        fleet.wait(subscribe)
        fleet.world.run_for(0.5)
        origin = fleet.nodes["n1"]

        def publish(payload: bytes, timeout_s: float) -> None:
            message = SimulatedRequest(Publish("orders.new", payload), origin.env.clock.now() + timeout_s)
            origin.env.clock.call_soon(origin.rpc.handler(Publish), message)

        publish(b"before", 1.0)
        fleet.world.run_for(0.1)
        fleet.world.pause("n2")
        publish(b"given up", 1.0)
        publish(b"still wanted", 10.0)
        fleet.world.run_for(3.0)
        fleet.world.resume("n2")
        fleet.world.run_for(0.5)
        assert [message.payload for message in link.pushed] == [b"before", b"still wanted"]
