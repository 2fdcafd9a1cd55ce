"""With tables on the disk a node promises what it promises with tables in memory, whatever a crash leaves of them."""

from dataclasses import replace
from random import Random

from cluster.config import NodeSettings, node_settings
from cluster.simulation.fleet import Fleet
from tests.simulation import test_no_loss
from tests.simulation.account import Account


def on_disk(durability: str = "interval", generation_bytes: int = 4000) -> NodeSettings:
    """Tables that are written over and over."""
    settings = node_settings(durability=durability, store="disk")
    storage = replace(settings.storage, generation_bytes=generation_bytes, segment_bytes=8000)
    return replace(settings, storage=storage)


def test_faults_on_one_node_at_a_time(seed: int) -> None:
    account = test_no_loss.run(seed, down_max=1, settings=on_disk())
    assert len(account.acknowledged()) > 20, "the run wrote too little to prove anything"


def test_power_losses_in_turn(seed: int) -> None:
    """Each node loses its power some time after it began to write its tables, and `always` loses nothing."""
    with Fleet.running(seed, 3, settings=on_disk("always")) as fleet:
        random, account = Random(f"{seed}/power"), Account(fleet)
        for _ in range(6):
            victim = random.choice(fleet.names)
            writers = [name for name in fleet.names if name != victim]
            for _ in range(random.randint(20, 60)):
                account.write(random.choice(writers))
                fleet.world.run_for(random.choice((0.0, 0.01, 0.05)))
            fleet.power_loss(victim, scattered=random.random() < 0.5)
            fleet.world.run_for(random.uniform(0.0, 1.0))
            fleet.start(victim)
            fleet.until(fleet.settled, timeout=60.0)
        assert any(node.tables is not None and node.tables.position > (0, 0) for node in fleet.nodes.values())
        account.check()
        assert not fleet.fatal
