"""Calls that wait: each peer answers at most once, each on its own connection, and nobody waits for ever."""

from typing import Any

from cluster.rpc.pending import Pending, PendingCall

_ids = iter(range(1, 1000))


def nobody(peer: str, outcome: object) -> None:
    raise AssertionError


def add(pending: Pending, peers: list[str], deadline: float, connection: Any = None) -> int:
    id = next(_ids)
    pending.add(id, PendingCall(dict.fromkeys(peers, connection), deadline, nobody))
    return id


def test_each_peer_answers_once_and_the_last_one_ends_it() -> None:
    pending = Pending(0.02)
    id = add(pending, ["n2", "n3"], 5.0)
    assert pending.answered(id, "n2") is nobody
    assert pending.answered(id, "n2") is None, "repeated"
    assert pending.answered(id, "n9") is None, "uninvited"
    assert len(pending) == 1
    assert pending.answered(id, "n3") is nobody
    assert len(pending) == 0 and pending.answered(id, "n3") is None


def test_expiry_names_only_those_that_did_not_answer() -> None:
    pending = Pending(0.02)
    id = add(pending, ["n2", "n3"], 1.0)
    add(pending, ["n4"], 9.0)
    pending.answered(id, "n2")
    assert list(pending.expired(0.99)) == []
    assert list(pending.expired(1.05)) == [(nobody, ["n3"])]
    assert list(pending.expired(1.05)) == [] and len(pending) == 1


def test_no_deadline_is_met_early() -> None:
    for deadline in (0.999, 1.0, 1.0001, 1.0199):
        pending = Pending(0.02)
        add(pending, ["n2"], deadline)
        now = 0.9
        while not list(pending.expired(now)):
            now += 0.001
        assert deadline <= now <= deadline + 0.03


def test_a_lost_connection_ends_what_was_written_on_it_and_nothing_else() -> None:
    pending = Pending(0.02)
    first, later = object(), object()
    both = add(pending, ["n2", "n3"], 5.0, first)
    other = add(pending, ["n2"], 5.0, later)
    never = add(pending, ["n2"], 5.0)
    lost: Any = first
    assert list(pending.lost("n2", lost)) == [nobody]
    assert pending.answered(both, "n2") is None and pending.answered(both, "n3") is nobody
    assert list(pending.lost("n2", lost)) == []
    assert pending.answered(other, "n2") is nobody, "another connection of the same peer tells nothing about it"
    assert pending.answered(never, "n2") is nobody
