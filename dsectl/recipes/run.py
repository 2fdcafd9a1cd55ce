"""Runs recipes: a fresh cluster on a leash, its cases in order, the evidence of a failure, and nothing left behind.

Several runs may go on side by side, in threads: what takes time is the clusters' processes and the waiting. Each has a
cluster of its own, so they do not meet.

The leash ends the nodes also when this process is killed; the next command of dsectl removes the files. Whatever ends a
run, its report tells how far it came.
"""

import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec import json

from cluster.emulator import cluster as emulator
from cluster.emulator.home import find_home, load_cluster
from cluster.errors import ClusterError, Usage
from dsectl.cli.invocation import Session
from dsectl.recipes.document import FILES, Block, Case, Part, Recipe
from dsectl.recipes.judgement import Judgement
from dsectl.recipes.report import INTERRUPTED, TO_RUN, CaseReport, RecipeReport
from dsectl.script.execution import carry_out
from dsectl.script.grammar import parse
from dsectl.script.interpreter import LIMIT_REACHED, Interpreter, Outcome, describe
from dsectl.script.tokens import Line
from dsectl.script.values import MISSING
from dsectl.snapshot.observer import observe
from dsectl.ui.text import count
from dsectl.ui.verdicts import FAILED, INCONCLUSIVE, PASSED

UP_S = 20.0
RECEIPT_S = 2.0
"""A fault may need so long to touch something and be counted: a few probe periods."""
RECEIPT_PAUSE_S = 0.1
ACCOUNT_BYTES_MAX = 64 * 1024
LOOK_S = 0.2
"""How often the main thread can be reached by a signal while others work."""
KEPT_MAX = 20
"""Older evidence is deleted, so that a nightly run does not fill the disk."""
EVIDENCE = ("events", "faults", "hints")
ANSWER_S = 2.0
INTERRUPTED_JOB_S = 1.0
"""A job of an interrupted run gets so long to end; its cluster goes anyway."""


class Listener:
    """Is told of a run as it goes on, and by itself does nothing with it. Prose and questions come before the steps
    behind them."""

    def starting(self) -> None:
        """A cluster of its own is being started."""

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


@dataclass
class Plan:
    """What is run, and how."""

    recipes: Sequence[Recipe] = ()
    repeat: int = 1
    side_by_side: int = 1
    standing: str | None = None
    """The cluster to use instead of fresh ones."""
    keeps: bool = False
    """Whether fresh clusters and their logs stay."""
    evidence: bool = True
    """Whether logs and events of what did not pass are kept."""
    patient: bool = False
    """No limit to the whole, for a reader takes the time that it takes."""
    needs_test: bool = True
    """Whether a recipe in which no step tests anything is inconclusive."""
    time_scale: float = 1.0
    stopping: threading.Event = field(default_factory=threading.Event)

    def runs(self) -> list[Recipe]:
        """Every run, in order."""
        return [recipe for recipe in self.recipes for _ in range(self.repeat)]

    def reports(self) -> list[RecipeReport]:
        """One for each run, which has not begun."""
        return [RecipeReport(recipe.file, recipe.title, time_scale=self.time_scale) for recipe in self.runs()]


def run_recipe(recipe: Recipe, report: RecipeReport, listener: Listener, plan: Plan) -> None:
    """Run it once, as the plan says; the recipe was checked before. What becomes of it is in `report`, at any moment.
    KeyboardInterrupt and SystemExit pass, after the cluster is down."""
    began = time.monotonic()
    report.cluster = plan.standing or cluster_name(recipe.file)
    try:
        with ExitStack() as stack:
            if plan.standing is None:
                listener.starting()
                spec = recipe.meta.spec(report.cluster)
                report.ready_s = round(stack.enter_context(emulator.fresh(spec, UP_S, keeps=plan.keeps)).ready_s, 3)
            Run(recipe, report, listener, plan).all()
    except ClusterError as error:  # the cluster did not start, or could not be removed
        case = CaseReport(recipe.cases[0].name, recipe.file, recipe.cases[0].line)
        case.decide(INCONCLUSIVE, case.line, "", "a cluster", describe(error), 0.0)
        report.cases.append(case)
    except BaseException:  # an interrupt as a rule
        leave_out(recipe, report)
        if report.verdict == PASSED:
            case = report.cases[-1]
            case.decide(INCONCLUSIVE, case.line, "", "to end", f"{INTERRUPTED} at its end", time.monotonic() - began)
        report.interrupted = True
        raise
    else:
        if plan.stopping.is_set():
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


