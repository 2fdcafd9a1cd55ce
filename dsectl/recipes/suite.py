"""Several recipes, several times, some of them side by side; each run has a cluster of its own, so they do not meet.

Runs are threads of this process: what takes time is the clusters' processes and the waiting.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from dsectl.recipes.document import Recipe
from dsectl.recipes.report import RecipeReport
from dsectl.recipes.run import Listener, run_recipe

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


def run_all(
    plan: Plan, listener: Callable[[Recipe], Listener], on_report: Callable[[RecipeReport], None]
) -> list[RecipeReport]:
    """Carry out the plan; returns the reports in its order. `on_report` is called as each ends, in this thread.

    An interrupt stops all runs, waits until their clusters are gone, and is raised again.
    """
    runs = plan.runs()
    if plan.side_by_side == 1 or len(runs) == 1:
        reports = []
        for recipe in runs:
            reports.append(_one(plan, recipe, listener(recipe)))
            on_report(reports[-1])
        return reports
    return _side_by_side(plan, runs, listener, on_report)


def _one(plan: Plan, recipe: Recipe, listener: Listener) -> RecipeReport:
    return run_recipe(
        recipe,
        listener,
        standing=plan.standing,
        keeps=plan.keeps,
        evidence=plan.evidence,
        time_scale=plan.time_scale,
        is_stopped=plan.stopping.is_set,
    )


def _side_by_side(
    plan: Plan,
    runs: list[Recipe],
    listener: Callable[[Recipe], Listener],
    on_report: Callable[[RecipeReport], None],
) -> list[RecipeReport]:
    told = 0
    futures: list[Future[RecipeReport]] = []
    with ThreadPoolExecutor(plan.side_by_side, "recipe") as pool:
        try:
            for recipe in runs:  # within the `try`: the first runs already while the last are being submitted
                futures.append(pool.submit(_one, plan, recipe, listener(recipe)))
            while told < len(futures):
                try:
                    report = futures[told].result(LOOK_S)
                except TimeoutError:
                    continue
                on_report(report)
                told += 1
        except BaseException:
            plan.stopping.set()
            for future in futures:
                future.cancel()
            raise
    return [future.result() for future in futures]
