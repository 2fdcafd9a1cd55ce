"""Recipes as tests: run, check, list, show; and as lessons: present one, or find one by the principle that it shows."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from cluster.emulator.disk import disk_error, replace
from cluster.errors import Usage
from dsectl.cli.console import Console
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.cli.resources import SUFFIX, recipe_names
from dsectl.cli.signals import noted
from dsectl.cli.streams import ask
from dsectl.recipes.check import check_recipe, reddened
from dsectl.recipes.document import Block, Recipe, library, load
from dsectl.recipes.frontmatter import PRINCIPLES
from dsectl.recipes.lesson import Left, Lesson
from dsectl.recipes.report import RecipeReport, counts, first_difference, pass_rate, worst
from dsectl.recipes.report import junit as junit_xml
from dsectl.recipes.report import tap as tap_lines
from dsectl.recipes.run import Listener, Plan, run_all, run_recipe
from dsectl.recipes.view import Progress, learn_lines, list_lines, problem_lines, red_lines, report_lines, total_line
from dsectl.script.interpreter import time_scale
from dsectl.ui.text import count
from dsectl.ui.verdicts import EXIT_CODES, FAILED, PASSED

Files = Annotated[list[str] | None, typer.Argument(metavar="RECIPE...", help="Names in the library, or files.")]
All = Annotated[bool, typer.Option("--all", help="Take all recipes that come with dsectl.")]
SIDE_BY_SIDE_MAX = 16
PEOPLE = "it is for people"


@command("recipe run", "Run recipes as tests, each on a cluster of its own.", group="recipes", rank=1, barred=PEOPLE)
def run(
    files: Files = None,
    all: All = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="File for a JUnit report.")] = None,
    tap: Annotated[bool, typer.Option("--tap", help="Print the result as TAP.")] = False,
    repeat: Annotated[
        int, typer.Option(metavar="N", min=1, help="Number of runs of each; gives the pass rate (default: 1).")
    ] = 1,
    side_by_side: Annotated[
        int,
        typer.Option(
            "--side-by-side", metavar="N", min=1, max=SIDE_BY_SIDE_MAX, help="Number of runs at a time (default: 1)."
        ),
    ] = 1,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the clusters and their logs at the end.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse a recipe with warnings, too.")] = False,
    red: Annotated[
        bool, typer.Option("--red", help="Make the replacement that `red` names; passed if it turns red.")
    ] = False,
) -> Answer:
    """Each runs on a fresh cluster, which is taken down whatever happens; with -C NAME, on that cluster. Ends with 0
    if all passed, 1 if one failed, 3 if none failed and one was inconclusive, 2 if a file was refused. Of a run that
    did not pass the logs, events and faults are kept. $DSECTL_TIME_SCALE stretches every `within`."""
    invocation = current()
    console, options = invocation.console, invocation.options
    if junit is not None:
        _make_room(junit)  # first of all, so that a report of an earlier run is not taken for one of this
    standing = None if options.cluster is None else list(invocation.files().nodes)
    recipes = _accepted(_loaded(files, all), console, strict, standing)
    if red:
        recipes = [reddened(recipe) for recipe in recipes]
    plan = Plan(recipes, repeat, side_by_side, options.cluster, keep, evidence=not red, time_scale=time_scale())
    speaks = not (options.json or tap)
    reports = plan.reports()

    def listener(recipe: Recipe) -> Listener:
        return Progress(recipe, console) if side_by_side == 1 else Listener()

    def on_report(report: RecipeReport) -> None:
        if speaks:
            paint = console.paint
            console.lines(red_lines(report, paint) if red else report_lines(report, paint, brief=repeat > 1))
            console.flush()

    try:
        run_all(plan, reports, listener, on_report)
    except BaseException:  # a fault of dsectl must not cost the report of what ran either
        with _uninterrupted():
            if junit is not None:
                _write_report(junit, junit_xml(reports))
            console.progress("")
            console.answer(_came_to(plan, reports, tap))
            console.flush()
        raise
    if junit is not None:
        with _uninterrupted():
            _write_report(junit, junit_xml(reports))
    return _reddened(plan.runs(), reports) if red else _came_to(plan, reports, tap)


def _make_room(junit: Path) -> None:
    """Delete an old report. Raises Usage where a new one could not be written."""
    if not junit.parent.is_dir():
        raise Usage(f"cannot write {junit}: there is no folder {junit.parent}")
    if junit.is_dir():
        raise Usage(f"cannot write {junit}: it is a folder")
    if junit.suffix == SUFFIX:
        raise Usage(
            f"{junit} looks like a recipe, not like a report", help="--junit FILE comes before or after recipes."
        )
    try:
        if junit.is_file():
            junit.unlink()
    except OSError as error:
        raise Usage(f"cannot write {junit}: {error.strerror}") from None
    if not os.access(junit.parent, os.W_OK):
        raise Usage(f"cannot write {junit}: the folder {junit.parent} is not writable")


def _write_report(junit: Path, data: bytes) -> None:
    """As a whole or not at all, so that no CI reads half of one."""
    try:
        if junit.exists():  # a pipe, or a device: what was a file is deleted
            junit.write_bytes(data)
        else:
            replace(junit, data)
    except OSError as error:
        raise disk_error(f"write {junit}", error) from None


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Signals wait: a second Ctrl-C must not cost the report of what ran."""
    with noted() as came:
        yield
    if came:
        signal.raise_signal(came[0])