def run_all(
    plan: Plan,
    reports: Sequence[RecipeReport],
    listener: Callable[[Recipe], Listener],
    on_report: Callable[[RecipeReport], None],
) -> None:
    """Carry out the plan. What becomes of a run is in its report; `on_report` is called as each ends, in this thread.

    An interrupt stops all runs, waits until their clusters are gone, and is raised again; the reports then tell of each
    run how far it came.
    """
    runs = list(zip(plan.runs(), reports, strict=True))
    try:
        if plan.side_by_side == 1 or len(runs) == 1:
            for recipe, report in runs:
                run_recipe(recipe, report, listener(recipe), plan)
                on_report(report)
        else:
            _side_by_side(plan, runs, listener, on_report)
    except BaseException:
        for recipe, report in runs:
            if not report.ended:
                leave_out(recipe, report)
        raise


def _side_by_side(
    plan: Plan,
    runs: list[tuple[Recipe, RecipeReport]],
    listener: Callable[[Recipe], Listener],
    on_report: Callable[[RecipeReport], None],
) -> None:
    futures: list[Future[None]] = []
    with ThreadPoolExecutor(plan.side_by_side, "recipe") as pool:
        try:
            for recipe, report in runs:  # within the `try`: the first runs already while the last are being submitted
                futures.append(pool.submit(run_recipe, recipe, report, listener(recipe), plan))
            for future, (_, report) in zip(futures, runs, strict=True):
                while not future.done():
                    wait([future], LOOK_S)
                future.result()
                on_report(report)
        except BaseException:
            plan.stopping.set()
            for future in futures:
                future.cancel()
            raise


def cluster_name(file: str) -> str:
    """A name of its own for the cluster of a run, after its file, whatever that is called."""
    slug = re.sub(r"[^a-z0-9]+", "-", Path(file).stem.lower()).strip("-")
    slug = slug if slug[:1].isalpha() else f"recipe-{slug}"
    return f"{slug[:24].strip('-')}-{os.urandom(3).hex()}"


def write_files(recipe: Recipe, cluster: str) -> str:
    """Write the recipe's own files into a folder of the cluster's, and return its path: they go when it goes, since
    nodes may read them until then."""
    folder = load_cluster(cluster).folder / "recipe"
    folder.mkdir(exist_ok=True)
    for name, content in recipe.files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return str(folder)


