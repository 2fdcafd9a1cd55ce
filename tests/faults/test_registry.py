"""What the registry promises to those who read it: commands, views, nodes and the simulation."""

import msgspec
import pytest

from cluster.errors import Usage
from cluster.faults import KINDS, Fault, Figure
from dsectl.cli.table import COMMANDS
from dsectl.ui.faults import fault_json, fault_of

AT = "2025-05-01T12:00:00Z"
COMMON = {"id", "kind", "at", "active", "ended"}

EXAMPLES = {
    "partition": Fault(id="f1", kind="partition", at=AT, groups=[["n1"], ["n2"]], one_way=True),
    "slow": Fault(id="f2", kind="slow", at=AT, source="n1", target="all", delay_ms=50, jitter_ms=5, loss=0.1),
    "kill": Fault(id="f3", kind="kill", at=AT, nodes=["n1", "n2"], returned=["n2"]),
    "pause": Fault(id="f4", kind="pause", at=AT, nodes=["n3"]),
}


def test_there_is_an_example_of_each() -> None:
    assert list(EXAMPLES) == list(KINDS)


def test_each_field_of_a_fault_belongs_to_a_kind() -> None:
    fields = {field.name for field in msgspec.structs.fields(Fault)} - COMMON
    owned = {name for kind in KINDS.values() for name in kind.fields}
    assert owned <= fields
    assert fields - owned == {"target"}, "in JSON the target is the subject"


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_a_command_and_so_is_its_cure(name: str) -> None:
    commands = set(COMMANDS)
    assert name in commands and KINDS[name].cure in commands


@pytest.mark.parametrize("name", KINDS)
def test_a_fault_of_links_has_a_rule_and_one_of_processes_has_none(name: str) -> None:
    fault = EXAMPLES[name]
    fault.validate()
    rule = fault.of.rule(fault)
    assert (rule is not None) is (fault.of.scope == "link") is (fault.of.cure == "heal")
    if rule is not None:
        assert rule.id == fault.id and rule.involves("n1")


@pytest.mark.parametrize("name", KINDS)
def test_json_says_what_the_kind_says(name: str) -> None:
    fault = EXAMPLES[name]
    shown = fault_json(fault)
    assert list(shown) == ["id", "kind", "target", "at", "active", *fault.details()]
    again = fault_of(shown)
    assert (again.details(), again.of.figures(again)) == (fault.details(), fault.of.figures(fault))


def test_figures_and_remarks() -> None:
    slow, cut = EXAMPLES["slow"], EXAMPLES["partition"]
    assert slow.of.figures(slow) == [Figure("delay", 0.05, "s", 0.005), Figure("loss", 0.1, "share")]
    assert cut.of.remarks(cut) == ["one way"]


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(Usage, match="unknown kind of fault 'earthquake': one of partition, slow, kill, pause"):
        Fault(kind="earthquake", at=AT).validate()
