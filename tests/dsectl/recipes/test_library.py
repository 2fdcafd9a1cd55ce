"""The recipes that come with dsectl: well formed, in the index, and one at least for each principle."""

import pytest

from dsectl.cli.resources import INDEX, recipe_names, resource
from dsectl.recipes.check import check_recipe, reddened
from dsectl.recipes.document import Predict, library, load
from dsectl.recipes.frontmatter import PRINCIPLES

TWELVE = 12
QUESTIONS_MIN = 1
WORDS_MIN = 150
"""Fewer words do not explain anything."""


def index() -> str:
    return resource("recipes", INDEX).read_text(encoding="utf-8")


def test_there_are_twelve_and_the_index_links_each_once() -> None:
    assert len(recipe_names()) >= TWELVE
    assert [name for name in recipe_names() if index().count(f"]({name}.md)") != 1] == []
    assert recipe_names() == sorted(recipe_names(), key=lambda name: index().index(f"]({name}.md)")), (
        "in the order of the index"
    )


def test_every_principle_has_a_lesson() -> None:
    shown = {principle for recipe in library().values() for principle in recipe.meta.principles}
    assert [principle for principle in PRINCIPLES if principle not in shown] == []


@pytest.mark.parametrize("name", recipe_names())
def test_each_is_a_lesson_and_a_test(name: str) -> None:
    recipe = load(name)
    assert check_recipe(recipe) == [], "warnings count too"
    assert recipe.meta.principles and recipe.title
    questions = [part for case in recipe.cases for part in case.parts if isinstance(part, Predict)]
    assert len(questions) >= QUESTIONS_MIN, "nothing to think about"
    assert all(question.answer for question in questions), "whoever has guessed wants to know"
    assert len(recipe.text.split()) >= WORDS_MIN
    assert len({case.name for case in recipe.cases}) >= 2
    assert reddened(recipe).steps != recipe.steps, "a recipe that cannot fail is not a test"
