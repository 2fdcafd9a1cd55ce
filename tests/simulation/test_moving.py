"""What a change of members moves: each row once, from many nodes at a time, although a giver is killed meanwhile."""

from tests.simulation.safeguards.growth import end
from tests.simulation.safeguards.moving import KEYS, VALUE, begin, filled, half_way, moved, rows


def test_each_row_is_sent_once_although_two_sources_are_merged(seed: int) -> None:
    with filled(seed) as fleet:
        begin(fleet)
        half_way(fleet)
        sources = {scan.source for scan in fleet.nodes["n6"].replication.completing._scans.values()}
        assert len(sources) >= 4, f"from {sources} alone"
        end(fleet)
        found = moved(fleet, "n6")
        assert found.rows == rows(fleet, "n6") > len(KEYS) // 3
        assert len(VALUE) * found.rows < found.bytes < 1.1 * len(VALUE) * found.rows
        said = fleet.nodes["n6"].events.since(kind="owner.complete")
        assert sum(event["bytes"] for event in said) == found.bytes, "and events say so"
        assert found.partitions == sum(len(event["partitions"]) for event in said) == 128


def test_a_giver_that_was_killed_does_not_send_again_what_it_sent(seed: int) -> None:
    with filled(seed) as fleet:
        begin(fleet)
        half_way(fleet)
        fleet.crash("n3")
        fleet.world.run_for(1.0)
        fleet.start("n3")
        end(fleet)
        assert moved(fleet, "n6").rows == rows(fleet, "n6")
