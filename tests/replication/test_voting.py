"""Who may vote: only who misses nothing."""

from cluster.replication.quorum import CATCHING_UP, MAY_MISS_HINTS, NO_VOTE, VOTING
from cluster.replication.voting import VotingStatus, causes

OTHERS = ["n2", "n3", "n4"]


def attested(status: VotingStatus, *names: str) -> None:
    for name in names:
        status.on_attest(name, status.asked_in, 0)


def test_a_node_without_a_past_votes() -> None:
    status = VotingStatus({})
    assert status.votes(7) and status.vote(7) == VOTING and status.state() == "running"


def test_a_round_ends_when_every_live_member_has_attested() -> None:
    status = VotingStatus({})
    status.begin("booted")
    assert not status.votes(7) and status.vote(7) == CATCHING_UP and status.state() == "catching-up"
    for name in OTHERS:
        assert not status.settle(OTHERS, OTHERS)
        attested(status, name)
    assert status.settle(OTHERS, OTHERS) and status.votes(7) and not status.may_miss_hints
    assert not status.settle(OTHERS, OTHERS), "it ends once"


def test_only_a_member_without_hints_attests() -> None:
    status = VotingStatus({})
    status.begin("booted")
    for name in OTHERS:
        status.on_attest(name, status.asked_in, 3 if name == "n3" else 0)
    assert status.to_ask(OTHERS) == ["n3"] and status.pending == {"n3": 3}
    assert not status.settle(OTHERS, OTHERS)
    attested(status, "n3")
    assert status.settle(OTHERS, OTHERS) and status.pending == {}


def test_an_answer_to_an_earlier_round_attests_nothing() -> None:
    status = VotingStatus({})
    status.begin("booted")
    before = status.asked_in
    status.begin("stalled")
    for name in OTHERS:
        status.on_attest(name, before, 0)
    assert not status.settle(OTHERS, OTHERS)


def test_copies_in_flight_may_become_hints_of_who_has_attested() -> None:
    status = VotingStatus({})
    status.begin("booted")
    before = status.asked_in
    attested(status, "n2", "n3")
    status.on_attest("n4", before, 0, 1)
    assert status.asked_in[0] == before[0], "the round goes on: writes that begin later do not count"
    status.on_attest("n2", before, 0)
    assert status.to_ask(OTHERS) == OTHERS, "all are asked again, and what they said before is out of date"
    attested(status, "n4")
    assert not status.settle(OTHERS, OTHERS)
    attested(status, "n2", "n3")
    assert status.settle(OTHERS, OTHERS)


def test_a_dead_member_may_hold_hints_until_it_returns_and_attests() -> None:
    status = VotingStatus({})
    status.begin("booted")
    attested(status, "n2", "n3")
    assert status.settle(["n2", "n3"], OTHERS)
    assert status.votes(7) and status.vote(7) == MAY_MISS_HINTS and list(status.may_hold_hints) == ["n4"]
    assert status.to_ask(["n2", "n3"]) == [], "nobody is asked in vain"
    assert status.to_ask(OTHERS) == ["n4"], "it has returned"
    status.on_attest("n4", status.asked_in, 5)
    assert status.may_miss_hints and status.to_ask(OTHERS) == ["n4"], "asked again until it has delivered them"
    attested(status, "n4")
    assert status.vote(7) == VOTING and status.to_ask(OTHERS) == []


def test_nobody_waits_for_a_member_that_has_left() -> None:
    status = VotingStatus({})
    status.begin("booted")
    attested(status, "n2", "n3")
    status.settle(["n2", "n3"], OTHERS)
    status.keep(["n1", "n2", "n3"])
    assert not status.may_miss_hints


def test_a_recovering_partition_votes_on_nothing_and_the_others_do() -> None:
    recovering = {7: "a record fails its checksum"}
    status = VotingStatus(recovering)
    assert not status.votes(7) and status.vote(7) == NO_VOTE and not status.complete(7)
    assert status.votes(8) and status.complete(8) and status.state() == "recovering"
    del recovering[7]
    assert status.votes(7) and status.state() == "running"


def test_a_catching_up_owner_is_complete_although_it_has_no_vote() -> None:
    status = VotingStatus({})
    status.begin("booted")
    assert status.complete(7) and not status.votes(7)


def test_many_reasons_are_said_in_one_line() -> None:
    assert causes([]) == ""
    assert causes(["a", "b", "a"]) == "a; b"
    assert causes(["a", "b", "c", "d"]) == "a; b (and 2 more)"