def _came_to(plan: Plan, reports: list[RecipeReport], tap: bool) -> Answer:
    """What all came to, also when an interrupt ended them."""
    verdict = worst(report.verdict for report in reports)
    interrupted = any(report.interrupted for report in reports)
    by_recipe = [reports[first : first + plan.repeat] for first in range(0, len(reports), plan.repeat)]
    rates = [_rate(runs) for runs in by_recipe] if plan.repeat > 1 else []

    def view(console: Console) -> None:
        if tap:
            console.lines(tap_lines(reports))
        elif interrupted:
            for report in reports:
                if report.interrupted and report.cluster:
                    console.lines(report_lines(report, console.paint))
            done = sum(report.ended and not report.interrupted for report in reports)
            console.line(f"interrupted: {done} of {count(len(reports), 'run')} had ended")
        else:
            for rate in rates:
                low, high = rate["interval"]
                console.line(
                    f"{rate['passed']} of {rate['runs']} runs of {rate['file']} passed: {rate['pass_rate']:.0%} "
                    f"(95 % interval {low:.0%} to {high:.0%})"
                )
                if rate["first_difference"]:
                    console.line(f"  first difference: {rate['first_difference']}")
            for report in reports if plan.keeps else ():
                console.line(f"cluster {report.cluster} stays: `dsectl rm {report.cluster} --yes` removes it")
            if len(reports) != 1:
                console.line("")
            console.line(total_line(reports, verdict, console.paint))

    fields: dict[str, Any] = {
        "verdict": verdict,
        **counts(reports),
        "interrupted": interrupted,
        "cases": [case for report in reports for case in report.to_dict()["cases"]],
        "recipes": [report.to_dict() for report in reports],
    }
    if plan.repeat > 1:
        fields["repeated"] = rates
    return Answer(fields, view, EXIT_CODES[verdict])


def _rate(runs: list[RecipeReport]) -> dict[str, Any]:
    passed = sum(run.verdict == PASSED for run in runs)
    share, low, high = pass_rate(passed, len(runs))
    return {
        "file": runs[0].file,
        "runs": len(runs),
        "passed": passed,
        "pass_rate": share,
        "interval": [round(low, 4), round(high, 4)],
        "first_difference": first_difference(runs),
    }


def _reddened(recipes: list[Recipe], reports: list[RecipeReport]) -> Answer:
    """Whether each ended with the code that its front matter names."""
    green = []
    for recipe, report in zip(recipes, reports, strict=True):
        assert recipe.meta.red is not None
        if EXIT_CODES[report.verdict] != recipe.meta.red.exit:
            green.append(f"{recipe.file} ended {report.verdict}, not with {recipe.meta.red.exit}")
    return Answer(
        {"verdict": FAILED if green else PASSED, "not_red": green},
        lambda console: console.lines(green or ["all turned red, as they must"]),
        1 if green else 0,
    )


@command("recipe check", "Check recipes without running them.", group="recipes", rank=2, readonly=True, barred=PEOPLE)
def check(
    files: Files = None,
    all: All = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse a recipe with warnings, too.")] = False,
) -> Answer:
    """Starts no cluster: it reads every step as it would be carried out. Ends with 2 if a file is refused."""
    recipes = _loaded(files, all)
    found = {recipe.file: check_recipe(recipe) for recipe in recipes}
    rows = [
        {"file": file, "line": one.line, "message": one.message, "help": one.help, "warning": one.warning}
        for file, problems in found.items()
        for one in problems
    ]
    refused = any(strict or not row["warning"] for row in rows)

    def view(console: Console) -> None:
        _accepted(recipes, console, strict)
        for recipe in recipes:
            cases = count(sum(bool(case.steps) for case in recipe.cases), "case")
            steps = count(len(recipe.steps), "step")
            console.line(f"{console.paint('ok', 'good')}  {recipe.file}: {cases}, {steps}")

    return Answer({"verdict": FAILED if refused else PASSED, "problems": rows}, view, Usage.exit_code if refused else 0)


