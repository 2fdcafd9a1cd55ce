"""Members come and go while users read and write, under faults: nothing acknowledged is lost, nothing comes back, all
end in one chain, and every transition ends."""

from tests.simulation.growth import Growth
from tests.simulation.runs import Run, run


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
