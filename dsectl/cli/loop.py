"""A coroutine carried out by a command: on a loop of its own, which signals end as they end any other command."""

import asyncio
import signal
import threading
from collections.abc import Coroutine, Sequence
from types import FrameType
from typing import Any, TypeVar

import uvloop

from dsectl.cli.signals import handled

T = TypeVar("T")


def run_loop(coroutine: Coroutine[Any, Any, T], ending: Sequence[int] = (signal.SIGTERM, signal.SIGHUP)) -> T:
    """Run it on a loop of its own. The signals `ending` cancel it, as Ctrl-C does, and then do what they did before:
    what their handler raises in a callback of the loop would be lost, and the signal with it."""
    came: list[int] = []

    async def main() -> T:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None

        def end(signum: int, frame: FrameType | None) -> None:
            came.append(signum)
            task.cancel()
            loop.call_soon_threadsafe(lambda: None)  # it may wait for its sockets

        in_main = threading.current_thread() is threading.main_thread()
        heard = [one for one in ending if in_main and callable(signal.getsignal(one))]
        with handled(dict.fromkeys(heard, end)):
            return await coroutine

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main())
    finally:
        for signum in came[:1]:
            signal.raise_signal(signum)
