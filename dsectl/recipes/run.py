"""Runs one recipe: a fresh cluster on a leash, its cases in order, the evidence of a failure, and nothing left behind.

The leash ends the nodes also when this process is killed; the next command of dsectl removes the files.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from cluster.emulator import cluster as emulator
from cluster.errors import ClusterError, Usage
from dsectl.cli.invocation import Session
from dsectl.recipes import faultcheck
from dsectl.recipes.document import Block, Case, Part, Recipe
from dsectl.recipes.evidence import keep
from dsectl.recipes.report import TO_RUN, CaseReport, RecipeReport
from dsectl.script.execution import carry_out
from dsectl.script.grammar import parse
from dsectl.script.interpreter import Interpreter, Outcome, describe
from dsectl.script.polling import FAILED, INCONCLUSIVE, PASSED
from dsectl.script.tokens import Line
from dsectl.script.values import MISSING

UP_S = 20.0
RECEIPT_S = 2.0
"""A fault may need so long to touch something and be counted: a few probe periods."""
RECEIPT_PAUSE_S = 0.1


class Listener(Protocol):
    """Is told of a run as it goes on. Prose and questions come before the steps behind them."""

    def ready(self, report: RecipeReport) -> None:
        """The cluster runs."""

    def case(self, case: Case) -> None:
        """A case begins."""

    def part(self, part: Part) -> None:
        """A piece of prose, a question or a block comes next."""

    def step(self, line: Line) -> None:
        """A step begins."""

    def ended(self, line: Line, outcome: Outcome) -> None:
        """A step has ended."""


class Silent:
    """A listener that tells nobody."""

    def ready(self, report: RecipeReport) -> None:
        """Nothing."""

    def case(self, case: Case) -> None:
        """Nothing."""

    def part(self, part: Part) -> None:
        """Nothing."""

    def step(self, line: Line) -> None:
        """Nothing."""

    def ended(self, line: Line, outcome: Outcome) -> None:
        """Nothing."""


def run_recipe(
    recipe: Recipe,
    listener: Listener,
    *,
    standing: str | None = None,
    keeps: bool = False,
    evidence: bool = True,
    patient: bool = False,
    time_scale: float = 1.0,
    is_stopped: Callable[[], bool] = lambda: False,
) -> RecipeReport:
    """Run it once, on a cluster of its own or on the one called `standing`; the recipe was checked before.

    With `keeps` the fresh cluster and its logs stay; with `evidence` logs and events are kept when it does not pass.
    `patient` sets no limit to the whole, for a reader takes the time that it takes. KeyboardInterrupt and SystemExit
    pass, after the cluster is down.
    """
    began = time.monotonic()
    report = RecipeReport(recipe.file, recipe.title, time_scale=time_scale)
    try:
        with _cluster(recipe, report, standing, keeps):
            limit_s = float("inf") if patient else recipe.meta.timeout_s * time_scale
            Run(recipe, report, listener, time_scale, limit_s, is_stopped).all(evidence)
    except ClusterError as error:  # the cluster did not start, or could not be removed
        case = CaseReport(recipe.cases[0].name, recipe.file, recipe.cases[0].line)
        case.decide(INCONCLUSIVE, case.line, "", "a cluster", describe(error), time.monotonic() - began)
        report.cases.append(case)
    report.took_s = round(time.monotonic() - began, 3)
    return report


@contextmanager
def _cluster(recipe: Recipe, report: RecipeReport, standing: str | None, keeps: bool) -> Iterator[None]:
    if standing is not None:
        report.cluster = standing
        yield
        return
    slug = re.sub(r"[^a-z0-9]+", "-", Path(recipe.file).stem.lower()).strip("-")[:24] or "recipe"
    report.cluster = f"{slug}-{os.urandom(3).hex()}"
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
        time_scale: float,
        limit_s: float,
        is_stopped: Callable[[], bool],
    ) -> None:
        self.recipe = recipe
        self.report = report
        self.listener = listener
        self.session = Session(report.cluster)
        self.began = time.monotonic()
        until = self.began + limit_s
        self.interpreter = Interpreter(self.session, time_scale=time_scale, until=until, is_stopped=is_stopped)
        self.is_stopped = is_stopped
        self._known: set[str] = set()
        """Faults of earlier cases."""
        self._excused: set[str] = set()

    def all(self, evidence: bool) -> None:
        """Every case, until one fails; those behind it are told as not run."""
        try:
            self.listener.ready(self.report)
            self._known = {fault["id"] for fault in self._faults()}
            for case in self.recipe.cases:
                self._case(case)
        finally:
            unwaited = self.interpreter.end_jobs()
        self._unwaited(unwaited)
        if evidence and self.report.verdict != PASSED:
            self.report.kept = keep(self.report, self.session)
        self.session.close()

    def _case(self, case: Case) -> None:
        listener, began = self.listener, time.monotonic()
        report = CaseReport(case.name, self.recipe.file, case.line)
        failed = next((one for one in self.report.cases if one.verdict == FAILED), None)
        listener.case(case)
        for part in case.parts:
            listener.part(part)
            if isinstance(part, Block) and not failed and report.verdict != FAILED:
                self._block(part, report)
        if not case.steps:
            return
        if failed:
            report.decide(INCONCLUSIVE, case.line, "", TO_RUN, f"not run: {failed.name!r} failed", self._now())
        elif report.verdict == PASSED:
            self._receipts(case, report)
        report.took_s = round(time.monotonic() - began, 3)
        self.report.cases.append(report)

    def _block(self, block: Block, report: CaseReport) -> None:
        for line in block.steps:
            self.listener.step(line)
            outcome = self._step(line)
            self.listener.ended(line, outcome)
            report.steps += 1
            if outcome.verdict != PASSED:
                report.decide(outcome.verdict, line.number, line.text, outcome.expected, outcome.seen, self._now())
                return

    def _step(self, line: Line) -> Outcome:
        interpreter = self.interpreter
        if interpreter.is_stopped():
            stopped = self.is_stopped()
            limit = f"it ends after {self.recipe.meta.timeout}"
            return Outcome(INCONCLUSIVE if stopped else FAILED, "time for this step", "stopped" if stopped else limit)
        try:
            step = parse(line.text)
            assert step is not None
            outcome = interpreter.run(step)
        except Usage as error:
            return Outcome(FAILED, "a step that can be carried out", describe(error))
        self._excused.update(faultcheck.looked_at(step, outcome.result, interpreter.variable))
        return outcome

    def _receipts(self, case: Case, report: CaseReport) -> None:
        """A fault of this case that touched nothing makes it inconclusive."""
        until = time.monotonic() + RECEIPT_S
        while True:
            new = [fault for fault in self._faults() if fault["id"] not in self._known]
            idle = faultcheck.ineffective(new, self._excused)
            if not idle or time.monotonic() >= until:
                break
            time.sleep(RECEIPT_PAUSE_S)
        self._known.update(fault["id"] for fault in new)
        if idle:
            last = case.steps[-1]
            report.decide(
                INCONCLUSIVE,
                last.number,
                "",
                "every fault to touch something",
                f"{', '.join(idle)} did not",
                self._now(),
            )

    def _faults(self) -> list[dict[str, Any]]:
        found = carry_out(["faults"], self.session).value
        return found if found is not MISSING and isinstance(found, list) else []

    def _unwaited(self, names: list[str]) -> None:
        """A job that nobody waited for may hide a failure."""
        if names and self.report.cases and self.report.verdict == PASSED:
            case = self.report.cases[-1]
            case.decide(FAILED, case.line, "", "every job to be waited for", f"{', '.join(names)} was not", self._now())

    def _now(self) -> float:
        return time.monotonic() - self.began
