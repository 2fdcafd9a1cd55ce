"""A recipe that cannot fail is not a test: each, with the replacement that its front matter names, turns red.

That they pass unchanged is a stage of its own in `.ci/run`, and is not repeated here.
"""

from cluster.emulator.home import Home
from dsectl.recipes.check import reddened
from dsectl.recipes.document import library
from dsectl.recipes.run import Listener, Plan, run_all
from dsectl.ui.verdicts import EXIT_CODES

SIDE_BY_SIDE = 3


def test_every_recipe_turns_red(home: Home) -> None:
    recipes = [reddened(recipe) for recipe in library().values()]
    plan = Plan(recipes, side_by_side=SIDE_BY_SIDE, evidence=False)
    reports = plan.reports()
    run_all(plan, reports, lambda _: Listener(), lambda _: None)
    wrong = [
        f"{recipe.file} ended {report.verdict}: {[(case.name, case.verdict, case.seen) for case in report.cases]}"
        for recipe, report in zip(recipes, reports, strict=True)
        if recipe.meta.red is None or EXIT_CODES[report.verdict] != recipe.meta.red.exit or report.ready_s is None
    ]
    assert wrong == []
    assert not (home.folder / "kept").exists()
