"""However often nodes end and come back, and however much is deleted: what is left is as small as in a fresh cluster,
but for one clock entry an outage; and nothing is lost."""

from cluster.kv.objects import split
from cluster.kv.operations import TABLE_OPERATIONS
from cluster.replication.mergeable import TABLE_HINTS, TABLE_KV
from cluster.simulation.fleet import Fleet
from cluster.wire.kv import AddItems, Increment, Updated
from tests.simulation.churn import Churn
from tests.simulation.safeguards.scenes import read, settle

RESTARTS = 40
OUTAGES = 4


def test_restarts_and_deletes_leave_nothing(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        churn = Churn(fleet, 30, seed)
        for number in range(RESTARTS):
            churn.restart(fleet.names[number % 5])
        left = churn.left()
        churn.check()
        assert churn.deletes > RESTARTS / 2
        assert left.rows == {TABLE_KV: 3 * len(churn.values), TABLE_HINTS: 0, TABLE_OPERATIONS: 0}
        assert left.siblings <= 1 and left.actors <= 3, "the owners, each in one name"


def test_an_outage_of_all_owners_leaves_one_clock_entry(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        churn = Churn(fleet, 3, seed)
        entries = 3
        for number in range(OUTAGES):
            entries += len(churn.lose_all_owners(churn.keys[0]))
            churn.restart(fleet.names[number])
        left = churn.left()
        churn.check()
        assert left.siblings <= 1 and left.actors <= entries, (
            "one for each fallback that coordinated, not for each write"
        )
        assert left.rows == {TABLE_KV: 3 * len(churn.values), TABLE_HINTS: 0, TABLE_OPERATIONS: 0}


def test_restarts_leave_counters_and_sets_with_an_entry_an_owner(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        counted = doubtful = 0
        for number in range(RESTARTS):
            name = fleet.names[number % 5]
            fleet.crash(name)
            via = fleet.up[number % 4]
            increment = fleet.update(via, "hits", Increment(1))
            fleet.update(via, "tags", AddItems([b"item-%d" % (number % 3)]))
            answer = fleet.wait(increment).answer
            done = isinstance(answer, Updated) and answer.outcome != "maybe"
            counted, doubtful = counted + done, doubtful + (not done)
            fleet.start(name)
            settle(fleet)
        (value,) = read(fleet, "n1", "hits", strict=True, cell=True)
        assert counted <= int(value) <= counted + doubtful and counted > RESTARTS / 2
        assert len(read(fleet, "n1", "tags", strict=True, cell=True)) == 3
        for key in ("hits", "tags"):
            for owner in fleet.owners(key):
                _, cell = split(fleet.stored(owner, key))
                assert cell is not None and len(cell.clock) <= 3 and len(cell.counts) <= 3, cell
