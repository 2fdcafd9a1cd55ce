"""What a change of members moves: each row once, from many nodes at a time, although a giver is killed meanwhile."""

from typing import Any
from unittest.mock import patch

from cluster.errors import Overloaded
from cluster.replication import dropping, throttle
from cluster.replication.transfer import PartitionScan, RowGiver
from cluster.wire.replication import Scanned
from tests.simulation.safeguards.growth import add, change, end
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


def test_no_source_gives_rows_before_it_has_taken_over_the_layout(seed: int) -> None:
    """Else writes that it coordinates afterwards, by the layout before, would miss the owner to come. And no first page
    waits for its deadline."""
    gave: list[int] = []
    failed: list[str] = []
    on_scan, on_page = RowGiver.on_scan, PartitionScan._on_page

    def give(self: RowGiver, inbound: Any) -> None:
        gave.append(self.context.view.number)
        on_scan(self, inbound)

    def take(self: PartitionScan, after: str, asked: list[str], source: str, outcome: Any) -> None:
        if type(outcome) is not Scanned:
            failed.append(str(outcome))
        on_page(self, after, asked, source, outcome)

    with (
        patch.object(RowGiver, "on_scan", give),
        patch.object(PartitionScan, "_on_page", take),
        filled(seed) as fleet,
    ):
        change(fleet, "n2", {"leave": ["n3"]})
        end(fleet)
    assert gave and min(gave) == 2 and not failed


def test_a_source_that_fails_holds_up_no_move_that_others_suffice_for(seed: int) -> None:
    """n1 is alive and gives nothing: each partition has two owners beside it."""
    on_scan = RowGiver.on_scan

    def give(self: RowGiver, inbound: Any) -> None:
        if self.context.me == "n1":
            inbound.fail(Overloaded("it has other things to do"))
        else:
            on_scan(self, inbound)

    with patch.object(RowGiver, "on_scan", give), filled(seed) as fleet:
        change(fleet, "n2", {"leave": ["n3"]})
        end(fleet)


def test_what_is_given_away_is_dropped_no_faster_than_the_throttle_allows(seed: int) -> None:
    with filled(seed) as fleet, patch.object(dropping, "LOOKED_AT_BYTES", throttle.RATE_MAX):
        add(fleet, "n2", "n6")  # each row costs a second
        fleet.until(lambda: any(node.replication.dropping.left for node in fleet.nodes.values()), 60.0)
        began = fleet.world.now
        left = {name: node.replication.dropping.left for name, node in fleet.nodes.items()}
        end(fleet)
        fleet.until(lambda: not any(node.replication.dropping.left for node in fleet.nodes.values()), 200.0)
        assert fleet.world.now - began > max(left.values()) - 2 > 5
