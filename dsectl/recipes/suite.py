"""Several recipes, several times, some of them side by side; each run has a cluster of its own, so they do not meet.

Runs are threads of this process: what takes time is the clusters' processes and the waiting.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from dsectl.recipes.document import Recipe
from dsectl.recipes.report import RecipeReport
from dsectl.recipes.run import Listener, Plan, leave_out, run_recipe

LOOK_S = 0.2
"""How often the main thread can be reached by a signal while others work."""


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
                run_recipe(recipe, report, listener(recipe), plan)
                on_report(report)
        else:
            _side_by_side(plan, runs, listener, on_report)
    except BaseException:
        for recipe, report in runs:
            if not report.ended:
                leave_out(recipe, report)
        raise


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
                futures.append(pool.submit(run_recipe, recipe, report, listener(recipe), plan))
            for future, (_, report) in zip(futures, runs, strict=True):
                while not future.done():
                    wait([future], LOOK_S)
                future.result()
                on_report(report)
        except BaseException:
            plan.stopping.set()
            for future in futures:
                future.cancel()
            raise
