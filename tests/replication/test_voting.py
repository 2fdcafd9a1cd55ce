"""When a node's absence is a vote."""

from cluster.replication.voting import VotingStatus

MEMBERS = ["n2", "n3", "n4"]


def test_a_new_node_votes() -> None:
    status = VotingStatus()
    assert status.votes(7) and status.state() == "running"


def test_catching_up_ends_when_every_live_member_attests() -> None:
    status = VotingStatus()
    round = status.begin("booted")
    assert not status.votes(7) and status.state() == "catching-up"
    for name in MEMBERS:
        assert not status.settle(MEMBERS, MEMBERS)
        status.on_attest(name, round, 0)
    assert status.settle(MEMBERS, MEMBERS) and status.votes(7) and not status.may_miss_hints


def test_hints_that_are_still_held_do_not_attest() -> None:
    status = VotingStatus()
    round = status.begin("booted")
    for name in MEMBERS:
        status.on_attest(name, round, 3 if name == "n3" else 0)
    assert status.missing(MEMBERS) == ["n3"] and not status.settle(MEMBERS, MEMBERS)


def test_an_attest_of_an_earlier_round_proves_nothing() -> None:
    status = VotingStatus()
    before = status.begin("booted")
    status.begin("stalled")
    for name in MEMBERS:
        status.on_attest(name, before, 0)
    assert not status.settle(MEMBERS, MEMBERS)


def test_the_dead_do_not_block_but_are_remembered_until_they_attest() -> None:
    status = VotingStatus()
    round = status.begin("booted")
    for name in ("n2", "n3"):
        status.on_attest(name, round, 0)
    assert status.settle(["n2", "n3"], MEMBERS)
    assert status.votes(7) and status.may_miss_hints and list(status.may_hold_hints) == ["n4"]
    status.on_attest("n4", round, 5)
    assert status.may_miss_hints
    status.on_attest("n4", round, 0)
    assert not status.may_miss_hints


def test_a_recovering_partition_votes_on_nothing_and_the_others_do() -> None:
    status = VotingStatus()
    status.recovering[7] = "a record fails its checksum"
    assert not status.votes(7) and status.votes(8) and status.state() == "recovering"
