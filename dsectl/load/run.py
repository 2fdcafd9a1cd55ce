"""Runs a load: in this process, or with several generator processes, whose reports become one.

Ctrl-C (or whoever asks by `is_stopped`) ends it early, with its full account; a second Ctrl-C ends it at once.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import uvloop

from dsectl.load.fleet import run_fleet
from dsectl.load.plan import Plan
from dsectl.load.session import Hooks, run_session
from dsectl.load.tally import Report


def run_load(plan: Plan, hooks: Hooks) -> Report:
    """Carry out the plan. Raises what connecting raises, or the reason why nothing could be prepared."""
    with interruptible(hooks.is_stopped) as is_stopped:
        hooks = replace(hooks, is_stopped=is_stopped)
        if plan.processes > 1:
            return run_fleet(plan, hooks)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(run_session(plan.share(0), hooks))


@contextmanager
def interruptible(is_stopped: Callable[[], bool]) -> Iterator[Callable[[], bool]]:
    """Within, the first SIGINT only says that it shall stop; `is_stopped` is asked, too. Signals reach the main thread
    alone, so that a job in another one is left to who started it."""
    if threading.current_thread() is not threading.main_thread():
        yield is_stopped
        return
    stopping = threading.Event()
    before = signal.getsignal(signal.SIGINT)

    def stop(signum: int, frame: object) -> None:
        stopping.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, stop)
    try:
        yield lambda: stopping.is_set() or is_stopped()
    finally:
        signal.signal(signal.SIGINT, before)
