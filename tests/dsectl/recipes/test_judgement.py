"""What no step judged: faults and links that met nothing, jobs that saw nothing."""

from typing import Any

import pytest

from dsectl.recipes.judgement import Judgement, looked_at
from dsectl.script.execution import CommandResult
from dsectl.script.grammar import parse
from dsectl.script.interpreter import Outcome
from dsectl.script.values import MISSING
from dsectl.ui.verdicts import PASSED

FAULTS: list[dict[str, Any]] = [
    {"id": "f1", "kind": "kill", "target": "n1", "affected": 0, "links": {}},
    {"id": "f2", "kind": "slow", "target": "n1->n2", "affected": 3, "links": {"n1->n2": 3}},
]


@pytest.mark.parametrize(
    "step,excused",
    [
        ("expect faults .[0].affected == 0", ["f1"]),
        ("within 1s: faults .[1].affected > 0", ["f2"]),
        ("faults .[$i].affected -> $n", ["f1"]),
        ('expect faults .[1].links."n1->n2" > 0', ["f2"]),
        ("expect faults .[0].kind == kill", []),
        ("expect faults .[9].affected == 0", []),
        ("expect hints .pending == 0", []),
        ("faults", []),
        ("sleep 1s", []),
    ],
)
def test_a_look_at_the_counts_of_a_fault_excuses_it(step: str, excused: list[str]) -> None:
    parsed = parse(step)
    assert parsed is not None
    assert looked_at(parsed, CommandResult(0, FAULTS), {"i": 0}.__getitem__) == excused


def test_what_touched_nothing_is_named() -> None:
    judgement = Judgement()
    assert judgement.idle(FAULTS) == ["kill n1 (f1)"]
    judgement.excused.add("f1")
    assert judgement.idle(FAULTS) == []


NO_VARIABLES: dict[str, Any] = {}


def carried_out(line: str, result: Any = MISSING) -> Judgement:
    """What is known after one step, whose words are all plain."""
    step = parse(line)
    assert step is not None
    judgement = Judgement()
    judgement.note(step, Outcome(PASSED, result=CommandResult(0, result)), NO_VARIABLES.__getitem__)
    return judgement


def partition(*groups: list[str], one_way: bool = False, **links: int) -> dict[str, Any]:
    touched = {name.replace("_", "->"): number for name, number in links.items()}
    fault = {"id": "f1", "kind": "partition", "target": "x", "groups": list(groups), "one_way": one_way}
    return {**fault, "affected": sum(touched.values()), "links": touched}


LINKS: list[tuple[str, dict[str, Any], str]] = [
    ("partition n1 n2,n3", partition(["n1"], ["n2", "n3"], n1_n2=4), "n1->n3"),
    ("partition n1 n2,n3", partition(["n1"], ["n2", "n3"], n1_n2=4, n3_n1=1), ""),
    ("partition n1 n2 --one-way", partition(["n1"], ["n2"], one_way=True, n2_n1=1), "n1->n2"),
    ("partition n1 n2 n3 --one-way", partition(["n1"], ["n2"], ["n3"], one_way=True, n1_n2=1), "n1->n3"),
    ("partition n1 rest", partition(["n1"], ["n2", "n3"], n1_n2=4), ""),
    ("partition n1 n2", partition(["n1"], ["n2"]), ""),
    ("slow n1 n2 --loss 1", {**FAULTS[1], "target": "n1 -> n2", "links": {"n1->n3": 3}}, "n1->n2"),
    ("slow n1 n2 --loss 1", {**FAULTS[1], "target": "n1 -> n2"}, ""),
    ("slow n1 n2 --both", {**FAULTS[1], "target": "n1 <-> n2", "both": True}, "n2->n1"),
    ("slow all n2 --loss 1", {**FAULTS[1], "target": "all -> n2", "links": {"n3->n2": 3}}, ""),
]


@pytest.mark.parametrize("line,fault,idle", LINKS)
def test_a_named_link_that_met_nothing_is_warned_of(line: str, fault: dict[str, Any], idle: str) -> None:
    """Whatever else the fault touched. What touched nothing at all is told otherwise."""
    found = carried_out(line, fault).warnings([fault])
    assert [one.rpartition(" on ")[2] for one in found] == ([idle] if idle else [])


def test_a_job_that_saw_nothing_has_tested_nothing_unless_a_step_looked() -> None:
    ended = {
        "empty": CommandResult(0, []),
        "full": CommandResult(0, [1]),
        "failed": CommandResult(5, []),
        "running": None,
    }
    assert Judgement().idle_jobs(ended) == ["empty"]
    assert carried_out("expect empty .length == 0", []).idle_jobs(ended) == []
    assert carried_out("within 1s: empty .length == 0", []).idle_jobs(ended) == []
