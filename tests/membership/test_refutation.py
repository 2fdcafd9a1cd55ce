"""What a node makes of rumors about itself (SWIM section 4.2)."""

import pytest

from cluster.membership.member import ALIVE, DEAD, LEAVING, LEFT, SUSPECT, Incarnation, Member
from cluster.membership.rumors import SelfRumorAction, answer_to
from cluster.wire.membership import Rumor


def me(state: str = ALIVE) -> Member:
    made = Member("n1", "n1-aaaa", Incarnation(2, 1), "a", ("127.0.0.1", 7001), 0.0)
    made.state = state
    return made


@pytest.mark.parametrize(
    ("state", "epoch", "refutations", "id", "answer"),
    [
        (ALIVE, 2, 1, "", SelfRumorAction.NOTHING),
        (ALIVE, 2, 1, "n1-aaaa", SelfRumorAction.NOTHING),
        (ALIVE, 2, 0, "", SelfRumorAction.REMIND),
        (DEAD, 1, 9, "", SelfRumorAction.REMIND),
        (DEAD, 1, 9, "n1-other", SelfRumorAction.REMIND),
        (SUSPECT, 2, 1, "", SelfRumorAction.REFUTE),
        (SUSPECT, 3, 0, "", SelfRumorAction.REFUTE),
        (DEAD, 2, 1, "n1-aaaa", SelfRumorAction.REFUTE),
        (LEFT, 2, 1, "", SelfRumorAction.REFUTE),
        (LEAVING, 2, 1, "", SelfRumorAction.REFUTE),
        (ALIVE, 2, 2, "n1-aaaa", SelfRumorAction.RISE),
        (ALIVE, 3, 0, "", SelfRumorAction.RISE),
        (ALIVE, 3, 0, "n1-aaaa", SelfRumorAction.AMNESIA),
        (DEAD, 3, 0, "n1-aaaa", SelfRumorAction.AMNESIA),
        (ALIVE, 2, 1, "n1-other", SelfRumorAction.CONTEST),
        (DEAD, 5, 0, "n1-other", SelfRumorAction.CONTEST),
    ],
)
def test_answers(state: str, epoch: int, refutations: int, id: str, answer: SelfRumorAction) -> None:
    assert answer_to(Rumor(state, "n1", epoch, refutations, id=id), me()) is answer


def test_one_that_leaves_does_not_contradict_that() -> None:
    assert answer_to(Rumor(LEAVING, "n1", 2, 1), me(LEAVING)) is SelfRumorAction.NOTHING
    assert answer_to(Rumor(ALIVE, "n1", 2, 1), me(LEAVING)) is SelfRumorAction.REMIND
    assert answer_to(Rumor(DEAD, "n1", 2, 1), me(LEAVING)) is SelfRumorAction.REFUTE
