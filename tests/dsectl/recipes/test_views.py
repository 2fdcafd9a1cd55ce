"""What people see of runs: why a case did not pass, what was not run, and where a recipe turned red."""

import io
from collections.abc import Callable
from functools import partial

import pyte
import pytest

from dsectl.cli.console import Console
from dsectl.cli.invocation import Session
from dsectl.cli.options import Options
from dsectl.recipes.lesson import Lesson
from dsectl.recipes.report import TO_RUN, CaseReport, RecipeReport, junit
from dsectl.recipes.run import Listener
from dsectl.recipes.view import Progress, red_lines, report_lines
from dsectl.script.interpreter import Interpreter
from dsectl.ui.text import Paint
from dsectl.ui.verdicts import FAILED, INCONCLUSIVE
from tests.dsectl.recipes.written import recipe
from tests.dsectl.ui.terminal import TerminalText

PLAIN = Paint(False)


def failed() -> RecipeReport:
    report = RecipeReport("r.md", "Title", kept="/kept/r")
    good, bad, behind = (CaseReport(name, "r.md", 5) for name in ("good", "bad", "behind"))
    bad.decide(FAILED, 9, "expect get k .value == 1", '.value == "1"', "null", 0.5)
    behind.decide(INCONCLUSIVE, 12, "", TO_RUN, "not run: 'bad' failed", 0.6)
    report.cases += [good, bad, behind]
    return report


def test_a_failure_is_told_once_and_what_was_not_run_in_a_line() -> None:
    lines = report_lines(failed(), PLAIN)
    assert lines[1:] == [
        "  ok   good  0 steps, 0s",
        "  FAILED bad  0 steps, 0s",
        "       r.md:9  expect get k .value == 1",
        '       expected   .value == "1"',
        "       seen       null",
        "       at         500ms after the cluster was ready",
        "  --   behind  not run: 'bad' failed",
        "  kept       /kept/r",
    ]


def test_of_a_cluster_that_was_never_ready_no_time_since_then_is_told() -> None:
    report = RecipeReport("r.md", "Title", cases=[CaseReport("case", "r.md", 5)])
    report.cases[0].decide(INCONCLUSIVE, 5, "", "a cluster", "its folder cannot be made", 0.0)
    assert report_lines(report, PLAIN)[-1] == "       seen       its folder cannot be made"
    assert b"after" not in junit([report])


@pytest.mark.parametrize("listener", [Progress, partial(Lesson, ask=None)])
def test_that_its_cluster_is_being_started_is_shown_until_it_runs(listener: Callable[..., Listener]) -> None:
    err, terminal = TerminalText(), pyte.Screen(80, 2)
    told = listener(recipe("status"), Console(io.StringIO(), err, Options()))

    def shown() -> str:
        pyte.Stream(terminal).feed(err.getvalue())
        return terminal.display[0].strip()

    told.starting()
    assert "starting" in shown()
    told.ready(RecipeReport("r.md", "Title"), Interpreter(Session("nowhere")))
    assert shown() == ""


def test_what_passed_again_and_again_takes_a_line() -> None:
    passed = RecipeReport("r.md", "Title", cases=[CaseReport("good", "r.md", 5)])
    assert report_lines(passed, PLAIN, brief=True) == ["ok  Title  r.md  (0s)"]
    assert report_lines(failed(), PLAIN, brief=True) == report_lines(failed(), PLAIN)


def test_red_tells_the_step_that_noticed() -> None:
    assert red_lines(failed(), PLAIN) == ["failed  Title  r.md:9", "        expect get k .value == 1"]
    green = RecipeReport("r.md", "Title", cases=[CaseReport("good", "r.md", 5)])
    assert red_lines(green, PLAIN) == ["still green  Title  r.md"]
