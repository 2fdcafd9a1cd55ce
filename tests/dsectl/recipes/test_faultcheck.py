"""A fault that touched nothing has tested nothing, unless a step looked."""

from typing import Any

import pytest

from dsectl.recipes.faultcheck import ineffective, looked_at
from dsectl.script.execution import Result
from dsectl.script.grammar import parse

FAULTS: list[dict[str, Any]] = [
    {"id": "f1", "kind": "kill", "target": "n1", "affected": 0},
    {"id": "f2", "kind": "slow", "target": "n1->n2", "affected": 3},
]


@pytest.mark.parametrize(
    "step,excused",
    [
        ("expect faults .[0].affected == 0", ["f1"]),
        ("within 1s: faults .[1].affected > 0", ["f2"]),
        ("faults .[$i].affected -> $n", ["f1"]),
        ("expect faults .[0].kind == kill", []),
        ("expect faults .[9].affected == 0", []),
        ("expect hints .pending == 0", []),
        ("faults", []),
        ("sleep 1s", []),
    ],
)
def test_a_look_at_affected_excuses_that_fault(step: str, excused: list[str]) -> None:
    parsed = parse(step)
    assert parsed is not None
    assert looked_at(parsed, Result(0, FAULTS), {"i": 0}.__getitem__) == excused


def test_what_touched_nothing_is_named() -> None:
    assert ineffective(FAULTS, set()) == ["kill n1 (f1)"]
    assert ineffective(FAULTS, {"f1"}) == []
    assert ineffective(None, set()) == []
