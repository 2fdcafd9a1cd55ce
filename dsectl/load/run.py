"""Runs a load: in this process, or with several generator processes, whose reports become one.

SIGINT and SIGTERM, or whoever asks by `is_stopped`, end it early, with its full account; a second signal ends it with
the account of what is known by then.
"""

import asyncio
import signal
import threading
from dataclasses import replace
from types import FrameType
from typing import Any

import uvloop

from dsectl.load.fleet import run_fleet
from dsectl.load.plan import Plan
from dsectl.load.session import Hooks, run_session
from dsectl.load.tally import Report


def run_load(plan: Plan, hooks: Hooks) -> Report:
    """Carry out the plan. Raises what connecting raises, or the reason why nothing could be prepared."""
    with Interrupts() as interrupts:
        hooks = replace(hooks, interrupts=lambda: interrupts.count)
        if plan.processes > 1:
            report = run_fleet(plan, hooks)
        else:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                report = runner.run(run_session(plan.share(0), hooks))
    report.interrupted_by = interrupts.signum
    return report


class Interrupts:
    """Counts SIGINT and SIGTERM within; after the second one, signals do what they did before.

    Signals reach the main thread alone, so that a job in another one is left to who started it. One that is ignored
    stays ignored.
    """

    def __init__(self) -> None:
        self.count = 0
        self.signum = 0
        """The first one's number; 0 for none."""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGINT, signal.SIGTERM):
                before = signal.getsignal(signum)
                if before not in (signal.SIG_IGN, None):
                    self._before[signum] = before
                    signal.signal(signum, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for signum, before in self._before.items():
            signal.signal(signum, before)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.count += 1
        self.signum = self.signum or signum
        if self.count > 1:
            self.__exit__()
