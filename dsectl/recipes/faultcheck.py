"""Whether the faults of a case touched anything: a test whose fault met nothing has tested nothing.

A step that looked at the `affected` of a fault has judged it itself, whatever it saw.
"""

from collections.abc import Callable
from typing import Any

from dsectl.script.execution import Result
from dsectl.script.grammar import Expect, Poll, Run, Step
from dsectl.script.values import MISSING, Name, Path

AFFECTED = "affected"


def looked_at(step: Step, result: Result | None, variable: Callable[[str], Any]) -> list[str]:
    """The ids of the faults whose `affected` a step looked at."""
    path, command = _path(step)
    if path is None or result is None or command != "faults":
        return []
    for position, part in enumerate(path.steps):
        if isinstance(part, Name) and part.name == AFFECTED:
            fault = Path(path.steps[:position], "").resolve(result.value, variable)
            return [fault["id"]] if isinstance(fault, dict) and "id" in fault else []
    return []


def _path(step: Step) -> tuple[Path | None, str | None]:
    if isinstance(step, Expect | Poll):
        return step.test.path, step.source.name
    if isinstance(step, Run):
        return step.path, step.command.name
    return None, None


def ineffective(faults: Any, excused: set[str]) -> list[str]:
    """Those that touched nothing, in words."""
    if faults is MISSING or not isinstance(faults, list):
        return []
    return [
        f"{fault['kind']} {fault['target']} ({fault['id']})"
        for fault in faults
        if fault["id"] not in excused and not fault.get(AFFECTED)
    ]
