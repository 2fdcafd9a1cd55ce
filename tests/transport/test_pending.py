"""Requests that wait: each peer answers at most once, and nobody waits for ever."""

from cluster.transport.pending import Pending


def nobody(peer: str, outcome: object) -> None:
    raise AssertionError


def test_each_peer_answers_once_and_the_last_one_ends_it() -> None:
    pending = Pending(0.02)
    id = pending.add({"n2": 1, "n3": 1}, 5.0, nobody)
    assert pending.answered(id, "n2") is nobody
    assert pending.answered(id, "n2") is None, "repeated"
    assert pending.answered(id, "n9") is None, "uninvited"
    assert len(pending) == 1
    assert pending.answered(id, "n3") is nobody
    assert len(pending) == 0 and pending.answered(id, "n3") is None


def test_expiry_names_only_those_that_did_not_answer() -> None:
    pending = Pending(0.02)
    id = pending.add({"n2": 1, "n3": 1}, 1.0, nobody)
    pending.add({"n4": 1}, 9.0, nobody)
    pending.answered(id, "n2")
    assert list(pending.expired(0.99)) == []
    assert list(pending.expired(1.05)) == [(nobody, ["n3"])]
    assert list(pending.expired(1.05)) == [] and len(pending) == 1


def test_no_deadline_is_met_early() -> None:
    for deadline in (0.999, 1.0, 1.0001, 1.0199):
        pending = Pending(0.02)
        pending.add({"n2": 1}, deadline, nobody)
        now = 0.9
        while not list(pending.expired(now)):
            now += 0.001
        assert deadline <= now <= deadline + 0.03


def test_a_lost_lane_ends_what_waited_on_it_and_nothing_else() -> None:
    pending = Pending(0.02)
    both = pending.add({"n2": 1, "n3": 1}, 5.0, nobody)
    pending.add({"n2": 0}, 5.0, nobody)
    assert pending.lost("n2", 1) == [nobody]
    assert pending.answered(both, "n2") is None and pending.answered(both, "n3") is nobody
    assert len(pending) == 1, "the control lane is another connection"
