"""What `add` and `leave` go by while they wait."""

from cluster.emulator.growth import newest
from cluster.errors import Unreachable


def test_of_one_slot_the_state_told_last_counts() -> None:
    before = {"slot": 4, "moving": True, "lacking": {"n6": 128}}
    now = {"slot": 4, "moving": True, "lacking": {"n6": 12}}
    assert newest(before, [Unreachable("n1 does not answer"), now]) == now


def test_a_node_that_is_behind_takes_nothing_back() -> None:
    before = {"slot": 5, "moving": False}
    assert newest(before, [{"slot": 4, "moving": True}]) == before
    assert newest(before, [{"slot": 4, "moving": True}, {"slot": 6, "moving": False}])["slot"] == 6


def test_without_an_answer_what_was_known_stays() -> None:
    before = {"slot": 5, "moving": True}
    assert newest(before, [Unreachable("n1 does not answer")]) == before
