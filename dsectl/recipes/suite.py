"""Several recipes, several times, some of them side by side; each run has a cluster of its own, so they do not meet.

Runs are threads of this process: what takes time is the clusters' processes and the waiting.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from dsectl.recipes.document import Recipe
from dsectl.recipes.report import RecipeReport
from dsectl.recipes.run import Listener, leave_out, run_recipe

LOOK_S = 0.2
"""How often the main thread can be reached by a signal while others work."""


@dataclass
class Plan:
    """What is run, and how."""

    recipes: Sequence[Recipe]
    repeat: int = 1
    side_by_side: int = 1
    standing: str | None = None
    keeps: bool = False
    evidence: bool = True
    """Whether logs and events of what did not pass are kept."""
    time_scale: float = 1.0
    stopping: threading.Event = field(default_factory=threading.Event)

    def runs(self) -> list[Recipe]:
        """Every run, in order."""
        return [recipe for recipe in self.recipes for _ in range(self.repeat)]

    def reports(self) -> list[RecipeReport]:
        """One for each run, which has not begun."""
        return [RecipeReport(recipe.file, recipe.title, time_scale=self.time_scale) for recipe in self.runs()]


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
                _one(plan, recipe, report, listener(recipe))
                on_report(report)
        else:
            _side_by_side(plan, runs, listener, on_report)
    except BaseException:
        for recipe, report in runs:
            if not report.ended:
                leave_out(recipe, report)
        raise


def _one(plan: Plan, recipe: Recipe, report: RecipeReport, listener: Listener) -> None:
    run_recipe(
        recipe,
        report,
        listener,
        standing=plan.standing,
        keeps=plan.keeps,
        evidence=plan.evidence,
        is_stopped=plan.stopping.is_set,
    )


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
                futures.append(pool.submit(_one, plan, recipe, report, listener(recipe)))
            for future, (_, report) in zip(futures, runs, strict=True):
                while not _ended(future):
                    pass
                on_report(report)
        except BaseException:
            plan.stopping.set()
            for future in futures:
                future.cancel()
            raise


def _ended(future: "Future[None]") -> bool:
    """Whether it ends within a moment. Raises what it raised."""
    try:
        future.result(LOOK_S)
    except TimeoutError:
        return False
    return True
