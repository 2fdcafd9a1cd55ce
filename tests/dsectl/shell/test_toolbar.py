"""What the prompt shows of a snapshot."""

import pytest

from cluster.errors import Damaged
from dsectl.shell.toolbar import ClusterView, view_of
from dsectl.snapshot.snapshot import Snapshot
from tests.dsectl.snapshot.snapshots import LOST, snapshot, vitals

FAULTS = ({"id": "f1", "active": True}, {"id": "f2", "active": False})


@pytest.mark.parametrize(
    ("found", "view"),
    [
        (Snapshot("c", 0.0, 0.0, LOST), ClusterView("c", "none")),
        (Snapshot("c", 0.0, 0.0, Damaged("cluster.json is cut")), ClusterView("c", "lost")),
        (snapshot(0.0, {"n1": "stopped"}, verdict="red"), ClusterView("default", "lost", ("n1",))),
        (
            snapshot(0.0, {"n1": vitals(hints={"n2": 3}), "n2": "running"}, verdict="amber", faults=FAULTS),
            ClusterView("default", "amber", ("n1", "n2"), 1, 3, 1),
        ),
    ],
)
def test_the_view_of_a_snapshot(found: Snapshot, view: ClusterView) -> None:
    assert view_of(found) == view
    assert view.serves == (view.verdict == "amber")
