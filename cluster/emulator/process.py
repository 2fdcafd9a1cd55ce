"""What runs in a node's process: take the lock, run the node on uvloop until something ends it, exit.

Crash-only: SIGTERM ends a node tidily, and nothing depends on that. A fatal error is written to the log and ends the
process at once with exit code 1. The end of the leash or of the time to live ends the node and whatever siblings are
left.
"""

import asyncio
import errno
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import uvloop
from setproctitle import setproctitle

from cluster.emulator.home import NODE_LOCK_FILE
from cluster.emulator.lifetime import Lifetime, end_siblings
from cluster.emulator.nodelock import NodeLock
from cluster.emulator.spec import timestamp
from cluster.emulator.start import ADDRESS_TAKEN, NodeStart
from cluster.errors import ClusterError

EXIT_OK, EXIT_FATAL = 0, 1
DESCRIPTORS = 4096
"""Places of clients, of those that are still to prove themselves, and of the lanes of 200 peers, with room to spare. A
shell's soft limit is often 1024 or 256."""


class Runs(Protocol):
    """What a process runs: a node, or what a test runs instead."""

    def start(self) -> None:
        """Begin; when this returns, it listens."""

    def stop(self) -> None:
        """End tidily."""


Make = Callable[[NodeStart, Callable[[str], None]], Runs]
"""Makes it, on the running loop; the function that it is given ends the process with a message."""


def run(start: NodeStart, make: Make) -> int:
    """Take the lock, say so, and run until the end."""
    setproctitle(f"dsectl node {start.record.name}/{start.name}")
    raise_descriptor_limit()
    lock = NodeLock(start.folder / NODE_LOCK_FILE)
    if not lock.take():
        start.line.say("failed", "exists", f"node {start.name} runs already")
        return EXIT_FATAL
    if not start.line.say("locked"):
        return EXIT_FATAL
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        process = _Process(start, lock)
        code = runner.run(process.main(make))
        if code == EXIT_FATAL:
            # To close the loop is to wait for its threads, one of which may hang on the disk, and the node would serve
            # meanwhile.
            os._exit(code)
    if process.expired:
        lock.release()  # so that siblings that wait for this one see it gone
        end_siblings(start.cluster, start.name)
    return code


def raise_descriptor_limit() -> None:
    """As far as the system allows: accepting one connection too many must not keep peers out."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class _Process:
    """One run."""

    def __init__(self, start: NodeStart, lock: NodeLock) -> None:
        self.start = start
        self.lock = lock
        self.code = EXIT_OK
        self.expired = False
        self._ended: asyncio.Event | None = None

    async def main(self, make: Make) -> int:
        """Run what `make` makes until something ends it."""
        loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, self._end, EXIT_OK)
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        loop.add_signal_handler(signal.SIGHUP, lambda: None)

        def expire(why: str) -> None:
            log(f"ends: {why}")
            self.expired = True
            self._end(EXIT_OK)

        lifetime = Lifetime(self.start.cluster, self.start.record.expires_at, self.lock, expire)
        lifetime.start(loop)
        node: Runs | None = None
        try:
            node = make(self.start, self._fatal)
            node.start()
            if not self.start.line.say("listening"):
                self._fatal("the command that started this node is gone")
            self.start.line.close()
            await self._ended.wait()
        except (ClusterError, OSError) as error:
            self.code, code, message = EXIT_FATAL, ClusterError.code, str(error)
            if isinstance(error, ClusterError):
                code = error.code
            elif error.errno == errno.EADDRINUSE:
                code = ADDRESS_TAKEN
            log(f"fatal: {message}")
            self.start.line.say("failed", code, message)
            self.start.line.close()
        finally:
            lifetime.stop()
            if node is not None and self.code == EXIT_OK:
                node.stop()
        return self.code

    def _end(self, code: int) -> None:
        assert self._ended is not None
        self.code = max(self.code, code)
        self._ended.set()

    def _fatal(self, message: str) -> None:
        log(f"fatal: {message}")
        self._end(EXIT_FATAL)


def log(message: str) -> None:
    """One line in the log, which is standard error. A disk that is full, or a service that has closed its standard
    error, loses the line and keeps nobody from a drain or an end."""
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{timestamp()} [{os.getpid()}] {message}\n")
        sys.stderr.flush()
