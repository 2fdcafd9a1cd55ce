"""Queues are created, bound and deleted once, everywhere, whatever crashes or is cut off meanwhile."""

from typing import Any

from cluster.errors import ClusterError, NotFound, QuorumMissing, Usage
from cluster.simulation.fleet import Fleet
from cluster.wire.admin import AdminAnswer
from tests.simulation.safeguards.scenes import boot, crash_and_wait


def asked(fleet: Fleet, via: str, what: str, **arguments: Any) -> Any:
    result = fleet.wait(fleet.ask(via, what, arguments, 5.0), 10.0)
    assert isinstance(result.answer, AdminAnswer), result.error
    return result.answer.value


def refused(fleet: Fleet, via: str, what: str, **arguments: Any) -> ClusterError:
    result = fleet.wait(fleet.ask(via, what, arguments, 5.0), 10.0)
    assert result.error is not None, result.answer
    return result.error


def names(fleet: Fleet) -> set[tuple[str, ...]]:
    return {tuple(node.layouts.chain.entry.queues) for node in fleet.nodes.values()}


def test_it_is_everywhere_when_its_creation_returns_and_after_a_restart(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        made = asked(fleet, "n2", "create-queue", name="jobs", shards=4, visibility_s=2.5)
        assert (made["name"], made["id"], made["shards"], made["visibility_s"]) == ("jobs", 2, 4, 2.5)
        assert (made["dead_letter"], made["max_depth"], made["patterns"], made["late"]) == (None, None, [], [])
        for name in fleet.names:
            [found] = asked(fleet, name, "queues")["queues"]
            assert found == {field: value for field, value in made.items() if field not in ("slot", "late")}
        fleet.crash("n3")
        boot(fleet, "n3")
        assert asked(fleet, "n3", "queues", name="jobs")["queues"][0]["shards"] == 4, "and before anybody is asked"
        assert isinstance(refused(fleet, "n3", "queues", name="other"), NotFound)


def test_a_binding_is_everywhere_when_it_returns(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        asked(fleet, "n1", "create-queue", name="jobs")
        for name in ("n2", "n3", "n4"):
            fleet.fault("slow", source=name, target="n5", delay_ms=300.0)
        assert asked(fleet, "n2", "bind-queue", name="jobs", pattern="orders.>")["late"] == []
        for node in fleet.nodes.values():
            assert node.layouts.chain.entry.queues["jobs"].patterns == ("orders.>",)
        assert isinstance(refused(fleet, "n1", "bind-queue", name="jobs", pattern="a..b"), Usage)
        assert asked(fleet, "n5", "unbind-queue", name="jobs", pattern="orders.>")["patterns"] == []
        assert isinstance(refused(fleet, "n1", "unbind-queue", name="jobs", pattern="orders.>"), NotFound)


def test_asked_for_again_elsewhere_it_is_done_once(seed: int) -> None:
    """A client that got no answer asks another node; meanwhile the name may have been deleted, and created anew."""
    with Fleet.running(seed, 5) as fleet:
        first = asked(fleet, "n1", "create-queue", name="jobs", id="once")
        assert asked(fleet, "n4", "create-queue", name="jobs", id="once")["slot"] == first["slot"]
        asked(fleet, "n1", "delete-queue", name="jobs", id="ended")
        again = asked(fleet, "n2", "create-queue", name="jobs", id="anew")
        assert again["id"] == 4 != first["id"]
        assert asked(fleet, "n3", "delete-queue", name="jobs", id="ended")["name"] == "jobs"
        assert names(fleet) == {("jobs",)}, "the second one stays"


def test_a_minority_defines_nothing_and_who_was_away_takes_it_over(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        fleet.fault("partition", groups=[["n1", "n2"], ["n3", "n4", "n5"]])
        fleet.until(lambda: fleet.nodes["n1"].membership.alive() == ["n1", "n2"])
        assert isinstance(refused(fleet, "n1", "create-queue", name="jobs"), QuorumMissing)
        asked(fleet, "n4", "create-queue", name="mails")
        fleet.heal()
        fleet.until(lambda: names(fleet) == {("mails",)})
        crash_and_wait(fleet, "n2")
        assert asked(fleet, "n1", "delete-queue", name="mails")["late"] == ["n2"]
        boot(fleet, "n2")
        fleet.until(lambda: names(fleet) == {()})
