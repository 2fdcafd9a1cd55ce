"""Stands in for the node in tests of processes: listens on the node's port, and does nothing else."""

import signal
import socket
import sys
from collections.abc import Callable

from cluster.emulator.process import Runs, run
from cluster.emulator.start import NodeStart


class StandIn:
    """Listens on TCP and UDP, as a node does."""

    def __init__(self, start: NodeStart) -> None:
        self.start_values = start
        self.sockets: list[socket.socket] = []

    def start(self) -> None:
        """Listen."""
        place = next(member for member in self.start_values.entry.members if member.name == self.start_values.name)
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            listener = socket.socket(socket.AF_INET, kind)
            if kind == socket.SOCK_STREAM:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((place.host, place.port))
            if kind == socket.SOCK_STREAM:
                listener.listen()
            self.sockets.append(listener)

    def stop(self) -> None:
        """Say so in the log, and close."""
        sys.stderr.write("stopped tidily\n")
        for listener in self.sockets:
            listener.close()


def _make(start: NodeStart, on_fatal: Callable[[str], None]) -> Runs:
    return StandIn(start)


def run_stand_in(start: NodeStart) -> int:
    """The child's function."""
    return run(start, _make)


def run_deaf(start: NodeStart) -> int:
    """A child that has its lock, and never listens."""

    class Deaf(StandIn):
        def start(self) -> None:
            import time

            time.sleep(60)

    return run(start, lambda start, on_fatal: Deaf(start))


def run_failing(start: NodeStart) -> int:
    """A child that cannot start, but for n1."""

    class Failing(StandIn):
        def start(self) -> None:
            if self.start_values.name == "n2":
                raise OSError(5, "the disk is on fire")
            super().start()

    return run(start, lambda start, on_fatal: Failing(start))


def run_silent(start: NodeStart) -> int:
    """A child that ends before it says anything."""
    return 3 if start.name == "n2" else run_stand_in(start)


def run_stubborn(start: NodeStart) -> int:
    """A child that does not hear SIGTERM."""

    class Stubborn(StandIn):
        def start(self) -> None:
            super().start()
            import asyncio

            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: None)

    return run(start, lambda start, on_fatal: Stubborn(start))


def run_slow(start: NodeStart) -> int:
    """A child that takes a while to listen."""

    class Slow(StandIn):
        def start(self) -> None:
            import time

            time.sleep(1.0)
            super().start()

    return run(start, lambda start, on_fatal: Slow(start))


def run_fatal(start: NodeStart) -> int:
    """A child that meets a fatal error at SIGTERM, while a thread of it hangs on the disk."""

    def make(start: NodeStart, on_fatal: Callable[[str], None]) -> Runs:
        class Fatal(StandIn):
            def start(self) -> None:
                super().start()
                import asyncio
                import time

                loop = asyncio.get_running_loop()
                loop.run_in_executor(None, time.sleep, 600.0)
                loop.add_signal_handler(signal.SIGTERM, on_fatal, "the log could not be synced")

        return Fatal(start)

    return run(start, make)
