"""Bytes flip in the log of a node that is down, or its directory is emptied: it comes back `recovering`, votes on
nothing that it may have lost, and in the end holds what its co-owners hold. Nobody ever reads a wrong value."""

from random import Random

from cluster.layout import PARTITIONS
from cluster.replication.mergeable import TABLE_KV
from cluster.simulation.fleet import Fleet
from tests.simulation.ledger import Ledger, Session

KEYS = [f"key-{number}" for number in range(30)]


def write_some(fleet: Fleet, ledger: Ledger, random: Random, session: Session, count: int) -> None:
    """Writes, some of them over others, and a few deletes; each is awaited."""
    for _ in range(count):
        key = random.choice(KEYS)
        ledger.write(random.choice(fleet.up), key, session, deletes=random.random() < 0.1)
        fleet.wait(ledger.writes[-1].result)
        ledger.is_busy(session, key)


def read_some(fleet: Fleet, ledger: Ledger, random: Random, count: int) -> None:
    """Reads of every kind, most of them through the node that was down, checked as they end."""
    for _ in range(count):
        via = random.choice([*fleet.up, *[fleet.up[-1]] * 3])
        ledger.read(via, random.choice(KEYS), strict=random.random() < 0.5)
        fleet.world.run_for(random.choice((0.0, 0.01)))
        ledger.look()


def assert_equal(fleet: Fleet) -> None:
    """All owners of a partition hold the same bytes."""
    view = fleet.nodes["n1"].replication.context.view
    for partition in range(PARTITIONS):
        held = {
            name: dict(fleet.nodes[name].store.scan(TABLE_KV, partition, "", 1 << 20)[0])
            for name in view.owners(partition)
        }
        assert len({tuple(sorted(rows.items())) for rows in held.values()}) == 1, (partition, held)


def come_back(fleet: Fleet, ledger: Ledger, random: Random, session: Session, victim: str) -> None:
    """The victim boots, is read and written to while it is completed, and is well again."""
    fleet.start(victim)
    fleet.until(lambda: victim in fleet.nodes)
    # A single partition is complete within milliseconds, so what tells is the event and not the state.
    assert fleet.nodes[victim].events.since(kind="owner.recovering"), "the damage was not noticed"
    read_some(fleet, ledger, random, 40)
    write_some(fleet, ledger, random, session, 5)
    read_some(fleet, ledger, random, 40)
    fleet.until(fleet.settled, timeout=60.0)
    assert not fleet.nodes[victim].store.recovering.keys() & owned_partitions(fleet, victim)
    ledger.check()
    fleet.world.run_for(1.5)
    assert_equal(fleet)


def owned_partitions(fleet: Fleet, name: str) -> dict[int, None]:
    """The partitions that a node owns."""
    return dict.fromkeys(fleet.nodes[name].replication.context.view.my_partitions())


def damaged(seed: int, nodes: int = 3) -> None:
    """With three nodes everyone owns everything, so that no damage misses."""
    with Fleet(seed, nodes) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        random, ledger, session = Random(f"{seed}/damage"), Ledger(fleet), Session()
        write_some(fleet, ledger, random, session, 60)
        victim = fleet.names[-1]
        fleet.crash(victim)
        disk = fleet.world.disk(victim)
        for _ in range(random.choice((1, 1, 2, 5))):
            disk.flip_byte(f"log/{random.choice(disk.names('log'))}")
        write_some(fleet, ledger, random, session, 10)
        come_back(fleet, ledger, random, session, victim)
        fleet.crash(victim)  # the log still holds the damage, and the word that it was made good
        fleet.start(victim)
        fleet.until(fleet.settled, timeout=60.0)
        assert not fleet.nodes[victim].replication.context.status.recovering
        ledger.check()


def test_flipped_bytes_are_noticed_and_made_good(seed: int) -> None:
    damaged(seed)


def test_an_emptied_directory_is_filled_again(seed: int) -> None:
    with Fleet(seed, 5) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        random, ledger, session = Random(f"{seed}/emptied"), Ledger(fleet), Session()
        write_some(fleet, ledger, random, session, 60)
        victim = fleet.names[-1]
        old_id = fleet.nodes[victim].boot.id
        fleet.crash(victim)
        disk = fleet.world.disk(victim)
        for path in [*disk.names(""), *[f"log/{name}" for name in disk.names("log")]]:
            if path != "layout.json":
                disk.remove(path)
        come_back(fleet, ledger, random, session, victim)
        assert fleet.nodes[victim].boot.id != old_id, "who forgot everything is somebody else"


def test_two_owners_with_damage_are_both_made_good(seed: int) -> None:
    """Both are down when bytes flip in both of their logs. The third has all; nobody waits for the other's vote for
    ever."""
    with Fleet.running(seed, 3) as fleet:
        random, ledger, session = Random(f"{seed}/two"), Ledger(fleet), Session()
        write_some(fleet, ledger, random, session, 60)
        fleet.world.run_for(1.5)
        fleet.until(fleet.settled, 60.0)
        victims = random.sample(fleet.names, 2)
        for victim in victims:
            fleet.crash(victim)
            disk = fleet.world.disk(victim)
            logs = [name for name in disk.names("log") if name.endswith(".log") and disk.read(f"log/{name}")]
            disk.flip_byte(f"log/{random.choice(logs)}")
        fleet.start()
        fleet.until(lambda: len(fleet.up) == 3)
        read_some(fleet, ledger, random, 40)
        fleet.until(fleet.settled, timeout=120.0)
        ledger.check()
        assert_equal(fleet)


def test_a_node_that_is_stopped_while_it_boots_goes_on(seed: int) -> None:
    """Before its log is read, behind that, and when it listens and has yet to be heard."""
    with Fleet.running(seed, 3) as fleet:
        ledger, session = Ledger(fleet), Session()
        for after_calls in range(4):
            fleet.crash("n3")
            write_some(fleet, ledger, Random(f"{seed}/{after_calls}"), session, 5)
            fleet.start("n3")
            fleet.world.pause("n3", after_calls=after_calls)
            fleet.world.run_for(3.0)
            fleet.world.resume("n3")
            fleet.until(fleet.settled, 60.0)
        ledger.check()
