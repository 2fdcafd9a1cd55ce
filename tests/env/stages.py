"""Where the contract of the seam is played: the real world or the simulated one, behind one small surface."""

import asyncio
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import uvloop

from cluster.env import Address, Env, Link
from cluster.env.real import real_env
from cluster.simulation import World


class Stage(Protocol):
    aborted: str
    """What the other side of an aborted stream is told."""

    def env(self, name: str) -> Env: ...

    def address(self) -> Address: ...

    def until(self, done: Callable[[], bool], within: float = 10.0) -> None: ...

    def cleanup(self, function: Callable[[], object]) -> None:
        """Call it at the end of the test, also of one that fails: what stays open would drown the failure."""

    def close(self) -> None: ...


class RealStage:
    """A uvloop loop that runs only inside `until`."""

    aborted = "lost reset"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.loop = uvloop.new_event_loop()
        self.cleanups: list[Callable[[], object]] = []
        self.failures: list[dict[str, object]] = []
        self.loop.set_exception_handler(lambda _, context: self.failures.append(context))

    def env(self, name: str) -> Env:
        async def make() -> Env:
            return real_env(str(self._folder / name), seed=1)

        return self.loop.run_until_complete(make())

    def address(self) -> Address:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            host, port = probe.getsockname()
            return host, port

    def until(self, done: Callable[[], bool], within: float = 10.0) -> None:
        async def poll() -> None:
            deadline = time.monotonic() + within
            while not done():
                assert not self.failures, self.failures
                assert time.monotonic() < deadline, f"not within {within} s"
                await asyncio.sleep(0.001)

        self.loop.run_until_complete(poll())

    def cleanup(self, function: Callable[[], object]) -> None:
        self.cleanups.append(function)

    def close(self) -> None:
        for function in self.cleanups:
            function()

        async def settle() -> None:
            for _ in range(5):  # closed sockets leave the loop a few passes later
                await asyncio.sleep(0)

        self.loop.run_until_complete(settle())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        assert self.failures == []


class SimulatedStage:
    """A world of its own, in virtual time."""

    aborted = "lost reset"

    def __init__(self) -> None:
        self.world = World(1)
        self._addresses = 0

    def env(self, name: str) -> Env:
        return self.world.env(name)

    def address(self) -> Address:
        self._addresses += 1
        return "10.0.0.1", self._addresses

    def until(self, done: Callable[[], bool], within: float = 10.0) -> None:
        self.world.run_until_true(done, within)

    def cleanup(self, function: Callable[[], object]) -> None:
        """Nothing outlives the world."""

    def close(self) -> None:
        self.world.close()


class Recorder:
    """A link handler that remembers what it was told, in order."""

    def __init__(self, *, echo: bool = False) -> None:
        self.echo = echo
        self.calls: list[str] = []
        self.data = bytearray()
        self.links: list[Link] = []

    @property
    def link(self) -> Link:
        return self.links[0]

    @property
    def last(self) -> str:
        return self.calls[-1] if self.calls else ""

    def connected(self, link: Link) -> None:
        self.calls.append("connected")
        self.links.append(link)

    def received(self, data: bytes) -> None:
        if self.last != "received":
            self.calls.append("received")
        self.data += data
        if self.echo:
            self.link.write(data)

    def lost(self, reason: str) -> None:
        self.calls.append(f"lost {reason}")

    def pause(self) -> None:
        self.calls.append("pause")

    def resume(self) -> None:
        self.calls.append("resume")


def tcp_ends(port: int) -> int:
    """How many ends of established TCP streams have this port on either side. Linux only."""
    wanted, established = f":{port:04X}", "01"
    with open("/proc/net/tcp", encoding="ascii") as file:
        rows = [line.split() for line in file.readlines()[1:]]
    return sum(1 for row in rows if row[3] == established and wanted in row[1] + row[2])
