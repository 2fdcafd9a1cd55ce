"""Who lacks what of whom, by what the nodes answered."""

from cluster.emulator.known import Held, Knowledge


def held(epoch: int, **versions: int) -> Held:
    return [epoch, versions]


def known(started: list[str], others: list[str]) -> Knowledge:
    """All have answered, and hold everything: `n1` and so on are in their third boot."""
    knowledge = Knowledge(started, others)
    for name in knowledge.wanted:
        knowledge.answered(name, {other: held(3, services=1) for other in knowledge.wanted})
    assert knowledge.behind() == []
    return knowledge


def test_only_pairs_with_a_started_node_matter() -> None:
    knowledge = Knowledge(["n2"], ["n1", "n2", "n3"])
    assert knowledge.wanted == {"n2": ["n2", "n1", "n3"], "n1": ["n2"], "n3": ["n2"]}


def test_those_that_are_apart_need_not_know_each_other() -> None:
    knowledge = Knowledge(["n2"], ["n1", "n2", "n3"], lambda one, other: {one, other} == {"n2", "n3"})
    assert knowledge.wanted == {"n2": ["n2", "n1"], "n1": ["n2"], "n3": []}


def test_who_has_not_answered_is_behind() -> None:
    knowledge = Knowledge(["n2"], ["n1"])
    assert knowledge.behind() == [("n2", "n2"), ("n2", "n1"), ("n1", "n2")]
    assert knowledge.question("n2") == {"n2": None, "n1": None}


def test_an_earlier_boot_is_not_enough() -> None:
    knowledge = known(["n2"], ["n1", "n3"])
    knowledge.answered("n3", {"n2": held(2, services=7)})
    assert knowledge.behind() == [("n3", "n2")]


def test_an_earlier_version_is_not_enough() -> None:
    knowledge = known(["n2"], ["n1", "n3"])
    knowledge.answered("n1", {"n1": held(3, services=1, topics=2), "n2": held(3, services=1)})
    assert knowledge.behind() == [("n2", "n1")], "n2 must hold the topics that n1 announced meanwhile"
    assert knowledge.question("n2")["n1"] == held(3, services=1, topics=2)
    assert knowledge.late() == ["n2"]


def test_a_later_boot_is_more_than_enough() -> None:
    knowledge = known(["n2"], ["n1"])
    knowledge.answered("n1", {"n1": held(3, services=1), "n2": held(4)})
    assert knowledge.behind() == []
