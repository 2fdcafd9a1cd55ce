"""Runs one recipe: a fresh cluster on a leash, its cases in order, the evidence of a failure, and nothing left behind.

The leash ends the nodes also when this process is killed; the next command of dsectl removes the files. Whatever ends a
run, its report tells how far it came.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import json

from cluster.emulator import cluster as emulator
from cluster.errors import ClusterError, Usage
from dsectl.cli.invocation import Session
from dsectl.recipes.document import Block, Case, Part, Recipe
from dsectl.recipes.evidence import keep
from dsectl.recipes.judgement import Judgement
from dsectl.recipes.report import INTERRUPTED, TO_RUN, CaseReport, RecipeReport
from dsectl.script.execution import CommandResult, carry_out
from dsectl.script.grammar import parse
from dsectl.script.interpreter import EXIT_INTERRUPTED, LIMIT_REACHED, Interpreter, Outcome, describe
from dsectl.script.tokens import Line
from dsectl.script.values import MISSING
from dsectl.ui.text import count
from dsectl.ui.verdicts import FAILED, INCONCLUSIVE, PASSED

UP_S = 20.0
RECEIPT_S = 2.0
"""A fault may need so long to touch something and be counted: a few probe periods."""
RECEIPT_PAUSE_S = 0.1
ACCOUNT_BYTES_MAX = 64 * 1024
INTERRUPTED_JOB_S = 1.0
"""A job of an interrupted run gets so long to end; its cluster goes anyway."""


class Listener:
    """Is told of a run as it goes on, and by itself does nothing with it. Prose and questions come before the steps
    behind them."""

    def ready(self, report: RecipeReport, interpreter: Interpreter) -> None:
        """The cluster runs."""

    def case(self, case: Case) -> None:
        """A case begins."""

    def part(self, part: Part) -> bool:
        """A piece of prose, a question or a block comes next; whether a block shall run."""
        return True

    def step(self, line: Line) -> None:
        """A step begins."""

    def ended(self, line: Line, outcome: Outcome) -> None:
        """A step has ended."""


def run_recipe(
    recipe: Recipe,
    report: RecipeReport,
    listener: Listener,
    *,
    standing: str | None = None,
    keeps: bool = False,
    evidence: bool = True,
    patient: bool = False,
    needs_test: bool = True,
    is_stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Run it once, on a cluster of its own or on the one called `standing`; the recipe was checked before. What becomes
    of it is in `report`, at any moment.

    With `keeps` the fresh cluster and its logs stay; with `evidence` logs and events are kept when it does not pass.
    `patient` sets no limit to the whole, for a reader takes the time that it takes. With `needs_test` a recipe in which
    no step tests anything is inconclusive. KeyboardInterrupt and SystemExit pass, after the cluster is down.
    """
    began = time.monotonic()
    try:
        with _cluster(recipe, report, standing, keeps):
            limit_s = float("inf") if patient else recipe.meta.timeout_s * report.time_scale
            Run(recipe, report, listener, limit_s, is_stopped).all(evidence, needs_test)
    except ClusterError as error:  # the cluster did not start, or could not be removed
        case = CaseReport(recipe.cases[0].name, recipe.file, recipe.cases[0].line)
        case.decide(INCONCLUSIVE, case.line, "", "a cluster", describe(error), time.monotonic() - began)
        report.cases.append(case)
    except BaseException:  # an interrupt as a rule
        leave_out(recipe, report)
        if report.verdict == PASSED:
            case = report.cases[-1]
            case.decide(INCONCLUSIVE, case.line, "", "to end", f"{INTERRUPTED} at its end", time.monotonic() - began)
        report.interrupted = True
        raise
    else:
        if is_stopped():
            leave_out(recipe, report)
    finally:
        report.took_s = round(time.monotonic() - began, 3)
        report.ended = True


