"""Replicas become equal by themselves: what was lost without anybody noticing is there again, and nobody read it."""

from cluster.layout import partition_of
from cluster.replication import throttle
from cluster.replication.mergeable import TABLE_KV
from cluster.simulation.fleet import Fleet
from tests.simulation.safeguards.scenes import acknowledged, boot, crash_and_wait, settle, wipe

KEYS = [f"key-{number}" for number in range(40)]


def equal_everywhere(fleet: Fleet) -> bool:
    """Whether all owners of each key hold the same bytes."""
    return all(len({fleet.stored(name, key) for name in fleet.owners(key)}) == 1 for key in KEYS)


def lose(fleet: Fleet, name: str, key: str) -> None:
    """A row is gone at one owner, and the owner knows nothing of it."""
    node = fleet.nodes[name]
    node.env.clock.call_soon(node.store.put, TABLE_KV, partition_of(key), key, None, None)


def verified(fleet: Fleet) -> bool:
    return all(not node.replication.antientropy.unverified() for node in fleet.nodes.values())


def test_rows_that_are_lost_unnoticed_come_back(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"v")
        fleet.until(lambda: verified(fleet), 60.0)
        for number, key in enumerate(KEYS):
            lose(fleet, fleet.owners(key)[number % 3], key)
        fleet.world.run_for(0.1)
        assert not equal_everywhere(fleet)
        fleet.until(lambda: equal_everywhere(fleet), 60.0)
        fleet.until(lambda: verified(fleet), 60.0)


def test_a_copy_that_a_coordinator_left_behind_reaches_the_others(seed: int) -> None:
    """It logged the write and died before a copy left it; the client never learned what became of it."""
    with Fleet.running(seed, 5) as fleet:
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"v")
        owner = fleet.owners("key-0")[0]
        fleet.crash_inside(owner, "append", 1)
        fleet.put(owner, "key-0", b"late")
        fleet.until(lambda: owner not in fleet.nodes, 10.0)
        boot(fleet, owner)
        settle(fleet)
        fleet.until(lambda: equal_everywhere(fleet), 60.0)


def test_at_rest_nothing_is_sent_for_it(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"v")
        fleet.until(lambda: verified(fleet), 60.0)
        before = [node.replication.antientropy.compared for node in fleet.nodes.values()]
        fleet.world.run_for(30.0)
        assert [node.replication.antientropy.compared for node in fleet.nodes.values()] == before


def test_a_node_in_debt_to_its_throttle_compares_only_what_it_is_asked_to(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        for node in fleet.nodes.values():
            node.replication.context.throttle.take(60 * throttle.RATE_MAX)
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"v")
        comparing = [node.replication.antientropy for node in fleet.nodes.values()]
        fleet.world.run_for(20.0)
        assert [one.compared for one in comparing] == [0, 0, 0]
        comparing[0].hurry()
        fleet.until(lambda: not comparing[0].unverified(), 10.0)
        assert comparing[1].compared == comparing[2].compared == 0
        fleet.until(lambda: verified(fleet), 60.0)


def test_an_owner_that_is_down_is_compared_when_it_returns(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        crash_and_wait(fleet, "n5")
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"v")
        boot(fleet, "n5")
        settle(fleet)
        fleet.until(lambda: verified(fleet) and equal_everywhere(fleet), 60.0)


def test_an_owner_that_is_recovering_is_completed_and_not_compared(seed: int) -> None:
    """Who asks has a vote, and who answers has none: what it lacks is no difference."""
    with Fleet.running(seed, 3) as fleet:
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"v")
        crash_and_wait(fleet, "n3")
        wipe(fleet, "n2")
        comparing = fleet.nodes["n1"].replication.antientropy
        before = comparing.compared
        boot(fleet, "n2")
        fleet.world.run_for(20.0)
        assert fleet.nodes["n2"].replication.lacking() == 256, "with one owner it cannot be completed"
        assert comparing.compared == before and comparing.repaired == 0 and comparing.unverified()
        boot(fleet, "n3")
        settle(fleet)
        fleet.until(lambda: verified(fleet) and equal_everywhere(fleet), 60.0)


def test_what_is_written_while_the_others_answer_is_not_taken_for_compared(seed: int) -> None:
    """They are equal to what was asked about, not to what came since: a copy that only this owner has."""
    with Fleet.running(seed, 5) as fleet:
        for key in KEYS:
            acknowledged(fleet, "n1", key, b"v")
        fleet.until(lambda: verified(fleet), 60.0)
        key = KEYS[0]
        asks = fleet.owners(key)[0]
        for other in fleet.owners(key)[1:]:
            fleet.world.slow(other, asks, delay=0.1, jitter=0.0)
        antientropy = fleet.nodes[asks].replication.antientropy
        antientropy.hurry()
        fleet.until(lambda: partition_of(key) in antientropy._under_way, 10.0)
        lose(fleet, asks, key)
        fleet.until(lambda: fleet.stored(asks, key) is None, 0.1)
        assert partition_of(key) in antientropy._under_way
        fleet.until(lambda: equal_everywhere(fleet), 60.0)
