"""The document of faults: numbering, ending, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import Damaged, NotFound, Usage
from cluster.faults import (
    Fault,
    FaultDocument,
    add_fault,
    decode_faults,
    encode_faults,
    heal,
    mark_left,
    mark_returned,
    reset,
)
from cluster.faults.document import ENDED_MAX

AT = "2025-05-01T12:00:00Z"
LATER = "2025-05-01T12:01:00Z"


def partition(*groups: list[str], one_way: bool = False) -> Fault:
    return Fault(kind="partition", at=AT, groups=list(groups), one_way=one_way)


def document(*faults: Fault) -> FaultDocument:
    made = FaultDocument()
    for fault in faults:
        made = add_fault(made, fault)
    return made


CUT = partition(["n1"], ["n2", "n3"])
KILL = Fault(kind="kill", at=AT, nodes=["n2", "n3"])
PAUSE = Fault(kind="pause", at=AT, nodes=["n1"])
SLOW = Fault(kind="slow", at=AT, source="n1", target="all", delay_ms=50, loss=0.1)


def test_ids_follow_each_other_and_are_never_given_twice() -> None:
    made = document(CUT, KILL)
    assert [fault.id for fault in made.faults] == ["f1", "f2"]
    assert made.generation == 2
    fresh = add_fault(reset(made), CUT)
    assert [fault.id for fault in fresh.faults] == ["f3"]
    assert fresh.generation == 4


@pytest.mark.parametrize(
    ("fault", "members", "active"),
    [
        (KILL, ["n1", "n2"], True),
        (KILL, ["n1"], False),
        (Fault(kind="kill", at=AT, nodes=["n2", "n3"], returned=["n2"]), ["n1", "n2"], False),
        (CUT, ["n1", "n3"], True),
        (CUT, ["n2", "n3"], False),
        (SLOW, ["n1", "n2"], True),
        (SLOW, ["n2"], False),
        (Fault(kind="disk-full", at=AT, nodes=["n4"]), ["n1"], False),
        (Fault(kind="clock", at=AT, nodes=["n1"], skew_ms=5.0), ["n1"], True),
    ],
)
def test_what_no_member_meets_any_more_ends(fault: Fault, members: list[str], active: bool) -> None:
    left = mark_left(document(fault), members, LATER)
    assert [(one.active, one.ended) for one in left.faults] == [(active, None if active else LATER)]
    assert mark_left(left, members, LATER) is left


def test_a_fault_of_a_worker_ends_with_the_worker() -> None:
    made = document(Fault(kind="pause", at=AT, nodes=["n2/1", "n2/2"]))
    assert mark_left(made, ["n1", "n2", "n2/2"], LATER) is made
    assert not mark_left(made, ["n1", "n2"], LATER).faults[0].active


def test_heal_ends_links_and_restarts_nothing() -> None:
    healed = heal(document(CUT, KILL, SLOW), None, LATER)
    assert [(fault.id, fault.active, fault.ended) for fault in healed.faults] == [
        ("f1", False, LATER),
        ("f2", True, None),
        ("f3", False, LATER),
    ]
    assert heal(healed, None, LATER) is healed


def test_heal_of_one_fault_leaves_the_others() -> None:
    healed = heal(document(CUT, SLOW), ["f2"], LATER)
    assert [fault.active for fault in healed.faults] == [True, False]


def test_heal_of_nothing_in_particular_heals_nothing() -> None:
    made = document(CUT)
    assert heal(made, [], LATER) is made


def test_heal_refuses_what_it_cannot_do() -> None:
    with pytest.raises(NotFound, match="f9"):
        heal(document(CUT), ["f9"], LATER)
    with pytest.raises(Usage) as refused:
        heal(document(CUT, KILL), ["f2"], LATER)
    assert "restart n2 n3" in refused.value.help
    with pytest.raises(Usage) as refused:
        heal(document(PAUSE), ["f1"], LATER)
    assert "resume n1" in refused.value.help


def test_a_kill_ends_when_the_last_of_its_nodes_is_back() -> None:
    made = document(KILL, PAUSE)
    one = mark_returned(made, ["n2"], LATER)
    assert one.faults[0].active and one.faults[0].returned == ["n2"]
    assert one.generation == made.generation + 1
    both = mark_returned(one, ["n3"], LATER)
    assert (both.faults[0].active, both.faults[0].ended) == (False, LATER)
    assert both.faults[1].active
    assert mark_returned(both, ["n2", "n3"], LATER) is both


def test_the_file_stays_bounded_and_keeps_what_is_active() -> None:
    made = document(CUT)
    for _ in range(ENDED_MAX + 5):
        made = heal(add_fault(made, SLOW), [f"f{made.last + 1}"], LATER)
    assert len(made.faults) == ENDED_MAX + 1
    assert made.faults[0].active
    assert made.faults[1].id == "f7"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (partition(["n1"]), "two groups"),
        (partition(["n1"], []), "two groups"),
        (partition(["n1"], ["n2", "n1"]), "twice"),
        (Fault(kind="slow", at=AT, source="n1", delay_ms=1), "two ends"),
        (Fault(kind="slow", at=AT, source="n1", target="n1", delay_ms=1), "itself"),
        (Fault(kind="slow", at=AT, source="n1", target="n2"), "at least one"),
        (Fault(kind="slow", at=AT, source="n1", target="n2", loss=1.5), "probability"),
        (Fault(kind="slow", at=AT, source="n1", target="n2", delay_ms=-1), "delay"),
        (Fault(kind="slow", at=AT, source="n1", target="n2", delay_ms=float("inf")), "delay"),
        (Fault(kind="slow", at=AT, source="n1", target="n2", delay_ms=float("nan")), "delay"),
        (Fault(kind="kill", at=AT), "at least one node"),
    ],
)
def test_impossible_faults_are_refused(fault: Fault, words: str) -> None:
    with pytest.raises(Usage, match=words):
        add_fault(FaultDocument(), fault)


@pytest.mark.parametrize(
    ("fault", "subject"),
    [
        (CUT, "n1 | n2,n3"),
        (partition(["n1"], ["n2"], one_way=True), "n1 -> n2"),
        (SLOW, "n1 -> all"),
        (KILL, "n2,n3"),
    ],
)
def test_subjects_read_well(fault: Fault, subject: str) -> None:
    assert fault.subject == subject


def test_a_document_survives_the_file() -> None:
    made = mark_returned(heal(document(CUT, SLOW, KILL, PAUSE), ["f2"], LATER), ["n3"], LATER)
    assert decode_faults(encode_faults(made)) == made
    assert decode_faults(encode_faults(FaultDocument())) == FaultDocument()


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"[]",
        b'{"generation": 1, "faults": [{"id": "f1"}]}',
        b'{"generation": -1}',
        b'{"generation": 1, "faults": [{"kind": "earthquake", "at": "x"}]}',
        b'{"generation": 1, "faults": [{"kind": "kill", "at": "x"}]}',
        b"\xff\xfe",
    ],
)
def test_garbage_is_damage(blob: bytes) -> None:
    with pytest.raises(Damaged):
        decode_faults(blob)


@given(st.binary(max_size=64), st.integers(0, 300), st.integers(0, 300))
def test_any_damage_is_damage(noise: bytes, start: int, length: int) -> None:
    blob = encode_faults(document(CUT, KILL))
    broken = blob[:start] + noise + blob[start + length :]
    try:
        decode_faults(broken)
    except Damaged:
        pass