def leave_out(recipe: Recipe, report: RecipeReport) -> None:
    """Add the cases that an interrupt left no time for, so that no reader of the report takes it for complete."""
    begun = {case.name for case in report.cases}
    for case in recipe.cases:
        if case.steps and case.name not in begun:
            left = CaseReport(case.name, recipe.file, case.line)
            left.decide(INCONCLUSIVE, case.line, "", TO_RUN, f"not run: {INTERRUPTED}", 0.0)
            report.cases.append(left)
    report.interrupted = any(INTERRUPTED in case.seen for case in report.cases)


def cluster_name(file: str) -> str:
    """A name of its own for the cluster of a run, after its file, whatever that is called."""
    slug = re.sub(r"[^a-z0-9]+", "-", Path(file).stem.lower()).strip("-")
    slug = slug if slug[:1].isalpha() else f"recipe-{slug}"
    return f"{slug[:24].strip('-')}-{os.urandom(3).hex()}"


@contextmanager
def _cluster(recipe: Recipe, report: RecipeReport, standing: str | None, keeps: bool) -> Iterator[None]:
    if standing is not None:
        report.cluster = standing
        yield
        return
    report.cluster = cluster_name(recipe.file)
    started = emulator.up(recipe.meta.spec(report.cluster), UP_S, leashed=True)
    report.ready_s = round(started.ready_s, 3)
    stays = False
    try:
        yield
        if keeps and started.leash is not None:
            started.leash.take_off()
            stays = True
    finally:
        if not stays:
            emulator.remove(report.cluster)


