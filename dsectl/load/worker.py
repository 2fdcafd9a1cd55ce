"""One generator process of several; `fleet` starts it and describes the lines that go to and fro."""

import asyncio
import os
import signal
import sys
import threading
from base64 import b64decode, b64encode
from time import monotonic
from typing import Any, NoReturn

import uvloop
from msgspec import json, msgpack

from cluster.errors import ClusterError
from dsectl.load.plan import Plan
from dsectl.load.session import Hooks, run_session
from dsectl.load.tally import Interval

EXIT_ORPHANED = 1


class Ears:
    """Reads standard input in a thread of its own, which ends the process when it ends."""

    def __init__(self) -> None:
        self.begin_at = 0.0
        self.stopped = False
        self.interrupts = 0
        self._go = threading.Event()

    def listen(self) -> None:
        """Until standard input ends."""
        for line in sys.stdin.buffer:
            word, _, rest = line.decode().strip().partition(" ")
            if word == "go":
                self.begin_at = float(rest)
                self._go.set()
            elif word in ("stop", "interrupt"):
                self.stopped = True
                self.interrupts += word == "interrupt"
                self.begin_at = self.begin_at or monotonic()
                self._go.set()
        os._exit(EXIT_ORPHANED)

    async def begin(self) -> float:
        """Say that all is prepared, and wait for the word to begin."""
        say({"prepared": True})
        await asyncio.to_thread(self._go.wait)
        return self.begin_at


def say(what: dict[str, Any]) -> None:
    """One line to who started this process."""
    sys.stdout.buffer.write(json.encode(what) + b"\n")
    sys.stdout.buffer.flush()


def packed(value: Any) -> str:
    """A struct as text."""
    return b64encode(msgpack.encode(value)).decode()


def main() -> NoReturn:
    """The process."""
    for signum in (signal.SIGINT, signal.SIGTERM):  # a whole group may be sent them; who started this hands them on
        signal.signal(signum, signal.SIG_IGN)
    plan = msgpack.decode(b64decode(sys.stdin.buffer.readline()), type=Plan)
    ears = Ears()
    threading.Thread(target=ears.listen, daemon=True).start()

    def on_interval(interval: Interval) -> None:
        say({"interval": packed(interval)})

    hooks = Hooks(
        ears.begin,
        lambda: say({"first": True}),
        on_interval,
        lambda phase: say({"phase": phase}),
        lambda: ears.stopped,
        lambda: ears.interrupts,
    )
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            say({"report": packed(runner.run(run_session(plan, hooks)))})
    except ClusterError as error:
        say({"error": error.to_dict()})
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
