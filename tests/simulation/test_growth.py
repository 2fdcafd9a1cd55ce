"""Members come and go while users read and write, under faults: nothing acknowledged is lost, nothing comes back, all
end in one chain, and every transition ends."""

from cluster.errors import Unreachable
from cluster.simulation.fleet import Fleet, SimulatedRequest
from cluster.wire.admin import AdminAnswer
from cluster.wire.kv import PutDone
from tests.simulation.growth import GROWTH, Growth
from tests.simulation.nemesis import Nemesis
from tests.simulation.runs import Run, run
from tests.simulation.safeguards.scenes import acknowledged, crash_and_wait, read


def check(made: Run) -> None:
    nemesis, fleet = made.nemesis, made.ledger.fleet
    assert isinstance(nemesis, Growth)
    chains = [[entry.what for entry in node.layouts.chain.entries] for node in fleet.nodes.values()]
    longest = max(chains, key=len)
    assert all(chain == longest for chain in chains), "two chains"
    assert not nemesis.newest().moving


def test_nothing_is_lost_while_members_come_and_go(seed: int) -> None:
    check(run(seed, "siblings", down_max=1, grows=True))


def test_deletes_stay_deleted_while_members_come_and_go(seed: int) -> None:
    check(run(seed, "deletes", down_max=2, grows=True))


def test_chains_of_writes_survive_changes_among_many_faults(seed: int) -> None:
    check(run(seed, "chains", down_max=4, grows=True))


def test_members_come_and_go_on_disks_that_fill_and_stick_and_by_clocks_that_jump(seed: int) -> None:
    disks = [Nemesis.fill_disk, Nemesis.fill_disk, Nemesis.empty_disk, Nemesis.slow_disk]
    check(run(seed, "deletes", down_max=1, grows=True, steps=[*GROWTH, *disks, Nemesis.set_clock]))


def test_a_change_that_is_asked_for_again_elsewhere_is_made_once(seed: int) -> None:
    """n1 has it accepted by n2, by half of the others or by all, and is cut off before it knows the outcome."""
    with Fleet.running(seed, 5) as fleet:
        chain, row = fleet.nodes["n1"].layouts.chain, {"name": "n6", "zone": "z1", "host": "10.0.0.6", "port": 7000}
        change = {"add": [row], "id": "asked twice"}
        first = fleet.ask("n1", "change", change, 2.0)
        reached = ["n2", "n3", "n4"][: 1 + seed % 3]

        def accepted() -> bool:
            return all(fleet.nodes[name].layouts.chain._acceptor.state.value for name in reached)

        for name in ("n2", "n3", "n4", "n5"):
            fleet.world.slow(name, "n1", delay=0.02)
            fleet.world.slow("n1", name, delay=0.0 if name in reached else 0.04)
        fleet.world.run_until_true(accepted, 5.0, step=0)
        fleet.fault("partition", groups=[["n1"], ["n2", "n3", "n4", "n5"]])
        second = fleet.wait(fleet.ask("n5", "change", change, 5.0), 10.0)
        assert isinstance(second.answer, AdminAnswer), second.error
        fleet.heal()
        fleet.wait(first, 10.0)
        fleet.join("n6", via="n5")
        fleet.until(fleet.settled, 60.0)
        assert [entry.what for entry in chain.entries] == ["the first layout", "add n6", "add n6: done"]
        third = fleet.wait(fleet.ask("n3", "change", change)).answer
        assert isinstance(third, AdminAnswer) and third.value["what"] == "add n6", "and it is found once it is over"


def test_two_of_five_are_forgotten_with_the_loss_of_what_only_they_held(seed: int) -> None:
    with Fleet.running(seed, 5) as fleet:
        keys = [f"key-{number}" for number in range(40)]
        for key in keys:
            acknowledged(fleet, "n1", key, b"v")
        crash_and_wait(fleet, "n4", "n5")
        refused = fleet.wait(fleet.ask("n1", "change", {"forget": ["n4", "n5"]})).error
        assert refused is not None and "too few owners" in refused.message
        for name in ("n4", "n5"):
            fleet.names.remove(name)
        answer = fleet.wait(fleet.ask("n1", "change", {"forget": ["n4", "n5"], "accept_loss": True})).answer
        assert answer is not None
        fleet.until(fleet.settled, 60.0)
        assert all(read(fleet, "n2", key) == [b"v"] for key in keys), "each had a third owner"
        assert any(node.replication.completing.losses for node in fleet.nodes.values()), "and what may be lost is said"


def test_who_leaves_does_not_wait_to_deliver_hints_to_who_was_forgotten(seed: int) -> None:
    """It gives them to the owners that there are; nobody else would take them."""
    with Fleet.running(seed, 5) as fleet:
        keys = [f"key-{number}" for number in range(40)]
        crash_and_wait(fleet, "n3")
        for key in keys:
            acknowledged(fleet, "n1", key, b"v")
        assert fleet.hints("n5").get("n3")
        assert fleet.wait(fleet.ask("n1", "change", {"leave": ["n5"]})).answer is not None
        fleet.names.remove("n3")
        assert fleet.wait(fleet.ask("n1", "change", {"forget": ["n3"]})).answer is not None
        fleet.until(lambda: fleet.nodes["n1"].view.members == ("n1", "n2", "n4"), 60.0)
        assert all(read(fleet, "n1", key) == [b"v"] for key in keys)


def test_a_node_that_has_left_sends_its_clients_elsewhere(seed: int) -> None:
    """Nobody answers to it any more, and what still reaches it must not fail as if the cluster had no quorum."""
    with Fleet.running(seed, 5) as fleet:
        acknowledged(fleet, "n1", "cart", b"book")
        assert fleet.wait(fleet.ask("n1", "change", {"leave": ["n2"]})).answer is not None
        node = fleet.nodes["n2"]
        fleet.world.run_until_true(lambda: "n2" not in node.view.members, 60.0, step=0)
        fleet.world.partition([["n2"], ["n1", "n3", "n4", "n5"]])
        fleet.world.run_for(0.3)
        for result in (fleet.put("n2", "cart", b"pen"), fleet.get("n2", "cart")):
            assert isinstance(fleet.wait(result).error, Unreachable)


def test_a_change_without_a_fault_costs_no_write_its_owners(seed: int) -> None:
    """What a node sends at the moment at which it goes on, and what crosses the news on the way, finds its answer."""
    with Fleet.running(seed, 5) as fleet:
        late: list[str] = []
        writes: list[SimulatedRequest] = []
        for name, node in fleet.nodes.items():
            node.replication.context.reach.failed = late.append  # type: ignore
            for other in fleet.names:
                if other != name:
                    fleet.world.slow(name, other, delay=0.002, jitter=0.002)
        for number in range(50):
            acknowledged(fleet, "n1", f"before-{number}", b"v")
        asked = fleet.ask("n1", "change", {"leave": ["n2"]})
        while not asked.ended or fleet.nodes["n1"].layouts.chain.entry.moving:
            writes += [fleet.put(name, f"key-{len(writes)}", b"v") for name in ("n1", "n3", "n4", "n5")]
            fleet.world.run_for(0.003)
        for write in writes:
            answer = fleet.wait(write).answer
            assert isinstance(answer, PutDone) and answer.outcome == "ok", (write.error, answer)
        assert late == [], "somebody was held for silent"
