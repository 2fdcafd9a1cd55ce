"""Runs side by side: an interrupt ends all of them, at whatever moment it comes."""

import threading

import pytest

from dsectl.recipes import run
from dsectl.recipes.document import Recipe
from dsectl.recipes.report import CaseReport, RecipeReport
from dsectl.recipes.run import Listener, Plan
from dsectl.ui.verdicts import INCONCLUSIVE, PASSED
from tests.dsectl.recipes.written import recipe

LIMIT_S = 30.0


@pytest.mark.parametrize("submitted", [1, 2, 3])
def test_an_interrupt_between_two_submissions_ends_what_runs(monkeypatch: pytest.MonkeyPatch, submitted: int) -> None:
    begun = threading.Event()
    ended: list[bool] = []

    def endless(recipe: Recipe, report: RecipeReport, listener: Listener, plan: Plan) -> None:
        begun.set()
        waiting = threading.Event()
        for _ in range(round(LIMIT_S / 0.01)):
            if plan.stopping.is_set():
                ended.append(True)
                report.ended = True
                return
            waiting.wait(0.01)
        ended.append(False)
        raise AssertionError("nobody stopped it")

    told: list[Recipe] = []

    def listener(recipe: Recipe) -> Listener:
        told.append(recipe)
        if len(told) > submitted:
            assert begun.wait(LIMIT_S)
            raise KeyboardInterrupt
        return Listener()

    monkeypatch.setattr(run, "run_recipe", endless)
    plan = Plan([recipe("get k")], repeat=4, side_by_side=2)
    reports = plan.reports()
    with pytest.raises(KeyboardInterrupt):
        run.run_all(plan, reports, listener, lambda report: None)
    assert ended and all(ended) and len(ended) <= 2
    assert [report.ended for report in reports].count(True) == len(ended)
    left = [report for report in reports if not report.ended]
    assert all(report.interrupted and report.verdict == INCONCLUSIVE for report in left), "no report is taken for whole"


def test_what_had_ended_before_an_interrupt_stays_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[Recipe] = []

    def second_is_interrupted(recipe: Recipe, report: RecipeReport, listener: Listener, plan: Plan) -> None:
        runs.append(recipe)
        if len(runs) == 2:
            raise KeyboardInterrupt
        report.cases.append(CaseReport("Case 1", recipe.file, 1))
        report.ended = True

    monkeypatch.setattr(run, "run_recipe", second_is_interrupted)
    plan = Plan([recipe("get k")], repeat=3)
    reports = plan.reports()
    with pytest.raises(KeyboardInterrupt):
        run.run_all(plan, reports, lambda recipe: Listener(), lambda report: None)
    assert [(report.verdict, report.interrupted) for report in reports] == [
        (PASSED, False),
        (INCONCLUSIVE, True),
        (INCONCLUSIVE, True),
    ]
