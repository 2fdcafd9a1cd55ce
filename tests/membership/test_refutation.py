"""What a node makes of rumors about itself (SWIM section 4.2)."""

import pytest

from cluster.membership.member import ALIVE, DEAD, LEAVING, LEFT, SUSPECT, Incarnation, Member
from cluster.membership.rumors import Answer, answer_to
from cluster.wire.membership import Rumor


def me(state: str = ALIVE) -> Member:
    made = Member("n1", "n1-aaaa", Incarnation(2, 1), "a", ("127.0.0.1", 7001), 0.0)
    made.state = state
    return made


@pytest.mark.parametrize(
    ("state", "epoch", "refutations", "id", "answer"),
    [
        (ALIVE, 2, 1, "", Answer.NOTHING),
        (ALIVE, 2, 1, "n1-aaaa", Answer.NOTHING),
        (ALIVE, 2, 0, "", Answer.REMIND),
        (DEAD, 1, 9, "", Answer.REMIND),
        (DEAD, 1, 9, "n1-other", Answer.REMIND),
        (SUSPECT, 2, 1, "", Answer.REFUTE),
        (SUSPECT, 3, 0, "", Answer.REFUTE),
        (DEAD, 2, 1, "n1-aaaa", Answer.REFUTE),
        (LEFT, 2, 1, "", Answer.REFUTE),
        (LEAVING, 2, 1, "", Answer.REFUTE),
        (ALIVE, 2, 2, "n1-aaaa", Answer.RISE),
        (ALIVE, 3, 0, "", Answer.RISE),
        (ALIVE, 3, 0, "n1-aaaa", Answer.AMNESIA),
        (DEAD, 3, 0, "n1-aaaa", Answer.AMNESIA),
        (ALIVE, 2, 1, "n1-other", Answer.CONTEST),
        (DEAD, 5, 0, "n1-other", Answer.CONTEST),
    ],
)
def test_answers(state: str, epoch: int, refutations: int, id: str, answer: Answer) -> None:
    assert answer_to(Rumor(state, "n1", epoch, refutations, id=id), me()) is answer


def test_one_that_leaves_does_not_contradict_that() -> None:
    assert answer_to(Rumor(LEAVING, "n1", 2, 1), me(LEAVING)) is Answer.NOTHING
    assert answer_to(Rumor(ALIVE, "n1", 2, 1), me(LEAVING)) is Answer.REMIND
    assert answer_to(Rumor(DEAD, "n1", 2, 1), me(LEAVING)) is Answer.REFUTE
