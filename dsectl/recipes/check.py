"""Everything that can be known to be wrong with a recipe before a cluster starts.

How a step is written is checked by `script.check`. What is added here is what the front matter tells (which nodes and
zones there will be), what lies on this machine (files), and which slip a line looks like.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path as File

from cluster.errors import Usage
from dsectl.cli.declaration import Given
from dsectl.recipes.document import FILES, Predict, Recipe, read_recipe
from dsectl.script.check import Checker, Problem
from dsectl.script.grammar import RESERVED, Expect, Fails, Run, Start, Step
from dsectl.script.tokens import VARIABLE, split
from dsectl.script.values import OPERATORS, looks_like_path

LINK_METAVARS = ("GROUP GROUP...", "FROM", "TO")
NODE_METAVARS = ("NODE", "NODE...", "NODE|WORKER", "NODE|WORKER...", *LINK_METAVARS)
ALL_NODES = ("rest", "all")
VALUE_METAVARS = ("VALUE", "PAYLOAD")
_LIKE_A_NODE = re.compile(r"n\d+")
_DURATION = re.compile(r"\d+(ms|s|m|h)?")


def check_recipe(recipe: Recipe, nodes: Sequence[str] | None = None) -> list[Problem]:
    """What is wrong, in the order of lines. `nodes` are those of the cluster that it shall run on, when that stands."""
    checker = Checker()
    checker.variables.update(dict.fromkeys([FILES] if recipe.files else [], 0))
    problems = checker.problems
    problems += recipe.problems
    names = [f"n{number}" for number in range(1, recipe.meta.nodes + 1)] if nodes is None else nodes
    zones = [f"z{number}" for number in range(1, recipe.meta.zones + 1)] if nodes is None else None
    tests = 0
    for line in recipe.steps:
        step = checker.line(line.number, line.text)
        if step is None:
            problems[-1] = replace(problems[-1], help=slipped(line.text) or problems[-1].help)
            continue
        tests += is_test(step)
        unknown = unknown_names(step, checker.given, names, zones)
        problems += [Problem(line.number, *one) for one in unknown]
    checker.end()
    for part in (part for case in recipe.cases for part in case.parts if isinstance(part, Predict)):
        for name in VARIABLE.findall(part.answer):
            if name not in checker.variables:
                help = f"`explain cart .owners[0] -> ${name}` would give it one."
                problems.append(Problem(part.line, f"${name} in the answer has no value", help))
    if recipe.steps and not problems and not tests:
        help = "`expect`, `within` and `always` test what a command returns, and `!` that it fails."
        problems.append(Problem(recipe.steps[0].number, "no step tests anything, so a run is inconclusive", help, True))
    if recipe.meta.red is not None and all(problem.warning for problem in problems):  # or the same would be told twice
        changed = Checker()
        changed.variables.update(dict.fromkeys([FILES] if recipe.files else [], 0))
        try:
            for line in reddened(recipe).steps:
                changed.line(line.number, line.text)
        except Usage as error:
            problems.append(Problem(1, error.message, error.help))
        wrong = [one for one in changed.problems if not one.warning]
        problems += [Problem(one.line, f"once red is applied: {one.message}") for one in wrong]
    if not recipe.title:
        problems.append(Problem(1, "the title is missing", "A line `# Title` says what the recipe shows."))
    return sorted(problems, key=lambda problem: problem.line)


def is_test(step: Step) -> bool:
    """Whether a step can find a fault of what it looks at: any test, and a command that judges by itself."""
    if isinstance(step, Run | Start):
        judges = step.command.name in ("load", "health")
        return judges or any(word.text().startswith("--count") for word in step.command.words)
    return isinstance(step, Expect | Fails)


# -- nodes, zones and files


def unknown_names(
    step: Step, given: Sequence[Given], nodes: Sequence[str], zones: Sequence[str] | None
) -> Iterator[tuple[str, str]]:
    """What a step names that will not be there, with what helps."""
    known = f"The cluster has {len(nodes)}: {nodes[0]} to {nodes[-1]}." if nodes else ""
    is_literal = any(one.name == "literal" and one.value for one in given)
    for one in given:
        name, metavar = str(one.value), one.metavar
        if metavar in NODE_METAVARS:
            if "," in name and "GROUP" not in metavar:
                yield f"unknown node {name!r}", f"Blanks stand between nodes: {name.replace(',', ' ')}"
                continue
            for node in name.split(","):
                host = node.partition("/")[0]  # of a worker, as in n2/1
                if node and host not in nodes and not (node in ALL_NODES and metavar in LINK_METAVARS):
                    yield f"unknown node {node!r}", known
        elif metavar == "ZONE" and zones is not None and name not in zones:
            yield f"unknown zone {name!r}", f"Its zones: {', '.join(zones)}; `zones: 3` makes three."
        elif metavar in VALUE_METAVARS and name.startswith("@") and not is_literal:
            try:
                File(name[1:]).open("rb").close()
            except OSError as error:
                help = f"--literal stores {name!r} itself. A file's path begins at the folder where dsectl is started."
                yield f"cannot read {name[1:]!r}: {error.strerror}", help
    path = step.test.path if isinstance(step, Expect) else step.path if isinstance(step, Run) else None
    for key in path.steps if path else ():
        if isinstance(key, str) and _LIKE_A_NODE.fullmatch(key) and key not in nodes:
            yield f"unknown node {key!r}", known


# -- slips


def slipped(text: str) -> str:
    """What helps for the slip that a line which was refused looks like; empty if it looks like none."""
    try:
        words = split(text)
    except Usage:
        return ""
    bare = [word.bare or "" for word in words]
    first = bare[0]
    if first == "dsectl":
        return f"Steps leave out `dsectl`: `{text.partition('dsectl')[2].strip()}`."
    if first not in RESERVED and first.lower() in RESERVED:
        return f"It is written `{first.lower()}`."
    if first in ("assert", "check", "verify", "test", "should"):
        return f"A test begins with `expect`: `expect {text.partition(first)[2].strip()}`."
    if first in ("wait", "stop") and len(bare) == 2 and _DURATION.fullmatch(bare[1]):
        return f"`{first}` is for jobs. `within {bare[1]}: …` waits for what you need, `sleep {bare[1]}` for nothing."
    if len(bare) >= 3 and bare[1] == "=" and words[0].variable:
        return f"A value is kept by an arrow behind its path: `get cart .value -> ${words[0].variable}`."
    if first not in RESERVED:
        if len(bare) >= 2 and looks_like_path(words[-1]) and not {"->", "|", "&"} & set(bare):
            return f"To test it: `expect {text} == VALUE`. To keep it: `{text} -> $name`."
    elif "=" in bare[2:-1]:
        return "Equal is written `==`."
    elif "is" in bare[2:-1]:
        return f"Operators: {' '.join(OPERATORS)}"
    return ""


# -- red


def reddened(recipe: Recipe) -> Recipe:
    """The recipe with the replacement of its front matter made, which must turn it red. Raises Usage."""
    red = recipe.meta.red
    if red is None:
        raise Usage("there is no `red` in the front matter")
    matching = [step.number for step in recipe.steps if red.replace in step.text]
    if not red.replace or len(matching) != 1:
        message = f"red: {red.replace!r} is in {len(matching)} steps, and must be in one"
        raise Usage(message, help="It is text of a step.")
    lines = recipe.text.split("\n")
    for number in range(matching[0] - 1, len(lines)):
        if red.replace in lines[number]:  # of a joined step the line that has it
            lines[number] = lines[number].replace(red.replace, red.with_)
            break
    return read_recipe("\n".join(lines), recipe.file)