class Run:
    """The cases of one run, on a cluster that stands."""

    def __init__(self, recipe: Recipe, report: RecipeReport, listener: Listener, plan: Plan) -> None:
        self.recipe = recipe
        self.report = report
        self.listener = listener
        self.plan = plan
        self.session = Session(report.cluster)
        self.began = time.monotonic()
        self.is_interrupted = plan.stopping.is_set
        self.interpreter = Interpreter(
            self.session,
            time_scale=report.time_scale,
            until=float("inf") if plan.patient else self.began + recipe.meta.timeout_s * report.time_scale,
            is_stopped=self.is_interrupted,
        )
        self.judgement = Judgement()
        self._known: set[str] = set()
        """Faults of earlier cases."""

    def all(self) -> None:
        """Every case, until one fails; those behind it are told as not run."""
        try:
            if self.recipe.files:
                self.interpreter.variables[FILES] = write_files(self.recipe, self.report.cluster)
            self.listener.ready(self.report, self.interpreter)
            self._known = {fault["id"] for fault in self._faults()[0]}
            for case in self.recipe.cases:
                if self.is_interrupted():
                    break
                self._case(case)
        except BaseException:
            self.interpreter.end_jobs(INTERRUPTED_JOB_S)
            raise
        unwaited = self.interpreter.end_jobs()
        if self.report.verdict == PASSED:
            self._at_the_end(unwaited)
        if self.plan.evidence and self.report.verdict != PASSED and not self.is_interrupted():
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
                steps = part.steps if isinstance(part, Block) and runs and not failed else ()
                for line in steps if report.verdict != FAILED else ():
                    listener.step(line)
                    outcome = self._step(line)
                    listener.ended(line, outcome)
                    report.steps += 1
                    if outcome.verdict != PASSED:
                        why = outcome.expected, outcome.seen
                        report.decide(outcome.verdict, line.number, line.text, *why, self._now())
                        report.account = account_of(outcome)
                        break
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
            faults, error = self._faults()
            new = [fault for fault in faults if fault["id"] not in self._known]
            idle = self.judgement.idle(new) if report.verdict == PASSED else []
            if not idle or time.monotonic() >= until or self.is_interrupted():
                break
            time.sleep(RECEIPT_PAUSE_S)
        self._known.update(fault["id"] for fault in new)
        report.faults = [{name: fault[name] for name in ("id", "kind", "target", "affected", "links")} for fault in new]
        report.warnings += self.judgement.warnings(new)
        last = case.steps[-1].number
        if error:
            self._undecided(report, last, "to count what the faults touched", error)
        if idle:
            self._undecided(report, last, "every fault to touch something", f"{', '.join(idle)} did not")

    def _faults(self) -> tuple[list[dict[str, Any]], str]:
        """The faults of the cluster so far, and why they cannot be known when they cannot."""
        result = self.interpreter.carry_out(["faults"])
        return result.value if isinstance(result.value, list) else [], result.error

    def _at_the_end(self, unwaited: list[str]) -> None:
        """A job that nobody waited for may hide a failure; one that saw nothing, and a recipe without a test, have
        tested nothing."""
        case, line = self.report.cases[-1], self.recipe.steps[-1].number
        if unwaited:
            seen = f"{', '.join(unwaited)} was not"
            case.decide(FAILED, case.line, "", "every job to be waited for", seen, self._now())
        results = {name: job.result for name, job in self.interpreter.jobs.items()}
        if idle := self.judgement.idle_jobs(results):
            seen = f"{', '.join(idle)} ended with nothing, and no step looked at that"
            self._undecided(case, line, "every job to see something", seen)
        if self.plan.needs_test and not self.judgement.tests:
            seen = "none does: no `expect`, `within`, `always`, `!`"
            self._undecided(case, line, "a step that tests something", seen)

    def _undecided(self, case: CaseReport, line: int, expected: str, seen: str) -> None:
        case.decide(INCONCLUSIVE, line, "", expected, seen, self._now())

    def _now(self) -> float:
        return time.monotonic() - self.began


def account_of(outcome: Outcome) -> Any:
    """The JSON of the deciding step's command, unless it is nothing, or too long for a report."""
    if outcome.result is None or outcome.result.value is MISSING:
        return None
    value = outcome.result.value
    return value if len(json.encode(value)) <= ACCOUNT_BYTES_MAX else None


def keep(report: RecipeReport, session: Session) -> str:
    """Write what is left of a run that did not pass into a folder of its own, and return its path: the nodes' logs,
    events, faults and views, and the report. Never raises: it tells of another failure."""

    def write(name: str, value: Any) -> None:
        (folder / f"{name}.json").write_bytes(json.format(json.encode(value), indent=1))

    kept = find_home().folder / "kept"
    try:
        folder = kept / report.cluster
        if folder.exists():  # an earlier run on the same cluster, which stands
            folder = folder.with_name(f"{report.cluster}-{os.urandom(3).hex()}")
        folder.mkdir(parents=True)
        for name in EVIDENCE:
            value = carry_out([name], session, timeout_s=ANSWER_S).value
            write(name, None if value is MISSING else value)
        files = load_cluster(report.cluster)
        for name in files.nodes:
            if files.log(name).exists():
                shutil.copyfile(files.log(name), folder / f"{name}.log")
        write("report", report.to_dict())
        folders = sorted((one for one in kept.iterdir() if one.is_dir()), key=lambda one: one.stat().st_mtime)
        for old in folders[:-KEPT_MAX]:
            shutil.rmtree(old, ignore_errors=True)
        seen = observe(files, session.client(report.cluster, None))
        write("status", seen.to_json())
        write("members", seen.matrix)
    except (OSError, ClusterError):
        return ""
    return str(folder)
