"""The cut up to which tombstones may go: made only when nothing is missing, and it covers nothing that came later."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from cluster.layout import PARTITIONS, partition_of
from cluster.replication.collection import (
    Attestation,
    Cut,
    StableClocks,
    covered,
    decode_stable,
    encode_stable,
    join_stable,
    stable_row,
)
from cluster.wire.replication import Surveyed

MEMBERS = ("n1", "n2", "n3", "n4")
OWNERS = {7: ("n1", "n2", "n3"), 9: ("n2", "n3", "n4")}

WELL = Attestation(
    hints=0,
    write_under_way=False,
    old_read_under_way=False,
    owner=True,
    votes=True,
    rested_s=2.0,
)


@pytest.mark.parametrize(
    ("evidence", "obstacle"),
    [
        (WELL, ""),
        (replace(WELL, owner=False, votes=False, rested_s=0.0), ""),  # a fallback has no vote to miss
        (replace(WELL, hints=1), "hints wait"),
        (replace(WELL, owner=False, hints=1), "hints wait"),
        (replace(WELL, write_under_way=True), "a write is under way"),
        (replace(WELL, old_read_under_way=True), "a read is under way"),
        (replace(WELL, votes=False), "it may miss something"),
        (replace(WELL, rested_s=1.99), "it was written lately"),
    ],
)
def test_a_node_attests_only_what_is_settled(evidence: Attestation, obstacle: str) -> None:
    assert evidence.obstacle(2.0).startswith(obstacle) and bool(evidence.obstacle(2.0)) == bool(obstacle)


Answer = Callable[[Cut, str], Surveyed | None]


def well(cut: Cut, name: str) -> Surveyed:
    """What a node says of which nothing is wrong."""
    roots = {one: b"root" for one in cut.left if name in OWNERS[one]} if cut.asks_roots else {}
    return Surveyed(f"{name}-1", f"id-{name}", 100 + cut.look, {}, roots)


def made(answer: Answer = well) -> Cut:
    """A cut, driven to its end."""
    cut = Cut(MEMBERS, OWNERS)
    while True:
        names = cut.to_ask()
        overs = [cut.on_answer(name, answer(cut, name)) for name in names]
        assert overs == [False] * (len(names) - 1) + [True]
        if not cut.next():
            return cut


def test_all_are_asked_twice_and_then_the_owners() -> None:
    asked: list[tuple[int, str]] = []

    def noted(cut: Cut, name: str) -> Surveyed:
        asked.append((cut.look, name))
        return well(cut, name)

    cut = made(noted)
    assert list(cut.left) == [7, 9] and not cut.refused
    assert asked == [(look, name) for look in (1, 2, 3) for name in MEMBERS]
    assert cut.given == {f"id-{name}": 101 for name in MEMBERS}, "as they were asked first"


def fails(look: int, name: str, how: Callable[[Surveyed], Surveyed | None]) -> Answer:
    """One node says something else in one look."""
    return lambda cut, asked: how(well(cut, asked)) if (cut.look, asked) == (look, name) else well(cut, asked)


def changed(**fields: object) -> Callable[[Surveyed], Surveyed]:
    def change(answer: Surveyed) -> Surveyed:
        return Surveyed(**{**{name: getattr(answer, name) for name in answer.__struct_fields__}, **fields})

    return change


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        (fails(1, "n4", lambda answer: None), []),
        (fails(2, "n4", lambda answer: None), []),
        (fails(3, "n4", lambda answer: None), []),
        (fails(2, "n1", changed(boot="n1-2")), []),
        (fails(3, "n2", changed(boot="n2-2")), []),
        (fails(1, "n4", changed(unsettled={7: "a hint"})), [9]),
        (fails(2, "n4", changed(unsettled={7: "a hint"})), [9]),
        (fails(3, "n1", changed(unsettled={7: "written"})), [9]),
        (fails(3, "n2", changed(roots={7: b"other", 9: b"root"})), [9]),
        (fails(3, "n3", changed(roots={7: b"root"})), [7]),
    ],
)
def test_whatever_is_missing_is_in_no_cut(answer: Answer, left: list[int]) -> None:
    cut = made(answer)
    assert list(cut.left) == left and set(cut.refused) == {7, 9} - set(left)


def test_an_answer_counts_once_and_only_when_it_is_waited_for() -> None:
    cut = Cut(MEMBERS, OWNERS)
    assert not cut.on_answer("n1", None) and not cut.left
    assert not cut.on_answer("n1", well(cut, "n1")) and not cut.on_answer("n9", well(cut, "n9"))
    assert cut.refused == {7: "n1 does not answer", 9: "n1 does not answer"}


def test_what_came_after_the_first_look_is_not_covered() -> None:
    cut = made()
    assert cut.covers({"id-n1": 101, "id-n2": 7})
    assert not cut.covers({"id-n1": 102}), "it may have been written since"
    assert cut.covers({"id-of-a-directory-that-is-gone": 10**9}), "nobody gives numbers in its name"


def test_stable_clocks_join() -> None:
    objects = StableClocks()
    one, other = encode_stable({"a": 3, "b": 1}), encode_stable({"b": 2, "c": 4})
    joined = objects.merge(one, other)
    assert joined == objects.merge(other, one) == encode_stable({"a": 3, "b": 2, "c": 4})
    assert objects.merge(joined, other) is joined
    assert covered({"a": 3}, decode_stable(joined)) and not covered({"a": 4}, decode_stable(joined))
    assert join_stable({}, {"a": 1}) == {"a": 1}


def test_the_row_of_a_stable_clock_belongs_to_its_partition() -> None:
    assert [partition_of(stable_row(partition)) for partition in range(PARTITIONS)] == list(range(PARTITIONS))
