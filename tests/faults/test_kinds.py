"""What `KINDS` promises to those who read it: commands, views, nodes and the simulation."""

import msgspec
import pytest

from cluster.errors import Usage
from cluster.faults import KINDS, Fault, Figure
from dsectl.cli.table import COMMANDS
from dsectl.ui.faults import details, fault_json, fault_of, touched, with_receipt

AT = "2025-05-01T12:00:00Z"
COMMON = {"id", "kind", "at", "active", "ended"}

EXAMPLES = {
    "partition": Fault(id="f1", kind="partition", at=AT, groups=[["n1"], ["n2"]], one_way=True),
    "slow": Fault(id="f2", kind="slow", at=AT, source="n1", target="all", delay_ms=50, jitter_ms=5, loss=0.1),
    "kill": Fault(id="f3", kind="kill", at=AT, nodes=["n1", "n2"], returned=["n2"]),
    "pause": Fault(id="f4", kind="pause", at=AT, nodes=["n3"]),
    "disk-slow": Fault(id="f5", kind="disk-slow", at=AT, nodes=["n1"], delay_ms=50),
    "disk-full": Fault(id="f6", kind="disk-full", at=AT, nodes=["n1"]),
    "disk-flip-byte": Fault(
        id="f7", kind="disk-flip-byte", at=AT, active=False, ended=AT, nodes=["n1"], file="log/00000001.log", offset=77
    ),
    "disk-wipe": Fault(id="f8", kind="disk-wipe", at=AT, active=False, ended=AT, nodes=["n1"], files=4),
    "clock": Fault(id="f9", kind="clock", at=AT, nodes=["n1"], skew_ms=-5000),
}


def test_there_is_an_example_of_each() -> None:
    assert list(EXAMPLES) == list(KINDS)


def test_each_field_of_a_fault_belongs_to_a_kind() -> None:
    fields = {field.name for field in msgspec.structs.fields(Fault)} - COMMON
    owned = {name for kind in KINDS.values() for name in kind.fields}
    assert owned <= fields
    assert fields - owned == {"target"}, "in JSON the target is the subject"


@pytest.mark.parametrize("name", KINDS)
def test_a_command_begins_it_and_another_ends_it(name: str) -> None:
    commands = set(COMMANDS)
    assert (KINDS[name].command or name) in commands and KINDS[name].cure in commands


@pytest.mark.parametrize("name", KINDS)
def test_a_fault_acts_on_links_or_on_a_node_or_was_done_at_once(name: str) -> None:
    fault = EXAMPLES[name]
    fault.validate()
    rule, ailment, done = fault.of.rule(fault), fault.of.ailment(fault), fault.of.done(fault)
    assert (rule is not None) is (fault.of.scope == "link")
    assert bool(done) is not fault.active, "what is over at once says what it did"
    assert (fault.of.cure == "heal") is (rule is not None or ailment is not None)
    if rule is not None:
        assert rule.id == fault.id and rule.involves("n1")
    if ailment is not None:
        assert ailment.id == fault.id and (ailment.full or ailment.log_delay_s or ailment.skew_s)


@pytest.mark.parametrize("name", KINDS)
def test_json_says_what_the_kind_says(name: str) -> None:
    fault = EXAMPLES[name]
    shown = fault_json(fault)
    assert list(shown) == [
        "id",
        "kind",
        "target",
        "at",
        "active",
        *fault.details(),
        *(["ended"] if fault.ended else []),
    ]
    again = fault_of(shown)
    assert (again.details(), again.of.figures(again)) == (fault.details(), fault.of.figures(fault))


def test_figures_and_remarks() -> None:
    slow, cut = EXAMPLES["slow"], EXAMPLES["partition"]
    assert slow.of.figures(slow) == [Figure("delay", 0.05, "s", 0.005), Figure("loss", 0.1, "share")]
    assert cut.of.remarks(cut) == ["one way"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="disk-slow", at=AT, nodes=["n1"]),
        Fault(kind="disk-slow", at=AT, nodes=["n1"], delay_ms=-1),
        Fault(kind="disk-slow", at=AT, nodes=["n1"], delay_ms=float("inf")),
        Fault(kind="disk-slow", at=AT, nodes=["n1"], delay_ms=10_001),
        Fault(kind="disk-slow", at=AT, delay_ms=1),
        Fault(kind="disk-full", at=AT),
        Fault(kind="disk-flip-byte", at=AT, nodes=["n1"], file="log/00000001.log"),
        Fault(kind="disk-flip-byte", at=AT, nodes=["n1"], active=False),
        Fault(kind="disk-wipe", at=AT, nodes=["n1", "n2"], active=False),
        Fault(kind="clock", at=AT, nodes=["n1"]),
        Fault(kind="clock", at=AT, nodes=["n1"], skew_ms=float("nan")),
        Fault(kind="clock", at=AT, nodes=["n1"], skew_ms=-1e15),
    ],
)
def test_a_fault_of_a_disk_or_clock_that_cannot_be_is_refused(fault: Fault) -> None:
    with pytest.raises(Usage):
        fault.validate()


def test_what_people_see_of_disks_and_clocks() -> None:
    shown = {
        name: details(fault_json(fault)) for name, fault in EXAMPLES.items() if fault.of.scope in ("disk", "clock")
    }
    assert shown == {
        "disk-slow": "delay 50ms",
        "disk-full": "",
        "disk-flip-byte": "byte 77 of log/00000001.log",
        "disk-wipe": "4 files",
        "clock": "skew -5s",
    }
    wiped = with_receipt(fault_json(EXAMPLES["disk-wipe"]), [])
    assert (wiped["affected"], wiped["links"], touched(wiped)) == (4, {"n1": 4}, "n1: 4 deleted")


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(Usage, match="unknown kind of fault 'earthquake': one of partition, slow, kill, pause"):
        Fault(kind="earthquake", at=AT).validate()
