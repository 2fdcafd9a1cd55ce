"""Runs side by side: an interrupt ends all of them, at whatever moment it comes."""

import threading
from typing import Any

import pytest

from dsectl.recipes import suite
from dsectl.recipes.document import Recipe
from dsectl.recipes.report import RecipeReport
from dsectl.recipes.run import Listener, Silent

LIMIT_S = 30.0


@pytest.mark.parametrize("submitted", [1, 2, 3])
def test_an_interrupt_between_two_submissions_ends_what_runs(monkeypatch: pytest.MonkeyPatch, submitted: int) -> None:
    begun = threading.Event()
    ended: list[bool] = []

    def endless(recipe: Recipe, listener: Listener, *, is_stopped: Any, **others: Any) -> RecipeReport:
        begun.set()
        waiting = threading.Event()
        for _ in range(round(LIMIT_S / 0.01)):
            if is_stopped():
                ended.append(True)
                return RecipeReport("x.md", "x")
            waiting.wait(0.01)
        ended.append(False)
        raise AssertionError("nobody stopped it")

    told: list[Recipe] = []

    def listener(recipe: Recipe) -> Listener:
        told.append(recipe)
        if len(told) > submitted:
            assert begun.wait(LIMIT_S)
            raise KeyboardInterrupt
        return Silent()

    monkeypatch.setattr(suite, "run_recipe", endless)
    recipe: Any = None  # nobody looks at it
    with pytest.raises(KeyboardInterrupt):
        suite.run_all(suite.Plan([recipe], repeat=4, side_by_side=2), listener, lambda report: None)
    assert ended and all(ended) and len(ended) <= 2
