"""Consumers keep their leases as long as the work takes, and lose nothing, whatever becomes of nodes and of them."""

from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest

from cluster.client.aio_queues import Consumer
from cluster.simulation.fleet import Fleet
from cluster.wire.admin import AdminAnswer
from cluster.wire.queues import QueueReceived, QueueSent
from tests.simulation.consumers import Worker
from tests.simulation.nemesis import Nemesis
from tests.simulation.safeguards.scenes import settle

VISIBILITY_S = 1.5


def queue_with(fleet: Fleet, count: int) -> list[bytes]:
    """A queue of so many messages."""
    made = fleet.wait(fleet.create_queue("n1", "jobs", visibility_s=VISIBILITY_S))
    assert isinstance(made.answer, AdminAnswer), made.error
    bodies = [b"%d" % number for number in range(count)]
    for begin in range(0, count, 50):
        sent = fleet.wait(fleet.send("n2", "jobs", bodies[begin : begin + 50])).answer
        assert isinstance(sent, QueueSent) and {outcome for _, outcome, _, _, _ in sent.results} == {"ok"}
    return bodies


def worked(workers: Sequence[Worker]) -> Counter[bytes]:
    return sum((worker.worked for worker in workers), Counter())


def begun(workers: Sequence[Worker]) -> Counter[bytes]:
    return sum((worker.begun for worker in workers), Counter())


def test_work_that_takes_longer_than_a_lease_is_done_once_and_shared(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        bodies = queue_with(fleet, 60)
        workers = [Worker(fleet, name, seed=seed, work_max_s=4 * VISIBILITY_S) for name in ("w1", "w2")]
        fleet.until(lambda: len(worked(workers)) == 60, 120.0)
        assert begun(workers) == Counter(bodies), "each once"
        assert all(worker.most <= 8 and len(worker.worked) >= 10 for worker in workers), "none holds what it cannot do"
        drain(fleet, workers)
        assert empty(fleet)


def test_failed_work_is_done_again_by_somebody(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        queue_with(fleet, 60)
        workers = [Worker(fleet, name, seed=seed, work_max_s=0.2, fails=0.3) for name in ("w1", "w2")]
        fleet.until(lambda: len(worked(workers)) == 60, 120.0)
        assert worked(workers).most_common(1)[0][1] == 1 and begun(workers).total() > 60
        drain(fleet, workers)
        assert empty(fleet)


def test_a_killed_consumer_leaves_its_messages_to_others(seed: int) -> None:
    with Fleet.running(seed, 3) as fleet:
        bodies = queue_with(fleet, 60)
        lost, other = (Worker(fleet, name, seed=seed, work_max_s=1.0) for name in ("w1", "w2"))
        fleet.until(lambda: len(lost.begun) >= 12, 60.0)
        fleet.world.crash("w1")
        fleet.until(lambda: set(worked([lost, other])) == set(bodies), 120.0)
        drain(fleet, [other])
        fleet.world.run_for(3 * VISIBILITY_S)
        assert empty(fleet)


def test_all_is_worked_on_whatever_becomes_of_the_nodes(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        bodies = queue_with(fleet, 150)
        workers = [Worker(fleet, name, seed=seed, work_max_s=VISIBILITY_S, fails=0.1) for name in ("w1", "w2")]
        nemesis = Nemesis(fleet, Random(f"{seed}/consumers"), down_max=1)
        for _ in range(25):
            nemesis.act()
            fleet.world.run_for(Random(f"{seed}/{fleet.world.now}").choice((0.1, 0.5, 1.0)))
        nemesis.end()
        settle(fleet, 60.0)
        fleet.until(lambda: set(worked(workers)) == set(bodies), 120.0)
        drain(fleet, workers)
        fleet.world.run_for(3 * VISIBILITY_S)
        fleet.until(lambda: empty(fleet), 60.0)


def drain(fleet: Fleet, workers: Sequence[Worker]) -> None:
    """Stop them; they finish and acknowledge what they are at."""
    for worker in workers:
        assert worker.consumer is not None
        worker.consumer.stop()
    fleet.until(lambda: all(worker.drained for worker in workers), 60.0)


def empty(fleet: Fleet) -> bool:
    """Whether the queue says so. Nothing is left for anybody."""
    found = fleet.wait(fleet.receive(fleet.up[0], "jobs"), 10.0).answer
    assert isinstance(found, QueueReceived) and not found.messages, "a message that was worked on came again"
    return not found.shards_unreachable


class TestWithout:
    """Each of these rules is needed."""

    def test_extending_leases(self, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
        async def extend(self: Consumer) -> None:
            pass

        monkeypatch.setattr(Consumer, "_extend", extend)
        with pytest.raises(AssertionError, match="each once"):
            test_work_that_takes_longer_than_a_lease_is_done_once_and_shared(seed)
