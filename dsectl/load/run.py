"""Runs a load: in this process, or with several generator processes, whose reports become one.

SIGINT and SIGTERM, or whoever asks by `is_stopped`, end it early, with its full account; a second signal ends it with
the account of what is known by then.

Each of several generator processes offers its share, with keys or a subject of its own. A worker is
`python -m dsectl.load.run`. It reads its plan from the first line of standard input, then `go TIME`, `stop` and
`interrupt`, and ends when standard input does; so none outlives this process. It writes one JSON object a line:
`prepared`, `first`, `interval`, `phase`, at last `report` or `error`. It takes no notice of signals, which this process
hands on.
"""

import asyncio
import os
import queue
import signal
import subprocess
import sys
import threading
from base64 import b64decode, b64encode
from dataclasses import replace
from time import monotonic
from types import FrameType
from typing import Any, NoReturn

import uvloop
from msgspec import DecodeError, json, msgpack

from cluster.errors import ClusterError, from_code
from dsectl.load.plan import LoadPlan
from dsectl.load.session import Hooks, run_session
from dsectl.load.tally import Interval, LoadReport, merge_intervals, merge_reports

POLL_S = 0.05
EXIT_ORPHANED = 1
START_S = 0.05
"""From the word to begin until the beginning: time for the word to arrive everywhere."""


def run_load(plan: LoadPlan, hooks: Hooks) -> LoadReport:
    """Carry out the plan. Raises what connecting raises, or the reason why nothing could be prepared."""
    with SignalCount() as interrupts:
        hooks = replace(hooks, interrupts=lambda: interrupts.count)
        if plan.processes > 1:
            report = run_fleet(plan, hooks)
        else:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                report = runner.run(run_session(plan.share(0), hooks))
    report.interrupted_by = interrupts.signum
    return report


class SignalCount:
    """Counts SIGINT and SIGTERM within; after the second one, signals do what they did before.

    Signals reach the main thread alone, so that a job in another one is left to who started it. One that is ignored
    stays ignored.
    """

    def __init__(self) -> None:
        self.count = 0
        self.signum = 0
        """The first one's number; 0 for none."""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "SignalCount":
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


class Worker:
    """One process, and what it has said."""

    def __init__(self, plan: LoadPlan, heard: "queue.Queue[tuple[Worker, dict[str, Any]]]") -> None:
        self.number = plan.process
        self.prepared = False
        self.report: LoadReport | None = None
        self.error: ClusterError | None = None
        self.ended = False
        self.intervals: list[Interval] = []
        self._heard = heard
        self._process = subprocess.Popen(
            [sys.executable, "-m", "dsectl.load.run"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.say(b64encode(msgpack.encode(plan)).decode())
        self._thread = threading.Thread(target=self._listen, name=f"generator {self.number}", daemon=True)
        self._thread.start()

    def say(self, line: str) -> None:
        """Write a line to it; one that has ended does not hear it."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                self._heard.put((self, json.decode(line)))
            except DecodeError:  # not of ours: a library that prints
                continue
        self._heard.put((self, {"ended": True}))

    def take(self, said: dict[str, Any]) -> None:
        """Remember what it said."""
        if "prepared" in said:
            self.prepared = True
        elif "interval" in said:
            self.intervals.append(msgpack.decode(b64decode(said["interval"]), type=Interval))
        elif "report" in said:
            self.report = msgpack.decode(b64decode(said["report"]), type=LoadReport)
        elif "error" in said:
            self.error = from_code(said["error"]["code"], said["error"]["message"])
        elif "ended" in said:
            self.ended = True

    @property
    def end(self) -> str:
        """How it ended, in words, once it has said its last."""
        code = self._process.wait()
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit {code}"

    def close(self) -> None:
        """End it, whatever it does."""
        assert self._process.stdin is not None and self._process.stdout is not None
        if not self.ended:
            self._process.kill()
        self._process.wait()
        self._thread.join()
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        self._process.stdout.close()


def run_fleet(plan: LoadPlan, hooks: Hooks) -> LoadReport:
    """Carry out a plan with `plan.processes` workers. Raises the error of one that could not begin."""
    heard: queue.Queue[tuple[Worker, dict[str, Any]]] = queue.Queue()
    workers: list[Worker] = []
    try:
        for process in range(plan.processes):
            workers.append(Worker(plan.share(process), heard))
        _Conductor(workers, heard, hooks).run()
    finally:
        for worker in workers:
            worker.close()
    return merge_reports([worker.report or _silent(worker) for worker in workers])


def _silent(worker: Worker) -> LoadReport:
    why = f": {worker.error.message}" if worker.error else f" {worker.end}"
    return LoadReport(silent=[f"generator {worker.number}{why}"])


class _Conductor:
    """Hands words between the workers and whoever looks."""

    def __init__(
        self, workers: list[Worker], heard: "queue.Queue[tuple[Worker, dict[str, Any]]]", hooks: Hooks
    ) -> None:
        self.workers = workers
        self.heard = heard
        self.hooks = hooks
        self.begun = self.told_to_stop = self.first = False
        self.interrupts = 0
        self.phase = ""

    def run(self) -> None:
        """Until all have ended. Raises the error of one that fails before the load begins."""
        while not all(worker.ended for worker in self.workers):
            try:
                worker, said = self.heard.get(timeout=POLL_S)
            except queue.Empty:
                pass
            else:
                worker.take(said)
                self._pass_on(said)
            self._conduct()
        while parts := [worker.intervals.pop(0) for worker in self.workers if worker.intervals]:
            self.hooks.on_interval(merge_intervals(parts))

    def _conduct(self) -> None:
        failed = next((worker for worker in self.workers if worker.error is not None or worker.ended), None)
        if not self.begun and failed is not None:
            raise failed.error or ClusterError(f"generator {failed.number} {failed.end} before it began")
        if not self.begun and all(worker.prepared for worker in self.workers):
            self.begun = True
            self._say(f"go {monotonic() + START_S}")
        if not self.told_to_stop and self.hooks.is_stopped():
            self.told_to_stop = True
            self._say("stop")
        while self.interrupts < self.hooks.interrupts():
            self.interrupts += 1
            self._say("interrupt")
        live = [worker for worker in self.workers if not worker.ended]
        if live and all(worker.intervals for worker in live):
            self.hooks.on_interval(merge_intervals([worker.intervals.pop(0) for worker in live]))

    def _pass_on(self, said: dict[str, Any]) -> None:
        if "first" in said and not self.first:
            self.first = True
            self.hooks.on_first()
        if "phase" in said and said["phase"] != self.phase:
            self.phase = said["phase"]
            self.hooks.on_phase(self.phase)

    def _say(self, line: str) -> None:
        for worker in self.workers:
            worker.say(line)


class ControlChannel:
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
    plan = msgpack.decode(b64decode(sys.stdin.buffer.readline()), type=LoadPlan)
    control = ControlChannel()
    threading.Thread(target=control.listen, daemon=True).start()

    def on_interval(interval: Interval) -> None:
        say({"interval": packed(interval)})

    hooks = Hooks(
        control.begin,
        lambda: say({"first": True}),
        on_interval,
        lambda phase: say({"phase": phase}),
        lambda: control.stopped,
        lambda: control.interrupts,
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
