"""Names at the cursor of the shell that only nodes know."""

from pathlib import Path

import pytest

from dsectl.cli.completion.grammar import NameKind
from dsectl.shell.looks import LiveNames
from dsectl.shell.toolbar import ClusterView
from tests.client.fake_node import CLUSTER
from tests.client.scripts import answering
from tests.dsectl.conftest import Serve
from tests.dsectl.snapshot.services import endpoint, service


@pytest.mark.parametrize(
    ("kind", "begun", "names"),
    [
        (NameKind.NODE, "n", ["n1", "n2"]),
        (NameKind.PROCESS, "n2/", ["n1", "n2", "n2/1", "n2/12"]),
        (NameKind.SERVICE, "p", ["pricing"]),
        (NameKind.SERVED, "p", ["pricing", "n2/1", "n2/12"]),
        (NameKind.OPERATION, "p", ["pricing."]),
        (NameKind.OPERATION, "pricing.", ["pricing.quote"]),
    ],
)
def test_workers_services_and_operations(
    home: Path, serve: Serve, kind: NameKind, begun: str, names: list[str]
) -> None:
    ends = [endpoint("n1"), endpoint("n2/1"), endpoint("n2/2", "ejected")]
    script = answering(services=[service("pricing", *ends)], describe={"operations": {"quote": {}}})
    serve(script, script)
    for number in (1, 12):
        (home / "clusters" / CLUSTER / "nodes" / "n2" / "workers" / str(number)).mkdir(parents=True)
    view = ClusterView(CLUSTER, "green", ("n1", "n2"), 2)
    assert LiveNames(lambda: view, {}, {}).of(kind, begun) == names
