"""When a node's absence is a vote."""

from cluster.replication.standing import Standing

MEMBERS = ["n2", "n3", "n4"]


def test_a_new_node_votes() -> None:
    standing = Standing()
    assert standing.votes(7) and standing.state() == "running"


def test_catching_up_ends_when_every_live_member_attests() -> None:
    standing = Standing()
    round = standing.begin("booted")
    assert not standing.votes(7) and standing.state() == "catching-up"
    for name in MEMBERS:
        assert not standing.settle(MEMBERS, MEMBERS)
        standing.on_attest(name, round, 0)
    assert standing.settle(MEMBERS, MEMBERS) and standing.votes(7) and not standing.owed


def test_hints_that_are_still_held_do_not_attest() -> None:
    standing = Standing()
    round = standing.begin("booted")
    for name in MEMBERS:
        standing.on_attest(name, round, 3 if name == "n3" else 0)
    assert standing.missing(MEMBERS) == ["n3"] and not standing.settle(MEMBERS, MEMBERS)


def test_an_attest_of_an_earlier_round_proves_nothing() -> None:
    standing = Standing()
    before = standing.begin("booted")
    standing.begin("stalled")
    for name in MEMBERS:
        standing.on_attest(name, before, 0)
    assert not standing.settle(MEMBERS, MEMBERS)


def test_the_dead_do_not_block_but_are_remembered_until_they_attest() -> None:
    standing = Standing()
    round = standing.begin("booted")
    for name in ("n2", "n3"):
        standing.on_attest(name, round, 0)
    assert standing.settle(["n2", "n3"], MEMBERS)
    assert standing.votes(7) and standing.owed and list(standing.owed_by) == ["n4"]
    standing.on_attest("n4", round, 5)
    assert standing.owed
    standing.on_attest("n4", round, 0)
    assert not standing.owed


def test_a_recovering_partition_votes_on_nothing_and_the_others_do() -> None:
    standing = Standing()
    standing.recovering[7] = "a record fails its checksum"
    assert not standing.votes(7) and standing.votes(8) and standing.state() == "recovering"
