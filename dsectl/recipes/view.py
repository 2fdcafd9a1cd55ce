"""Recipes for people: what is wrong with one, how a run goes, and what it came to."""

from dsectl.cli.console import Console
from dsectl.recipes.document import Recipe
from dsectl.recipes.frontmatter import PRINCIPLES
from dsectl.recipes.report import TO_RUN, CaseReport, RecipeReport, counts, touched
from dsectl.recipes.run import Listener
from dsectl.script.check import Problem
from dsectl.script.interpreter import Interpreter, Outcome
from dsectl.script.tokens import Line
from dsectl.ui.table import table
from dsectl.ui.text import STATES, Paint, count, cut, shown
from dsectl.ui.units import show_duration
from dsectl.ui.verdicts import FAILED, INCONCLUSIVE, PASSED, spoken

MARKS = {PASSED: "ok", FAILED: "FAILED", INCONCLUSIVE: "inconclusive"}
PROGRESS_COLUMNS = 78
LINKS_MAX = 4
"""So many of a fault's links are told; the reports for machines tell all."""
LIST_COLUMNS = 130
"""What name, title and principles need."""


def problem_lines(file: str, problems: list[Problem], paint: Paint) -> list[str]:
    """`FILE:LINE: what is wrong`, each with its help below."""
    lines = []
    for problem in problems:
        kind = paint("warning:", "warn") if problem.warning else paint("error:", "bad")
        lines.append(f"{paint(f'{file}:{problem.line}:', 'strong')} {kind} {shown(problem.message)}")
        lines += [f"    {shown(line)}" for line in problem.help.splitlines()]
    return lines


class Progress(Listener):
    """A listener that shows on one line which step is under way."""

    def __init__(self, recipe: Recipe, console: Console) -> None:
        self.recipe = recipe
        self.console = console

    def starting(self) -> None:
        """The cluster is on its way."""
        self._show("starting its cluster")

    def ready(self, report: RecipeReport, interpreter: Interpreter) -> None:
        """The line goes again."""
        self.console.progress("")

    def step(self, line: Line) -> None:
        """A step begins."""
        self._show(line.text)

    def ended(self, line: Line, outcome: Outcome) -> None:
        """The line goes again."""
        self.console.progress("")

    def _show(self, doing: str) -> None:
        self.console.progress(cut(shown(f"{self.recipe.title}: {doing}"), PROGRESS_COLUMNS))


def report_lines(report: RecipeReport, paint: Paint, brief: bool = False) -> list[str]:
    """One recipe's run: a line a case, and of those that did not pass, why. `brief`: one line for all that passed."""
    took = show_duration(report.took_s)
    if report.time_scale != 1:
        took += f", times stretched by {report.time_scale:g}"
    lines = [f"{paint(shown(report.title), 'strong')}  {paint(f'{report.file}  ({took})', 'dim')}"]
    if brief and report.verdict == PASSED:
        return [f"{paint(MARKS[PASSED], STATES[PASSED])}  {lines[0]}"]
    for case in report.cases:
        lines += _case_lines(case, paint)
    if report.kept:
        lines.append(f"  kept       {report.kept}")
    return lines


def _case_lines(case: CaseReport, paint: Paint) -> list[str]:
    if case.expected == TO_RUN:
        return [paint(f"  --   {shown(case.name)}  {shown(case.seen)}", "dim")]
    mark = paint(f"{MARKS[case.verdict]:<4}", STATES[case.verdict])
    done = paint(f"{count(case.steps, 'step')}, {show_duration(case.took_s)}", "dim")
    lines = [f"  {mark} {shown(case.name)}  {done}"]
    if case.verdict != PASSED:
        lines += [
            f"       {paint(case.where, 'strong')}{'  ' if case.step else ''}{shown(case.step)}",
            f"       expected   {shown(case.expected)}",
            f"       seen       {shown(case.seen)}",
        ]
        if case.at_s:
            lines.append(f"       at         {show_duration(case.at_s)} after the cluster was ready")
    lines += [paint(f"       {shown(touched(fault, LINKS_MAX))}", "dim") for fault in case.faults]
    lines += [f"       {paint('warning:', 'warn')} {shown(warning)}" for warning in case.warnings]
    return lines


def red_lines(report: RecipeReport, paint: Paint) -> list[str]:
    """One recipe's run with its `red` replacement made: the step at which it turned red."""
    case = next((case for case in report.cases if case.verdict == report.verdict), None)
    if case is None or report.verdict == PASSED:
        return [f"{paint('still green', 'bad')}  {shown(report.title)}  {paint(shown(report.file), 'dim')}"]
    where = paint(case.where, "dim")
    return [f"{paint(report.verdict, 'good')}  {shown(report.title)}  {where}", f"        {shown(case.step)}"]


def total_line(reports: list[RecipeReport], verdict: str, paint: Paint) -> str:
    """The last word on several recipes."""
    found = counts(reports)
    parts = [f"{number} {name}" for name, number in found.items() if number]
    return f"{spoken(verdict, paint)}  {count(len(reports), 'run')}, cases: {', '.join(parts) or 'none'}"


def list_lines(recipes: dict[str, Recipe], paint: Paint, columns: int | None) -> list[str]:
    """The recipes that come with dsectl; on a narrow terminal without their principles, which `learn` shows."""
    taken = 3 if columns is None or columns >= LIST_COLUMNS else 2
    rows = [((name, "name"), one.title, ", ".join(one.meta.principles))[:taken] for name, one in recipes.items()]
    return table(("NAME", "TITLE", "PRINCIPLES")[:taken], rows, paint, columns)


def learn_lines(recipes: dict[str, Recipe], paint: Paint) -> list[str]:
    """The ten principles, each with the lessons that show it."""
    lines = []
    width = max(map(len, recipes), default=0)
    for principle in PRINCIPLES:
        shown_by = {name: one.title for name, one in recipes.items() if principle in one.meta.principles}
        lines.append(paint(principle, "strong"))
        lines += [f"  {paint(f'{name:<{width}}', 'name')}  {title}" for name, title in shown_by.items()]
        if not shown_by:
            lines.append(paint("  no lesson yet", "dim"))
        lines.append("")
    return [*lines, "`dsectl present NAME` goes through a lesson; `dsectl recipe run NAME` runs it as a test."]
