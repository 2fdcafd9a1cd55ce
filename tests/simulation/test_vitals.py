"""What nodes count for whoever watches: each write and read once, where it was coordinated, with its duration."""

from typing import Any

from cluster.client.vitals import Vitals, quantile_s, read_vitals
from cluster.node.vitals import vitals
from cluster.simulation.fleet import Fleet


def told(fleet: Fleet, name: str, **arguments: Any) -> Vitals:
    answer = read_vitals(vitals(fleet.nodes[name], arguments))
    assert isinstance(answer, Vitals)
    return answer


def test_each_operation_is_counted_once_wherever_it_came_in() -> None:
    with Fleet(1, 4) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        for number in range(20):
            fleet.wait(fleet.put("n1", f"k{number}", b"x"))
            fleet.wait(fleet.get("n2", f"k{number}"))
        said = [told(fleet, name) for name in fleet.up]
        for kind in ("writes", "reads"):
            assert sum(sum(one.counted(kind).values()) for one in said) == 20
            assert any((quantile_s(one.counted(kind), 0.5) or 1) < 0.1 for one in said)
        assert all(one.sees == dict.fromkeys(fleet.up, "alive") for one in said)
        assert all(one.totals["writes_failed"] == one.totals["reads_failed"] == 0 for one in said)


def test_events_are_told_once_and_anew_after_a_boot() -> None:
    with Fleet(2, 3) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        first = told(fleet, "n1")
        assert len(first.events) == first.event_count > 0
        again = told(fleet, "n1", epoch=first.epoch, seen=first.event_count)
        assert again.events == [] and again.event_count == first.event_count
        assert len(told(fleet, "n1", epoch=first.epoch, seen=first.event_count - 1).events) == 1
        assert len(told(fleet, "n1", limit=2).events) == 2
        fleet.crash("n1")
        fleet.start("n1")
        fleet.until(fleet.converged)
        after = told(fleet, "n1", epoch=first.epoch, seen=first.event_count)
        assert after.epoch == first.epoch + 1 and len(after.events) == after.event_count


def test_a_write_that_nobody_takes_is_a_failure_and_its_hints_are_told() -> None:
    with Fleet(3, 3) as fleet:
        fleet.start()
        fleet.until(fleet.converged)
        fleet.crash("n3")
        fleet.wait(fleet.put("n1", "k", b"x"))
        fleet.until(lambda: any(told(fleet, name).hints.get("n3") for name in fleet.up))
        fleet.crash("n2")
        fleet.until(lambda: told(fleet, "n1").sees["n2"] == "dead")
        fleet.wait(fleet.put("n1", "k", b"y"))
        assert told(fleet, "n1").totals["writes_failed"] == 1
