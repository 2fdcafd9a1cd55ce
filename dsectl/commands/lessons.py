"""Recipes as lessons: present one, or find one by the principle that it shows."""

import sys
from typing import Annotated

import typer

from cluster.errors import Usage
from dsectl.cli.console import Console
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.recipes.check import check_recipe
from dsectl.recipes.frontmatter import PRINCIPLES
from dsectl.recipes.lesson import Lesson
from dsectl.recipes.library import library, listed, load, names
from dsectl.recipes.report import EXIT_CODES, RecipeReport
from dsectl.recipes.run import run_recipe
from dsectl.recipes.view import learn_lines, problem_lines, total_line
from dsectl.ui.text import shown


@command(
    "present", "Go through a recipe as a lesson, block by block.", group="recipes", rank=5, barred="it is for people"
)
def present(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Name in the library, or file.")],
) -> int:
    """Shows the prose, waits for Enter before each block of steps, asks what you expect, and shows what each step came
    to; --no-input does not wait. Ends as `dsectl recipe run` does."""
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
    lesson = Lesson(found, console, (lambda prompt: _ask(console, prompt)) if asks else None)
    console.line(console.paint(f"# {found.title}", "strong"))
    report = RecipeReport(found.file, found.title)
    run_recipe(found, report, lesson, standing=options.cluster, patient=asks, needs_test=False)
    kept = lesson.keep_answers()
    console.line("")
    for answer in lesson.answers:
        console.lines([console.paint(shown(answer.question, lines=True), "dim")])
        console.line(f"you expected: {shown(answer.answer) or '(nothing)'}\n")
    if kept:
        console.note(f"answers are kept in {kept}")
    console.line(total_line([report], report.verdict, console.paint))
    return EXIT_CODES[report.verdict]


def _ask(console: Console, prompt: str) -> str:
    """A line that is typed; the end of input counts as an empty one."""
    console.out.write(prompt)
    console.flush()
    return sys.stdin.readline().strip()


@command("learn", "List the lessons by principle.", group="recipes", rank=6, readonly=True, barred="it is for people")
def learn() -> Answer:
    """The ten principles are those of Amazon's description of its distributed systems (2007)."""
    rows = [listed(recipe, name) for name, recipe in zip(names(), library(), strict=True)]
    by_principle = {one: [row.name for row in rows if one in row.principles] for one in PRINCIPLES}
    return Answer(by_principle, lambda console: console.lines(learn_lines(rows, console.paint)))
