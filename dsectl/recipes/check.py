"""Everything that can be known to be wrong with a recipe before a cluster starts."""

from cluster.errors import Usage
from dsectl.recipes.document import Case, Recipe, read_recipe
from dsectl.script.check import Checker, Problem


def check_recipe(recipe: Recipe) -> list[Problem]:
    """What is wrong, in the order of lines."""
    checker = Checker()
    for step in recipe.steps:
        checker.line(step.number, step.text)
    checker.end()
    problems = [*recipe.problems, *checker.problems]
    if all(problem.warning for problem in problems):
        problems += _red(recipe)  # or the same would be told twice
    if not recipe.title:
        problems.append(Problem(1, "there is no title", "A line `# Title` says what the recipe shows."))
    if recipe.meta.nodes < 1:
        problems.append(Problem(1, "a cluster has at least one node"))
    return sorted(problems, key=lambda problem: problem.line)


def has_steps(case: Case) -> bool:
    """Whether a case is a test, and not prose alone."""
    return bool(case.steps)


def reddened(recipe: Recipe) -> Recipe:
    """The recipe with the replacement of its front matter made, which must turn it red. Raises Usage."""
    problems = _red(recipe)
    if recipe.meta.red is None or problems:
        raise Usage(problems[0].message if problems else "there is no `red` in the front matter")
    return _replaced(recipe)


def _red(recipe: Recipe) -> list[Problem]:
    red = recipe.meta.red
    if red is None:
        return []
    matching = [step for step in recipe.steps if red.replace in step.text]
    if not red.replace or len(matching) != 1:
        return [
            Problem(1, f"red: {red.replace!r} is in {len(matching)} steps, and must be in one", "It is text of a step.")
        ]
    changed = _replaced(recipe)
    checker = Checker()
    for step in changed.steps:
        checker.line(step.number, step.text)
    return [Problem(problem.line, f"once red is applied: {problem.message}") for problem in checker.problems]


def _replaced(recipe: Recipe) -> Recipe:
    """The recipe's text with the step changed on its line."""
    red = recipe.meta.red
    assert red is not None
    step = next(step for step in recipe.steps if red.replace in step.text)
    lines = recipe.text.split("\n")
    for number in range(step.number - 1, len(lines)):
        if red.replace in lines[number]:
            lines[number] = lines[number].replace(red.replace, red.with_)
            break
    return read_recipe("\n".join(lines), recipe.file)
