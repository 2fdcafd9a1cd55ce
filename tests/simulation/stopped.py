"""A program that notes in which order it meets its timers and its sockets after it did not run for a while.

It knows the world through an `Env` alone, so that it runs on a real loop (as a process of its own: `python -m
tests.simulation.stopped WHERE PORT`) and in the simulation. What it is sent meanwhile is the caller's business.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable

import uvloop

from cluster.env import Address, Env, Link
from cluster.env.real import real_env

FIRST_S, SECOND_S = 1.0, 1.05
"""When the two timers are due, after `begin`."""
SIZES = ([1000, 1000, 1000], [10, 10])
"""What each of two streams carries meanwhile; then come two datagrams."""
DATAGRAMS = (b"one", b"two")


class Stream:
    """One accepted stream. Bytes before `begin` are not noted."""

    def __init__(self, notes: "Notes", number: int) -> None:
        self.notes = notes
        self.number = number

    def connected(self, link: Link) -> None: ...

    def received(self, data: bytes) -> None:
        if self.notes.begun:
            self.notes.note(f"stream {self.number} {len(data)}")
            if not self.number and self.notes.in_stream is not None:
                in_stream, self.notes.in_stream = self.notes.in_stream, None
                in_stream()

    def lost(self, reason: str) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Notes:
    """Listens at `at` for streams and datagrams.

    `in_timer` and `in_stream` are called once, inside of a timer that comes before all others, or of the reading of
    the first stream's first bytes; `on_change` whenever there is more to see.
    """

    def __init__(self, env: Env, at: Address) -> None:
        self.env = env
        self.in_timer: Callable[[], None] | None = None
        self.in_stream: Callable[[], None] | None = None
        self.on_change: Callable[[], None] = lambda: None
        self.lines: list[str] = []
        self.streams = 0
        self.begun = False
        env.network.listen(at, self._accept)
        self.datagrams = env.network.datagrams(at, lambda data, sender: self.note(f"datagram {data.decode()}"))

    def _accept(self, peer: Address) -> Stream:
        self.streams += 1
        self.on_change()
        return Stream(self, self.streams - 1)

    def begin(self) -> None:
        """Set the timers."""
        self.begun = True
        if self.in_timer is not None:
            self.env.clock.call_later(0.02, self.in_timer)
        self.env.clock.call_later(FIRST_S, self.note, "timer first")
        self.env.clock.call_later(SECOND_S, self.note, "timer second")

    def note(self, what: str) -> None:
        """What is met, and what it makes ready."""
        self.lines.append(what)
        self.env.clock.call_soon(self._soon, what)

    def _soon(self, what: str) -> None:
        self.lines.append(f"soon after {what}")
        self.on_change()

    @property
    def complete(self) -> bool:
        """Whether everything was met."""
        return {"soon after timer second", "soon after datagram two"} <= set(self.lines)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main(where: str, port: int, folder: str) -> None:
    def busy() -> None:
        """Keep the loop from going on, until all was sent and both timers are due."""
        say("busy")
        sys.stdin.readline()
        while time.monotonic() < due:
            pass

    def look() -> None:
        if notes.streams == len(SIZES):
            connected.set()
        if notes.complete:
            complete.set()

    connected, complete = asyncio.Event(), asyncio.Event()
    notes = Notes(real_env(folder), ("127.0.0.1", port))
    notes.on_change = look
    if where == "timer":
        notes.in_timer = busy
    elif where == "stream":
        notes.in_stream = busy
    say("listening")
    await connected.wait()
    due = time.monotonic() + SECOND_S + 0.05
    notes.begin()
    say("begun")
    await complete.wait()
    say("\n".join(notes.lines))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        uvloop.run(main(sys.argv[1], int(sys.argv[2]), folder))