class Run:
    """The cases of one run, on a cluster that stands."""

    def __init__(
        self,
        recipe: Recipe,
        report: RecipeReport,
        listener: Listener,
        limit_s: float,
        is_stopped: Callable[[], bool],
    ) -> None:
        self.recipe = recipe
        self.report = report
        self.listener = listener
        self.session = Session(report.cluster)
        self.began = time.monotonic()
        until = self.began + limit_s
        self.interpreter = Interpreter(self.session, time_scale=report.time_scale, until=until, is_stopped=is_stopped)
        self.judgement = Judgement()
        self.is_interrupted = is_stopped
        self._known: set[str] = set()
        """Faults of earlier cases."""

    def all(self, evidence: bool, needs_test: bool) -> None:
        """Every case, until one fails; those behind it are told as not run."""
        try:
            self.listener.ready(self.report, self.interpreter)
            self._known = {fault["id"] for fault in faults_of(self._look_at_faults())}
            for case in self.recipe.cases:
                if self.is_interrupted():
                    break
                self._case(case)
        except BaseException:
            self._abandon_jobs()
            raise
        self._at_the_end(self.interpreter.end_jobs(), needs_test)
        if evidence and self.report.verdict != PASSED and not self.is_interrupted():
            self.report.kept = keep(self.report, self.session)
        self.session.close()

    def _case(self, case: Case) -> None:
        listener, began = self.listener, time.monotonic()
        report = CaseReport(case.name, self.recipe.file, case.line)
        failed = next((one for one in self.report.cases if one.verdict == FAILED), None)
        listener.case(case)
        if case.steps:
            self.report.cases.append(report)
        try:
            for part in case.parts:
                runs = listener.part(part)
                if isinstance(part, Block) and runs and not failed and report.verdict != FAILED:
                    self._block(part, report)
            if case.steps and not failed:
                self._receipts(case, report)
        except (KeyboardInterrupt, SystemExit):
            seen = f"{INTERRUPTED} after {report.steps} of {count(len(case.steps), 'step')}"
            report.decide(INCONCLUSIVE, case.line, "", "to end", seen, self._now())
            raise
        finally:
            report.took_s = round(time.monotonic() - began, 3)
        if failed:
            report.decide(INCONCLUSIVE, case.line, "", TO_RUN, f"not run: {failed.name!r} failed", self._now())

    def _block(self, block: Block, report: CaseReport) -> None:
        for line in block.steps:
            self.listener.step(line)
            outcome = self._step(line)
            self.listener.ended(line, outcome)
            report.steps += 1
            if outcome.verdict != PASSED:
                report.decide(outcome.verdict, line.number, line.text, outcome.expected, outcome.seen, self._now())
                report.account = account_of(outcome)
                return

    def _step(self, line: Line) -> Outcome:
        """Carry out a step, unless there is no time left for it."""
        interpreter = self.interpreter
        limit = f"the timeout of {self.recipe.meta.timeout} was reached"
        if self.report.time_scale != 1:
            limit += f", stretched by {self.report.time_scale:g}"
        if self.is_interrupted():
            return Outcome(INCONCLUSIVE, "to end", INTERRUPTED)
        if interpreter.is_stopped():
            return Outcome(FAILED, "time for this step", limit)
        try:
            step = parse(line.text)
            assert step is not None
            outcome = interpreter.run(step)
        except Usage as error:
            return Outcome(FAILED, "a step that can be carried out", describe(error))
        self.judgement.note(step, outcome, interpreter.variable)
        if self.is_interrupted():
            return Outcome(INCONCLUSIVE, "to end", INTERRUPTED)
        outcome.seen = outcome.seen.replace(LIMIT_REACHED, limit)
        return outcome

    # -- what no step judged

    def _receipts(self, case: Case, report: CaseReport) -> None:
        """What the faults of this case touched; one that touched nothing makes it inconclusive."""
        until = time.monotonic() + RECEIPT_S
        while True:
            result = self._look_at_faults()
            new = [fault for fault in faults_of(result) if fault["id"] not in self._known]
            idle = self.judgement.idle(new) if report.verdict == PASSED else []
            if not idle or time.monotonic() >= until or self.is_interrupted():
                break
            time.sleep(RECEIPT_PAUSE_S)
        self._known.update(fault["id"] for fault in new)
        report.faults = [{name: fault[name] for name in ("id", "kind", "target", "affected", "links")} for fault in new]
        report.warnings += self.judgement.warnings(new)
        last = case.steps[-1].number
        if result.code:
            self._undecided(report, last, "to count what the faults touched", result.error)
        if idle:
            self._undecided(report, last, "every fault to touch something", f"{', '.join(idle)} did not")

    def _look_at_faults(self) -> CommandResult:
        result = carry_out(["faults"], self.session)
        if result.code == EXIT_INTERRUPTED:  # `invoke` makes a code of it
            raise KeyboardInterrupt
        return result

    def _at_the_end(self, unwaited: list[str], needs_test: bool) -> None:
        """A job that nobody waited for may hide a failure; one that saw nothing, and a recipe without a test, have
        tested nothing."""
        if self.report.verdict != PASSED:
            return
        case, line = self.report.cases[-1], self.recipe.steps[-1].number
        if unwaited:
            seen = f"{', '.join(unwaited)} was not"
            case.decide(FAILED, case.line, "", "every job to be waited for", seen, self._now())
        results = {name: job.result for name, job in self.interpreter.jobs.items()}
        if idle := self.judgement.idle_jobs(results):
            seen = f"{', '.join(idle)} ended with nothing, and no step looked at that"
            self._undecided(case, line, "every job to see something", seen)
        if needs_test and not self.judgement.tests:
            self._undecided(
                case, line, "a step that tests something", "none does: no `expect`, `within`, `always`, `!`"
            )

    def _undecided(self, case: CaseReport, line: int, expected: str, seen: str) -> None:
        case.decide(INCONCLUSIVE, line, "", expected, seen, self._now())

    def _abandon_jobs(self) -> None:
        running = [job for job in self.interpreter.jobs.values() if job.is_running]
        for job in running:
            job.stop()
        until = time.monotonic() + INTERRUPTED_JOB_S
        for job in running:
            job.wait(until)

    def _now(self) -> float:
        return time.monotonic() - self.began


def faults_of(result: CommandResult) -> list[dict[str, Any]]:
    """What `faults` printed, if it could."""
    return result.value if isinstance(result.value, list) else []


def account_of(outcome: Outcome) -> Any:
    """The JSON of the deciding step's command, unless it is nothing, or too long for a report."""
    if outcome.result is None or outcome.result.value is MISSING:
        return None
    value = outcome.result.value
    return value if len(json.encode(value)) <= ACCOUNT_BYTES_MAX else None
