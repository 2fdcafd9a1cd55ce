"""Carries out steps, one after the other, with variables and jobs that live between them.

All commands go through `invoke`, as on the command line. What a step must see is decided in `polling` and `values`.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import singledispatchmethod
from typing import Any

from cluster.errors import ClusterError, Usage
from dsectl.cli.invocation import Session
from dsectl.script.check import refuse_polling
from dsectl.script.execution import CommandResult, Job, JobListener, carry_out, free_name, waited
from dsectl.script.grammar import Command, Expect, Fails, Run, Sleep, Start, Step, Test, Wait
from dsectl.script.polling import EXIT_INCONCLUSIVE, Look, Polling
from dsectl.script.values import MISSING, argument, hint, holds, shown_value, value_of_word
from dsectl.ui.units import show_duration
from dsectl.ui.verdicts import FAILED, INCONCLUSIVE, PASSED

TIME_SCALE = "DSECTL_TIME_SCALE"
EXIT_INTERRUPTED = 130
SUCCESS = "exit 0"
"""What is expected of a command that is a step."""
LIMIT_REACHED = "the time limit of the whole was reached"
READY_S = 15.0
"""How long a job may take to begin its work."""
STOP_S = 20.0
"""How long a job may take to end when it is stopped: a load waits up to 5 s for answers, and 10 s for repair."""
LOOK_S_MIN = 0.1
"""A look gets at least so much time, also at the end of a `within`."""


def time_scale() -> float:
    """What `$DSECTL_TIME_SCALE` says: by how much every `within` is stretched on a slow machine. Raises Usage."""
    text = os.environ.get(TIME_SCALE, "1")
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not 0 < scale < float("inf"):
        raise Usage(f"invalid {TIME_SCALE} {text!r}: expected a number above 0")
    return scale


@dataclass
class Outcome:
    """What became of a step. `expected` and `seen` say why it did not pass."""

    verdict: str
    expected: str = ""
    seen: str = ""
    result: CommandResult | None = None
    """Of the command; of a poll, the last."""
    into: str = ""
    """The variable that holds what was taken of it."""


class Interpreter:
    """One run of steps against one cluster."""

    def __init__(
        self,
        session: Session,
        *,
        time_scale: float = 1.0,
        until: float = float("inf"),
        is_stopped: Callable[[], bool] = lambda: False,
        listener: JobListener | None = None,
    ) -> None:
        """`time_scale` stretches every `within`; at `until` (time.monotonic) whatever waits gives up; `listener` learns
        of the jobs."""
        self.session = session
        self.variables: dict[str, Any] = {}
        self.jobs: dict[str, Job] = {}
        self.until = until
        self._scale = time_scale
        self._is_stopped_from_outside = is_stopped
        self._listener = listener

    def run(self, step: Step) -> Outcome:
        """Carry out one step. Raises Usage for a variable or a job that does not exist; KeyboardInterrupt.

        A step that was ended by the limit of the whole, or because all was stopped, has not passed: it may have seen
        nothing of what it was for.
        """
        outcome = self._carried_out(step)
        if outcome.verdict == PASSED and self._is_stopped_from_outside():
            return replace(outcome, verdict=INCONCLUSIVE, expected="the step to end", seen="it was interrupted")
        if time.monotonic() < self.until or LIMIT_REACHED in outcome.seen:
            return outcome
        if outcome.verdict == PASSED:
            return replace(outcome, verdict=FAILED, expected="the step to end in time", seen=LIMIT_REACHED)
        return replace(outcome, seen=f"{outcome.seen}; {LIMIT_REACHED}")

    def variable(self, name: str) -> Any:
        """The value of a variable. Raises Usage when it has none."""
        if name not in self.variables:
            raise Usage(f"${name} has no value", help=f"`get cart .context -> ${name}` would give it one.")
        return self.variables[name]

    def argv(self, command: Command) -> list[str]:
        """The words of a command, its variables replaced."""
        return [argument(word, self.variable) for word in command.words]

    def is_stopped(self) -> bool:
        """Whether everything that waits shall give up."""
        return self._is_stopped_from_outside() or time.monotonic() >= self.until

    def end_jobs(self, within_s: float = STOP_S) -> list[str]:
        """Stop all jobs, which get so long to end; returns the names of those that no step had waited for."""
        running = [job for job in self.jobs.values() if job.is_running]
        for job in running:
            job.stop()
        until = time.monotonic() + within_s
        for job in running:
            job.wait(until)
        return [name for name, job in self.jobs.items() if not job.waited]

    # -- steps

    @singledispatchmethod
    def _carried_out(self, step: Step) -> Outcome:
        raise Usage("a pipe is for the shell", help="Take a value by its path: `status .verdict -> $verdict`.")

    @_carried_out.register
    def _sleep(self, step: Sleep) -> Outcome:
        self._pause(step.seconds)
        return Outcome(PASSED)

    @_carried_out.register
    def _run(self, step: Run) -> Outcome:
        outcome = judged(self.carry_out(self.argv(step.command)))
        if outcome.verdict != PASSED or step.into is None:
            return outcome
        assert outcome.result is not None
        value = outcome.result.value
        if step.path is not None:
            value = step.path.resolve(value, self.variable)
        if value is MISSING:
            where = step.path.raw if step.path is not None else "a result"
            return Outcome(FAILED, f"{where} of `{step.command.raw}`", _gist(outcome.result), outcome.result)
        self.variables[step.into] = value
        outcome.into = step.into
        return outcome

    @_carried_out.register
    def _start(self, step: Start) -> Outcome:
        argv = self.argv(step.command)
        name = step.job or free_name(argv[0], self.jobs)
        old = self.jobs.get(name)
        if old is not None and old.is_running:
            raise Usage(f"the job {name} still runs", help=f"`stop {name}` ends it.")
        job = self.jobs[name] = Job(name, argv, self.session.cluster, self._listener)
        if not job.start(min(self.until, time.monotonic() + READY_S)):
            job.waited = True  # it has failed here, and need not fail again at the end
            job.stop()
            return Outcome(FAILED, f"{name} to be ready", f"it was not after {show_duration(READY_S)}")
        if job.result is not None and job.result.code:
            job.waited = True
            return judged(job.result)
        return Outcome(PASSED)

    @_carried_out.register
    def _fails(self, step: Fails) -> Outcome:
        result = self.carry_out(self.argv(step.command))
        wanted = f"`{step.command.raw}` to fail" + (f" with code {step.code}" if step.code is not None else "")
        if result.code == EXIT_INCONCLUSIVE != step.code:
            return Outcome(INCONCLUSIVE, wanted, result.error, result)
        failed = result.code != 0 if step.code is None else result.code == step.code
        seen = f"exit {result.code}" + (f" ({result.error})" if result.error else f": {_gist(result)}")
        return Outcome(PASSED if failed else FAILED, wanted, seen, result)

    @_carried_out.register
    def _expect(self, step: Expect) -> Outcome:
        if step.seconds is not None:
            return self._poll(step, step.seconds)
        look, result = self._look(step)
        seen, job = look.text + look.hint, self._job(step.command)
        if look.code:
            return judged(result)
        if look.seen is MISSING:
            seen = f"no {step.test.path.raw} in {_gist(result)}"
            if job is not None and job.is_running:
                seen = f"{job.name} still runs: `wait {job.name}` comes first"
        return Outcome(PASSED if look.holds else FAILED, self._wanted(step.test), seen, result)

    def _poll(self, step: Expect, seconds: float) -> Outcome:
        if not self._job(step.command):
            refuse_polling(self.argv(step.command))
        limit_s = seconds if step.always else seconds * self._scale
        polling = Polling(step.always, limit_s)
        began = time.monotonic()
        while True:
            look, result = self._look(step, max(LOOK_S_MIN, limit_s - (time.monotonic() - began)))
            verdict = polling.on_look(look, time.monotonic() - began)
            story = polling.story + look.hint
            if verdict is None and self.is_stopped():
                verdict = INCONCLUSIVE if self._is_stopped_from_outside() else FAILED
                story += "; it was interrupted" if verdict == INCONCLUSIVE else f"; {LIMIT_REACHED}"
            if verdict is not None:
                return Outcome(verdict, self._wanted(step.test), story, result)
            self._pause(polling.pause_s(time.monotonic() - began))

    @_carried_out.register
    def _wait(self, step: Wait) -> Outcome:
        job = self.jobs.get(step.job)
        if job is None:
            raise Usage(f"unknown job {step.job}", help=f"It begins with `… &{step.job}`.")
        job.waited = True
        until = self.until
        if step.stop:
            job.stop()
            until = min(until, time.monotonic() + STOP_S)
        if not job.wait(until, self._is_stopped_from_outside):
            job.stop()
            if self._is_stopped_from_outside():
                return Outcome(INCONCLUSIVE, f"{step.job} to end", "the wait was interrupted")
            seen = f"it did not within {show_duration(STOP_S)}" if step.stop else f"it still ran when {LIMIT_REACHED}"
            return Outcome(FAILED, f"{step.job} to end", seen)
        assert job.result is not None
        return judged(job.result)

    # -- looking

    def _job(self, source: Command) -> Job | None:
        """The job that a test looks at; None when it looks at a command."""
        return self.jobs.get(source.name or "") if len(source.words) == 1 else None

    def _look(self, step: Expect, timeout_s: float | None = None) -> tuple[Look, CommandResult]:
        """Carry out the command of a test, or take what the job has, and test it."""
        job, test = self._job(step.command), step.test
        if job is None:
            result = self.carry_out(self.argv(step.command), timeout_s)
        else:
            result = job.result or CommandResult(0, job.value)
            job.waited |= job.result is not None and not result.code  # it has ended well, and that was looked at
        if result.code:
            return Look(result.code, MISSING, False, result.error), result
        seen, wanted = test.path.resolve(result.value, self.variable), value_of_word(test.value, self.variable)
        fits = holds(seen, test.operator, wanted)
        why = "" if fits else hint(seen, test.operator, wanted)
        return Look(0, seen, fits, hint=f" ({why})" if why else ""), result

    def _wanted(self, test: Test) -> str:
        value = value_of_word(test.value, self.variable)
        return f"{test.path.shown(self.variable)} {test.operator} {shown_value(value)}"

    def carry_out(self, argv: list[str], timeout_s: float | None = None) -> CommandResult:
        """Run a command. Raises KeyboardInterrupt, of which `invoke` makes a code."""
        result = carry_out(argv, self.session, timeout_s=timeout_s, is_stopped=self.is_stopped)
        if result.code == EXIT_INTERRUPTED:
            raise KeyboardInterrupt
        return result

    def _pause(self, seconds: float) -> None:
        waited(threading.Event(), min(self.until, time.monotonic() + seconds), self._is_stopped_from_outside)


def judged(result: CommandResult) -> Outcome:
    """What a command that must succeed comes to."""
    if result.code == 0:
        return Outcome(PASSED, result=result)
    verdict = INCONCLUSIVE if result.code == EXIT_INCONCLUSIVE else FAILED
    return Outcome(verdict, SUCCESS, f"exit {result.code}: {result.error}", result)


def _gist(result: CommandResult) -> str:
    """A result in some words."""
    return shown_value(result.value) if result.value is not MISSING else "nothing was printed"


def describe(error: ClusterError) -> str:
    """An error with its help, in a line."""
    return f"{error.message}. {error.help}" if error.help else error.message
