"""A recipe as a lesson: what is shown when, on a run that never happens."""

import io

from dsectl.cli.console import Console
from dsectl.cli.options import Options
from dsectl.recipes.lesson import Lesson
from dsectl.script.execution import Result
from dsectl.script.interpreter import Outcome
from dsectl.script.polling import FAILED, PASSED
from tests.dsectl.recipes.written import recipe

OWNERS = "explain cart .owners[0] -> $first"


def lesson(*answers: str) -> tuple[Lesson, io.StringIO]:
    """A lesson of one case with one step, and what it shows; with answers there is somebody to ask."""
    out = io.StringIO()
    given = list(answers)

    def ask(prompt: str) -> str:
        out.write(prompt + "\n")
        return given.pop(0)

    return Lesson(recipe(OWNERS), Console(out, io.StringIO(), Options()), ask if answers else None), out


def gone_through(made: Lesson, outcome: Outcome) -> None:
    for case in made.recipe.cases:
        made.case(case)
        for part in case.parts:
            made.part(part)
        for line in case.steps:
            made.step(line)
            made.ended(line, outcome)


def test_a_block_is_shown_before_it_is_carried_out() -> None:
    made, out = lesson("")
    gone_through(made, Outcome(PASSED, result=Result(0, {"owners": ["n1"]}), taken='$first = "n1"'))
    shown = out.getvalue()
    assert shown == f'\n## Case 1\n\n    {OWNERS}\n[Enter] carries this out \ndsectl> {OWNERS}\n  $first = "n1"\n'


def test_without_anybody_to_ask_nothing_is_shown_twice() -> None:
    made, out = lesson()
    gone_through(made, Outcome(PASSED, expected=".length == 1", seen="1"))
    assert out.getvalue() == f"\n## Case 1\n\ndsectl> {OWNERS}\n  ok  1\n"


def test_what_did_not_pass_is_told() -> None:
    made, out = lesson()
    gone_through(made, Outcome(FAILED, expected=".length == 1", seen="2"))
    assert made.failed and "  failed: expected .length == 1\n  saw 2\n" in out.getvalue()
