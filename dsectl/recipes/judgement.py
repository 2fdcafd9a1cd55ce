"""Whether a run has tested what it set out to test, although no step failed. Pure.

It has not, if a fault touched nothing, unless a step looked at its count and so judged it itself; if a job ended with
nothing, and no step looked at that; if no step tests anything. A fault that touched packets, but on other links than
those that the recipe names, is worth a warning.
"""

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

from dsectl.recipes.check import is_test
from dsectl.script.execution import CommandResult
from dsectl.script.grammar import Expect, Run, Step
from dsectl.script.interpreter import Outcome
from dsectl.script.values import MISSING, Path, argument

COUNTS = ("affected", "links")
"""Members of a fault that say what it touched."""
LINK_FAULTS = ("partition", "slow")
Faults = list[dict[str, Any]]


class Judgement:
    """What the steps of a run did and looked at, as far as it matters at the end."""

    def __init__(self) -> None:
        self.tests = 0
        self.excused: set[str] = set()
        """Faults whose counts a step looked at."""
        self.looked_at: set[str] = set()
        """Jobs whose results a step looked at."""
        self.links: dict[str, list[tuple[str, ...]]] = {}
        """Fault -> the links that its step names; those that stand together are the two directions of one."""

    def note(self, step: Step, outcome: Outcome, variable: Callable[[str], Any]) -> None:
        """A step was carried out."""
        self.tests += is_test(step)
        self.excused.update(looked_at(step, outcome.result, variable))
        if isinstance(step, Expect) and len(step.command.words) == 1:
            self.looked_at.add(step.command.name or "")
        made = outcome.result.value if outcome.result is not None else MISSING
        if isinstance(step, Run) and step.command.name in LINK_FAULTS and isinstance(made, dict) and "id" in made:
            words = {name for word in step.command.words for name in argument(word, variable).split(",")}
            self.links[made["id"]] = list(named_links(made, words))

    def idle(self, faults: Faults) -> list[str]:
        """The faults that touched nothing, in words."""
        return [told(fault) for fault in faults if fault["id"] not in self.excused and not fault.get("affected")]

    def warnings(self, faults: Faults) -> list[str]:
        """The links that a recipe names and that a fault did not touch, in words."""
        found = []
        for fault in faults:
            named = self.links.get(fault["id"], []) if fault.get("affected") else []
            idle = [ways[0] for ways in named if not any(fault["links"].get(way) for way in ways)]
            if idle and fault["id"] not in self.excused:
                found.append(f"{told(fault)} touched nothing on {', '.join(idle)}")
        return found

    def idle_jobs(self, results: dict[str, CommandResult | None]) -> list[str]:
        """The jobs that ended with nothing and that no step looked at."""
        return [
            name
            for name, result in results.items()
            if result is not None and not result.code and result.value == [] and name not in self.looked_at
        ]


def told(fault: dict[str, Any]) -> str:
    """A fault in words."""
    return f"{fault['kind']} {fault['target']} ({fault['id']})"


def named_links(fault: dict[str, Any], words: set[str]) -> Iterator[tuple[str, ...]]:
    """The links of a fault both of whose ends its command line names; `rest` and `all` name nobody."""
    if fault["kind"] == "slow":
        source, _, target = fault["target"].replace("<->", "->").partition(" -> ")
        if {source, target} <= words - {"all"}:
            yield (f"{source}->{target}",)
            if fault.get("both"):
                yield (f"{target}->{source}",)
        return
    for at, (group, other) in enumerate(combinations(fault["groups"], 2)):
        if fault.get("one_way") and at >= len(fault["groups"]) - 1:
            return  # what the others send each other passes
        for source in (name for name in group if name in words):
            for target in (name for name in other if name in words):
                ways = (f"{source}->{target}", f"{target}->{source}")
                yield ways[:1] if fault.get("one_way") else ways


def looked_at(step: Step, result: CommandResult | None, variable: Callable[[str], Any]) -> list[str]:
    """The ids of the faults whose counts a step looked at."""
    if result is None or not isinstance(step, Expect | Run) or step.command.name != "faults":
        return []
    path = step.test.path if isinstance(step, Expect) else step.path or Path((), ".")
    for position, part in enumerate(path.steps):
        if part in COUNTS:
            fault = Path(path.steps[:position], "").resolve(result.value, variable)
            return [fault["id"]] if isinstance(fault, dict) and "id" in fault else []
    return []
