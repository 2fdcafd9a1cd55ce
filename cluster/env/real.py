"""The real world for one node: the system's clock, sockets and files, on the asyncio (uvloop) loop that runs now.

`now` is the system's monotonic clock, not the loop's: uvloop's has whole milliseconds and stands still within a pass,
which is too coarse for round-trip times and hides a stall. Loop timers are rounded up, so that no call comes early.
Not here: making the loop, signals, and what to do when a callback raises (the loop's exception handler decides).
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Coroutine
from math import ceil
from random import Random
from typing import Any

from cluster.env.real_boot import boot_id
from cluster.env.real_disk import RealDisk
from cluster.env.real_network import RealNetwork
from cluster.env.seam import DiskFaults, Env, SortedRows, Timer

log = logging.getLogger(__name__)


def real_env(folder: str, seed: int | None = None) -> Env:
    """The world of a node whose files are below `folder`. Call it with the loop running; `seed` fixes `random`."""
    loop = asyncio.get_running_loop()
    clock, disk = RealClock(loop), RealDisk(loop, folder)

    def ail(faults: DiskFaults | None, skew_s: float, on_clock: Callable[[], object]) -> None:
        disk.faults = faults
        clock.set_skew(skew_s, on_clock)

    def open_sorted(path: str, anew: bool) -> SortedRows:
        from cluster.env.real_sorted import RocksRows  # the one import of RocksDB

        return RocksRows(loop, os.path.join(folder, path), lambda: disk.check_room(path), anew=anew)

    return Env(
        clock=clock,
        random=Random(os.urandom(32) if seed is None else seed),
        disk=disk,
        network=RealNetwork(loop),
        spawn=Tasks(loop).spawn,
        boot_id=boot_id(),
        open_sorted=open_sorted,
        ail=ail,
    )


class RealClock:
    """The system's monotonic clock and the loop's timers, which come up to 2 ms late and never early."""

    __slots__ = ("_loop", "call_soon", "now", "wall")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.now: Callable[[], float] = time.monotonic
        self.wall: Callable[[], float] = time.time
        self.call_soon: Callable[..., Timer] = loop.call_soon

    def set_skew(self, skew_s: float, on_read: Callable[[], object]) -> None:
        """Let `wall` be ahead by so much, and say each reading of it; 0: it is right again, and costs what it did."""

        def wall() -> float:
            on_read()
            return time.time() + skew_s

        self.wall = wall if skew_s else time.time

    def call_at(self, when: float, function: Callable[..., object], *args: Any) -> Timer:
        """Call at the monotonic time `when`, or as soon after as the process runs."""
        return self.call_later(when - time.monotonic(), function, *args)

    def call_later(self, delay: float, function: Callable[..., object], *args: Any) -> Timer:
        """Call after `delay` seconds."""
        if delay <= 0:
            return self._loop.call_soon(function, *args)
        # Up to the next millisecond, and one more: the loop counts from the start of the current one.
        return self._loop.call_later((ceil(delay * 1000) + 1) / 1000, function, *args)


async def sleep(seconds: float) -> None:
    """Wait `seconds`, never less: `asyncio.sleep` on uvloop may return up to a millisecond early."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()

    def end() -> None:
        if not over.done():
            over.set_result(None)

    timer = RealClock(loop).call_later(seconds, end)
    try:
        await over
    finally:
        timer.cancel()


class Tasks:
    """Keeps spawned tasks alive (the loop itself holds them weakly) and logs what they raise."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks: dict[asyncio.Task[Any], None] = {}

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> Timer:
        """Run a coroutine; the handle's `cancel` cancels it."""

        def ended(task: asyncio.Task[Any]) -> None:
            del self._tasks[task]
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("a spawned task failed", exc_info=error)

        task = self._loop.create_task(coroutine)
        self._tasks[task] = None
        task.add_done_callback(ended)
        return RealTask(task)


class RealTask:
    """A spawned coroutine, as its spawner sees it."""

    __slots__ = ("_task",)

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self._task = task

    def cancel(self) -> None:
        """Cancel the coroutine; harmless when it has ended."""
        self._task.cancel()
