"""Recipes as lessons: present one, or find one by the principle that it shows."""

import sys
from typing import Annotated

import typer

from cluster.errors import Usage
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.recipes.check import check_recipe
from dsectl.recipes.document import Block, library, load
from dsectl.recipes.frontmatter import PRINCIPLES
from dsectl.recipes.lesson import Left, Lesson
from dsectl.recipes.report import RecipeReport
from dsectl.recipes.run import Plan, run_recipe
from dsectl.recipes.view import learn_lines, problem_lines, total_line
from dsectl.ui.text import count
from dsectl.ui.verdicts import EXIT_CODES


@command(
    "present", "Go through a recipe as a lesson, block by block.", group="recipes", rank=5, barred="it is for people"
)
def present(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Name in the library, or file.")],
) -> int:
    """Shows the prose, stops before each block of steps, asks what you expect, and shows what each step came to. At a
    stop, Enter carries the block out, `?` tells what else can be done, and a command of your own looks around.
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

    def ask(prompt: str) -> str | None:
        """A line that is typed; None at the end of input."""
        console.out.write(prompt)
        console.flush()
        line = sys.stdin.readline()
        if not line:
            console.line("")
        return line or None

    lesson = Lesson(found, console, ask if asks else None)
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


@command("learn", "List the lessons by principle.", group="recipes", rank=6, readonly=True, barred="it is for people")
def learn() -> Answer:
    """The ten principles are those of Amazon's description of its distributed systems (2007)."""
    found = library()
    by_principle = {
        principle: [name for name, one in found.items() if principle in one.meta.principles] for principle in PRINCIPLES
    }
    return Answer(by_principle, lambda console: console.lines(learn_lines(found, console.paint)))
