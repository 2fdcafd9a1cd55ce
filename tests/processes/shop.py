"""A service for workers, which can do to its process all that a service should not."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator

from msgspec import Struct

from cluster.requests import CallContext, operation, service


class Wish(Struct):
    """What to do, where an operation asks."""

    text: str = ""
    seconds: float = 0.0


class Told(Struct):
    """What an operation says of itself."""

    pid: int
    text: str = ""


@service(name="shop", version=1)
class Shop:
    """Does what it is told."""

    def __init__(self) -> None:
        self.hoard: list[bytearray] = []

    @operation(readonly=True)
    def who(self, call: CallContext) -> Told:
        """Say which process runs it."""
        return Told(os.getpid(), call.node)

    @operation()
    async def wait(self, request: Wish, call: CallContext) -> Told:
        """Take a while."""
        await call.sleep(request.seconds)
        return Told(os.getpid())

    @operation(readonly=True)
    async def count(self, request: Wish) -> AsyncIterator[Told]:
        """Reply with rows: as long as anybody reads, where `text` says so."""
        number = 0
        while number < 3 or request.text == "ever":
            number += 1
            yield Told(number, request.text)

    @operation(readonly=True)
    def large(self) -> Told:
        """Reply with much."""
        return Told(os.getpid(), "x" * 500_000)

    @operation()
    def say(self, request: Wish) -> None:
        """Print."""
        sys.stdout.write(f"{request.text}\n")

    @operation()
    def fail(self) -> None:
        """Raise what it did not declare."""
        raise ValueError("out of stock")

    @operation()
    def crash(self) -> None:
        """End the process."""
        os._exit(3)

    @operation()
    def hang(self) -> None:
        """Never come back."""
        while True:
            pass

    @operation()
    def hoard_more(self) -> Told:
        """Keep 50 MB more."""
        self.hoard.append(bytearray(50_000_000))
        return Told(os.getpid(), str(len(self.hoard)))

    @operation()
    def fork(self) -> Told:
        """Leave a child that goes on."""
        child = os.fork()
        while child == 0:
            time.sleep(1.0)
        return Told(child)

    @operation()
    def fork_and_return(self) -> Told:
        """Come back twice."""
        child = os.fork()
        return Told(child or os.getpid())

    @operation()
    def start(self) -> Told:
        """Leave a program that goes on."""
        return Told(subprocess.Popen(["sleep", "1000"]).pid)

    @operation()
    def ignore_signals(self) -> None:
        """Take no hint."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
