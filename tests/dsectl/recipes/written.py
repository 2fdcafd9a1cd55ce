"""Recipes as text, for tests."""

from dsectl.recipes.check import check_recipe
from dsectl.recipes.document import Recipe, read_recipe
from dsectl.script.check import Problem

FENCE = "```"


def recipe_text(*blocks: str, front: str = "nodes: 3", title: str = "A title") -> str:
    """A file of one case a block; the first steps stand on line 8."""
    head = f"---\n{front}\n---\n# {title}\n"
    cases = [f"## Case {number}\n\n{FENCE}dsectl\n{block}\n{FENCE}\n" for number, block in enumerate(blocks, 1)]
    return head + "".join(cases)


def recipe(*blocks: str, front: str = "nodes: 3") -> Recipe:
    """The same, read."""
    return read_recipe(recipe_text(*blocks, front=front), "r.md")


def problems(text: str) -> list[Problem]:
    """What is wrong with a file, in form and steps."""
    return check_recipe(read_recipe(text, "r.md"))
