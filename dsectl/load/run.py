"""Runs a load: in this process, or with several generator processes, whose reports become one.

SIGINT and SIGTERM, or whoever asks by `is_stopped`, end it early, with its full account; a second signal ends it with
the account of what is known by then.

Each of several generator processes offers its share, with keys or a subject of its own. A worker runs
`main` of this module. It reads its plan from the first line of standard input, then `go TIME`, `stop` and
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
from dataclasses import replace
from time import monotonic
from typing import NoReturn

import uvloop
from msgspec import DecodeError, Struct, json

from cluster.errors import ClusterError, from_code
from dsectl import ROOT
from dsectl.cli.loop import run_loop
from dsectl.cli.signals import noted
from dsectl.load.plan import LoadPlan
from dsectl.load.session import Hooks, run_session
from dsectl.load.tally import Interval, LoadReport, merge

POLL_S = 0.05
EXIT_ORPHANED = 1
# The very code that runs here, and nothing from the folder that the user happens to stand in (-P).
WORKER = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); import cluster, dsectl; del sys.path[0]; "
    "from dsectl.load.run import main; main()"
)
START_S = 0.05
"""From the order to begin until the beginning: time for the order to arrive everywhere."""


def run_load(plan: LoadPlan, hooks: Hooks) -> LoadReport:
    """Carry out the plan. Raises what connecting raises, or the reason why nothing could be prepared."""
    with noted() as came:
        hooks = replace(hooks, interrupts=lambda: len(came))
        if plan.processes > 1:
            report = run_fleet(plan, hooks)
        else:
            report = run_loop(run_session(plan.share(0), hooks), ending=[signal.SIGHUP])
    report.interrupted_by = came[0] if came else 0
    return report


class Note(Struct, tag=True):
    """What a worker sends beside intervals and its report: `prepared`, `first`, a `phase` or an `error` with its text.
    `ended` is noted for it."""

    word: str
    text: str = ""
    code: str = ""


Message = Note | Interval | LoadReport
Inbox = queue.Queue["tuple[_Worker, Message]"]


class _Worker(threading.Thread):
    """One generator process, read by a thread, and what it has sent."""

    def __init__(self, plan: LoadPlan, inbox: Inbox) -> None:
        super().__init__(name=f"generator {plan.process}", daemon=True)
        self.words: set[str] = set()
        self.report: LoadReport | None = None
        self.error: ClusterError | None = None
        self.intervals: list[Interval] = []
        self._inbox = inbox
        command = [sys.executable, "-P", "-c", WORKER, ROOT]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.send(json.encode(plan))
        self.start()

    def send(self, line: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:  # it has ended
            pass

    def run(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                self._inbox.put((self, json.decode(line, type=Message)))
            except DecodeError:  # not of ours: a library that prints
                continue
        self._inbox.put((self, Note("ended")))

    def take(self, message: Message) -> None:
        match message:
            case Interval():
                self.intervals.append(message)
            case LoadReport():
                self.report = message
            case Note("error"):
                self.error = from_code(message.code, message.text)
            case Note():
                self.words.add(message.word)

    @property
    def end(self) -> str:
        """How it ended, in words, once it has sent its last."""
        code = self._process.wait()
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit {code}"

    def close(self) -> LoadReport:
        """End it, whatever it does; returns its report, or that there is none."""
        assert self._process.stdin is not None and self._process.stdout is not None
        if "ended" not in self.words:
            self._process.kill()
        self._process.wait()
        self.join()
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        self._process.stdout.close()
        why = f": {self.error.message}" if self.error else f" {self.end}"
        return self.report or LoadReport(silent=[f"{self.name}{why}"])


def run_fleet(plan: LoadPlan, hooks: Hooks) -> LoadReport:
    """Carry out a plan with `plan.processes` workers. Raises the error of one that could not begin."""
    inbox: Inbox = queue.Queue()
    workers: list[_Worker] = []
    try:
        for process in range(plan.processes):
            workers.append(_Worker(plan.share(process), inbox))
        _conduct(workers, inbox, hooks)
    finally:
        reports = [worker.close() for worker in workers]
    return merge(reports)


def _conduct(workers: list[_Worker], inbox: Inbox, hooks: Hooks) -> None:
    """Pass on what the workers send and the hooks want, until all have ended. Raises the error of one that fails before
    the load begins."""
    orders: list[str] = []
    phase = ""

    def order(line: str) -> None:
        orders.append(line.partition(" ")[0])
        for worker in workers:
            worker.send(line.encode())

    while live := [worker for worker in workers if "ended" not in worker.words]:
        try:
            worker, message = inbox.get(timeout=POLL_S)
        except queue.Empty:
            pass
        else:
            worker.take(message)
            if message == Note("first") and not any("first" in one.words for one in workers if one is not worker):
                hooks.on_first()
            if isinstance(message, Note) and message.word == "phase" and message.text != phase:
                phase = message.text
                hooks.on_phase(phase)
        if "go" not in orders:
            for worker in workers:
                if worker.error is not None or "ended" in worker.words:
                    raise worker.error or ClusterError(f"{worker.name} {worker.end} before it began")
            if all("prepared" in worker.words for worker in workers):
                order(f"go {monotonic() + START_S}")
        if "stop" not in orders and hooks.is_stopped():
            order("stop")
        while orders.count("interrupt") < hooks.interrupts():
            order("interrupt")
        if all(worker.intervals for worker in live):
            hooks.on_interval(merge([worker.intervals.pop(0) for worker in live]))
    while parts := [worker.intervals.pop(0) for worker in workers if worker.intervals]:
        hooks.on_interval(merge(parts))


def send(message: Message) -> None:
    """One line to who started this process."""
    sys.stdout.buffer.write(json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


def main() -> NoReturn:
    """A worker."""
    for signum in (signal.SIGINT, signal.SIGTERM):  # a whole group may be sent them; who started this hands them on
        signal.signal(signum, signal.SIG_IGN)
    plan = json.decode(sys.stdin.buffer.readline(), type=LoadPlan)
    orders: list[str] = []
    begins: list[float] = []
    go = threading.Event()

    def obey() -> None:
        """Read orders until standard input ends, and the process with it."""
        for line in sys.stdin.buffer:
            word, _, at = line.decode().strip().partition(" ")
            orders.append(word)
            begins.append(float(at) if at else monotonic())
            go.set()
        os._exit(EXIT_ORPHANED)

    async def begin() -> float:
        send(Note("prepared"))
        await asyncio.to_thread(go.wait)
        return begins[0]

    threading.Thread(target=obey, daemon=True).start()
    hooks = Hooks(
        begin,
        lambda: send(Note("first")),
        send,
        lambda phase: send(Note("phase", phase)),
        lambda: bool({"stop", "interrupt"} & set(orders)),
        lambda: orders.count("interrupt"),
    )
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            send(runner.run(run_session(plan, hooks)))
    except ClusterError as error:
        send(Note("error", error.message, error.code))
    sys.stdout.flush()
    os._exit(0)
