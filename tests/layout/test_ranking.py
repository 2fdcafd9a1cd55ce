"""Weighted rendezvous hashing: proportional to weight, and undisturbed by who else is there."""

from collections import Counter

import pytest

from cluster.layout import PARTITIONS, LayoutMember
from cluster.layout.ranking import rank, scores


def nodes(count: int) -> list[LayoutMember]:
    return [LayoutMember(f"n{number}", "z1", "h", number) for number in range(1, count + 1)]


def test_all_are_ranked_once() -> None:
    rankings = rank(nodes(7))
    assert len(rankings) == PARTITIONS
    assert all(sorted(ranking) == [member.name for member in nodes(7)] for ranking in rankings)


def test_the_order_of_the_members_does_not_matter() -> None:
    assert rank(nodes(9)) == rank(reversed(nodes(9)))


def test_adding_a_node_leaves_the_order_of_the_others() -> None:
    for before, after in zip(rank(nodes(9)), rank(nodes(10)), strict=True):
        assert [name for name in after if name != "n10"] == before


def test_scores_are_finite_and_positive() -> None:
    assert all(0 < score < float("inf") for member in nodes(50) for score in scores(member))


@pytest.mark.parametrize("weight", [2, 3, 5])
def test_the_first_place_is_proportional_to_weight(weight: int) -> None:
    """Over 40 pairs of names, 10240 draws, the heavier node is first in weight / (weight + 1) of the partitions."""
    firsts: Counter[bool] = Counter()
    for pair in range(40):
        light, heavy = LayoutMember(f"a{pair}", "z", "h", 1), LayoutMember(f"b{pair}", "z", "h", 2, weight)
        firsts.update(ranking[0] == heavy.name for ranking in rank([light, heavy]))
    assert firsts[True] / firsts.total() == pytest.approx(weight / (weight + 1), abs=0.02)
