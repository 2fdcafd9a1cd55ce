"""Reads and writes with contexts under faults: what strict reads promise holds at every moment, and in the end nothing
acknowledged is missing and nothing replaced is back. The model is in ledger.py."""

import pytest

from cluster.config import node_settings
from cluster.limits import KEY_BYTES_MAX, VALUE_BYTES_MAX
from tests.simulation.nemesis import LOSSES, STEPS, Nemesis
from tests.simulation.runs import MIXES, run


@pytest.mark.parametrize("mix", MIXES)
def test_nothing_acknowledged_vanishes_and_nothing_replaced_returns(seed: int, mix: str) -> None:
    assert run(seed, mix).proves_something, "the run did too little to prove anything"


def test_clocks_that_jump_and_disks_that_fill_change_nothing(seed: int) -> None:
    disks = [Nemesis.fill_disk, Nemesis.fill_disk, Nemesis.empty_disk, Nemesis.slow_disk]
    run(seed, "deletes", steps=[*STEPS, *disks, Nemesis.set_clock])


def test_damage_power_loss_and_emptied_directories_on_one_node(seed: int) -> None:
    """Whatever one node loses, the others have; it votes on nothing until it is complete again."""
    run(seed, "deletes", steps=LOSSES)


def test_objects_at_their_limits(seed: int) -> None:
    """The largest values under the longest keys, most of them beside others that their writers have not seen: what is
    refused is refused for good, what is not is kept, and one large object holds up nothing else."""
    most = VALUE_BYTES_MAX - 16
    made = run(seed, "siblings", rounds=6, large_bytes=most, key_bytes=KEY_BYTES_MAX)
    assert any(write.acknowledged and len(write.value) > most for write in made.ledger.writes)


@pytest.mark.parametrize("replication", ["3/1/3", "3/3/2", "5/3/3"])
def test_other_quorums(seed: int, replication: str) -> None:
    run(seed, "siblings", settings=node_settings(replication=replication))


def test_power_loss_with_always(seed: int) -> None:
    """Synced before it is acknowledged: whoever loses power, at once or in turn, keeps what was promised."""
    steps = [Nemesis.power_loss if step is Nemesis.crash else step for step in STEPS]
    run(seed, "siblings", down_max=5, steps=steps, settings=node_settings(durability="always"))