@command(
    "recipe list", "List the recipes that come with dsectl.", group="recipes", rank=3, readonly=True, barred=PEOPLE
)
def list_() -> Answer:
    """`dsectl learn` shows them by principle."""
    found = library()
    return Answer(
        [
            {"name": name, "file": one.file, "title": one.title, "principles": one.meta.principles}
            for name, one in found.items()
        ],
        lambda console: console.lines(list_lines(found, console.paint, console.columns)),
    )


@command("recipe show", "Print a recipe.", group="recipes", rank=4, readonly=True, barred=PEOPLE)
def show(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Name in the library, or file.")],
) -> Answer:
    """The Markdown as it stands in the file, a good start for one of your own."""
    found = load(recipe)
    fields = {"file": found.file, "title": found.title, "principles": found.meta.principles, "text": found.text}
    return Answer(fields, lambda console: console.line(found.text.rstrip("\n")))


def _loaded(files: list[str] | None, all: bool) -> list[Recipe]:
    if all == bool(files):
        raise Usage("name recipes, or --all", help="`dsectl recipe list` shows those that come with dsectl.")
    return [load(name) for name in (recipe_names() if all else files or [])]


def _accepted(recipes: list[Recipe], console: Console, strict: bool, nodes: list[str] | None = None) -> list[Recipe]:
    """The recipes, if nothing is wrong with them. Raises Usage after telling what is. `nodes` are those of the cluster
    that they shall run on, when that stands."""
    refused, details = [], []
    for recipe in recipes:
        problems = check_recipe(recipe, nodes)
        if problems and not console.options.json:
            console.err.write("\n".join(problem_lines(recipe.file, problems, console.paint_err)) + "\n")
        if any(strict or not problem.warning for problem in problems):
            refused.append(recipe.file)
            details += [{"file": recipe.file, "line": one.line, "message": one.message} for one in problems]
    if refused:
        raise Usage(
            f"refused: {', '.join(refused)}", help="`dsectl help recipes` shows how they are written.", problems=details
        )
    return recipes


@command("present", "Go through a recipe as a lesson, block by block.", group="recipes", rank=5, barred=PEOPLE)
def present(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Name in the library, or file.")],
) -> int:
    """Shows the prose, stops before each block of steps, asks what you expect, and shows what each step came to. At a
    stop, Enter carries the block out, `?` shows what else can be done, and a command of your own looks around.
    --no-input does not stop. Ends as `dsectl recipe run` does, with 0 when you leave it."""
    invocation = current()
    console, options = invocation.console, invocation.options
    if options.json:
        raise Usage("present is for people", help=f"`dsectl recipe run {recipe} --json` gives the result.")
    found = load(recipe)
    problems = [problem for problem in check_recipe(found) if not problem.warning]
    if problems:
        console.err.write("\n".join(problem_lines(found.file, problems, console.paint_err)) + "\n")
        raise Usage(f"refused: {found.file}")
    asks = console.is_terminal and sys.stdin.isatty() and not options.no_input

    def typed(prompt: str) -> str | None:
        """A line that is typed; None at the end of input."""
        line = ask(prompt, console.out)
        if not line:
            console.line("")
        return line or None

    lesson = Lesson(found, console, typed if asks else None)
    console.line(console.paint(f"# {found.title}", "strong"))
    report = RecipeReport(found.file, found.title)
    left = False
    try:
        run_recipe(found, report, lesson, Plan(standing=options.cluster, patient=asks, needs_test=False))
        if not lesson.failed:
            lesson.answer()
    except Left:
        left = True
    except KeyboardInterrupt:
        console.line("")  # the terminal has shown ^C
        raise
    finally:
        if kept := lesson.keep_answers():
            console.note(f"answers are kept in {kept}")
    console.line("")
    blocks = sum(isinstance(part, Block) for case in found.cases for part in case.parts)
    if left:
        console.line("you left the lesson; its cluster is gone" if options.cluster is None else "you left the lesson")
        return 0
    if lesson.skipped:
        console.line(f"{lesson.skipped} of {count(blocks, 'block')} left out")
    console.line(total_line([report], report.verdict, console.paint))
    return EXIT_CODES[report.verdict]


@command("learn", "List the lessons by principle.", group="recipes", rank=6, readonly=True, barred=PEOPLE)
def learn() -> Answer:
    """The ten principles are those of Amazon's description of its distributed systems (2007)."""
    found = library()
    by_principle = {
        principle: [name for name, one in found.items() if principle in one.meta.principles] for principle in PRINCIPLES
    }
    return Answer(by_principle, lambda console: console.lines(learn_lines(found, console.paint)))
