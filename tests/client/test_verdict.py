"""Green, amber, red, by table."""

import pytest

from cluster.client.verdict import Serves, judge, judge_layout
from cluster.layout import LayoutEntry, LayoutMember

OWNERS = [("a", "b", "c"), ("b", "c", "d"), ("c", "d", "a")]
YES, NO, DOWN = Serves(True), Serves(True, votes=False), Serves(False)
FULL = Serves(True, full=True)


@pytest.mark.parametrize(
    ("nodes", "colour", "fewest", "short"),
    [
        ({"a": YES, "b": YES, "c": YES, "d": YES}, "green", 3, 3),
        ({"a": YES, "b": NO, "c": YES, "d": YES}, "amber", 2, 2),
        ({"a": YES, "c": YES, "d": YES}, "amber", 2, 2),
        ({"a": YES, "b": NO, "c": NO, "d": YES}, "red", 1, 2),
        ({}, "red", 0, 3),
        ({"a": Serves(True, recovering={2}), "b": YES, "c": YES, "d": YES}, "amber", 2, 1),
        (
            {"a": Serves(True, recovering={1}), "b": YES, "c": YES, "d": YES},
            "green",
            3,
            3,
        ),  # it owns no replica of partition 1
        ({"a": Serves(True, recovering={0, 2}), "b": YES, "c": Serves(True, recovering={0}), "d": YES}, "red", 1, 1),
    ],
)
def test_verdicts(nodes: dict[str, Serves], colour: str, fewest: int, short: int) -> None:
    verdict = judge(OWNERS, nodes, 2, 2)
    assert (verdict.colour, verdict.fewest, verdict.short) == (colour, fewest, short)
    assert sum(verdict.by_voters.values()) == len(OWNERS)


@pytest.mark.parametrize(
    ("nodes", "colour"),
    [
        ({"a": FULL, "b": YES, "c": YES, "d": YES}, "amber"),
        ({"a": FULL, "b": FULL, "c": YES, "d": YES}, "amber"),
        ({"a": FULL, "b": FULL, "c": FULL, "d": YES}, "red"),  # W is 2: every write is refused
        ({"a": FULL, "b": DOWN, "c": YES, "d": YES}, "amber"),
        ({"a": FULL, "b": FULL, "c": YES, "d": DOWN}, "red"),
    ],
)
def test_full_disks_are_never_green(nodes: dict[str, Serves], colour: str) -> None:
    verdict = judge(OWNERS, nodes, 2, 2)
    assert verdict.colour == colour
    assert verdict.full == tuple(name for name, node in nodes.items() if node.full)


def test_one_reader_is_enough_for_amber_when_r_is_one() -> None:
    assert judge([("a", "b", "c")], {"a": YES}, 1, 1).colour == "amber"


def entry(members: int) -> LayoutEntry:
    places = tuple(LayoutMember(f"n{number}", "z1", "127.0.0.1", 2000 + number) for number in range(1, members + 1))
    return LayoutEntry(1, "c", places, 3, 2, 2)


def test_a_layout_of_fewer_members_than_replicas_can_be_green() -> None:
    assert judge_layout(entry(1), {"n1": YES}).colour == "green"
    assert judge_layout(entry(1), {}).colour == "red"
    assert judge_layout(entry(2), {"n1": YES, "n2": NO}).colour == "red"


def test_every_partition_is_judged() -> None:
    nodes = {f"n{number}": YES for number in range(1, 6)}
    assert judge_layout(entry(5), nodes).by_voters == {3: 256}
    assert judge_layout(entry(5), nodes | {"n3": NO}).colour == "amber"
    assert judge_layout(entry(5), nodes | {"n3": NO, "n4": NO}).colour == "red"
