"""The judge: one observation in, the same words for all who show it."""

import ast
from pathlib import Path

import pytest

from cluster.client.vitals import Vitals
from tests.dsectl.snapshot.snapshots import judged, vitals

Told = dict[str, Vitals | str]
STATES = {"starting", "running", "catching-up", "recovering", "paused", "stopped"}
"""The words of `status`; there are no others, in no view."""
ROOT = Path(__file__).parent.parent.parent.parent


@pytest.mark.parametrize(
    ("said", "state", "note"),
    [
        (vitals(), "running", ""),
        (vitals(state="catching-up", reason="catching up: it was away"), "catching-up", "catching up: it was away"),
        (vitals(state="recovering", reason="recovering 3 partitions"), "recovering", "recovering 3 partitions"),
        (vitals(full="no space left"), "running", "refuses writes, its disk is full: no space left"),
        (vitals(draining=True), "running", "draining, takes nothing new"),
        ("running", "starting", "does not answer: did not answer in time"),
        ("starting", "starting", "does not answer: did not answer in time"),
        ("paused", "paused", ""),
        ("stopped", "stopped", ""),
    ],
)
def test_what_a_node_is_called_and_why(said: Vitals | str, state: str, note: str) -> None:
    found = judged({"n1": vitals(), "n2": said})
    node = found.nodes["n2"]
    assert (node.state, node.note) == (state, note) and state in STATES
    row = found.to_json()["nodes"]["n2"]
    assert (row["state"], row["note"], row["answers"]) == (state, note, isinstance(said, Vitals))


@pytest.mark.parametrize(
    ("nodes", "via", "viewer", "verdict", "reason"),
    [
        ({"n1": vitals(), "n2": vitals(), "n3": vitals()}, None, "n1", "green", "all 3 owners of every partition vote"),
        ({"n1": "paused", "n2": vitals(), "n3": vitals()}, None, "n2", "amber", "only 2 of 3 voting owners (as n2"),
        ({"n1": "running", "n2": vitals(), "n3": vitals()}, None, "n2", "amber", "only 2 of 3 voting owners (as n2"),
        ({"n1": vitals(), "n2": "stopped", "n3": "stopped"}, None, "n1", "red", "only 1 of 3 voting owners (as n1"),
        ({"n1": vitals(), "n2": vitals(state="catching-up"), "n3": vitals()}, None, "n1", "amber", "only 2 of 3"),
        ({"n1": vitals(), "n2": vitals(recovering=[7]), "n3": vitals()}, None, "n1", "amber", "1 partition has only 2"),
        ({"n1": vitals(sees={"n2": "dead"}), "n2": vitals(), "n3": vitals()}, None, "n1", "amber", "only 2 of 3"),
        ({"n1": vitals(sees={"n2": "suspect"}), "n2": vitals(), "n3": vitals()}, "n2", "n2", "green", "as n2 sees it"),
        ({"n1": vitals(sees={"n2": "leaving"}), "n2": vitals(), "n3": vitals()}, None, "n1", "green", "as n1 sees it"),
        ({"n1": vitals(), "n2": "paused", "n3": vitals()}, "n2", "", "amber", "(n2 does not answer)"),
        ({"n1": "stopped", "n2": "stopped", "n3": "stopped"}, None, "", "red", "no voting owner (no node answers)"),
        ({"n1": vitals(full="x"), "n2": vitals(), "n3": vitals()}, None, "n1", "amber", "n1 refuses writes: disk full"),
    ],
)
def test_the_verdict_is_one_nodes_view(nodes: Told, via: str | None, viewer: str, verdict: str, reason: str) -> None:
    found = judged(nodes, via)
    assert (found.viewer, found.verdict) == (viewer, verdict)
    assert reason in found.reason


def test_whom_the_viewer_gives_up_runs_and_is_said_to_be_so() -> None:
    found = judged({"n1": vitals(sees={"n2": "suspect"}), "n2": vitals(reason="may miss hints"), "n3": vitals()})
    assert found.nodes["n2"].state == "running"
    assert found.nodes["n2"].note == "suspect in the view of n1; may miss hints"


def test_health_matrix_and_hints_are_of_the_same_observation() -> None:
    found = judged(
        {
            "n1": vitals(sees={"n1": "alive", "n2": "dead"}, hints={"n2": 2}, problems=["cannot reach n2"]),
            "n2": "running",
            "n3": vitals(sees={"n1": "alive"}, hints={"n2": 1}),
        }
    )
    assert not found.healthy and found.answering == 2 and list(found.silent) == ["n2"]
    problems = {name: node.problems for name, node in found.nodes.items()}
    assert problems == {"n1": ["cannot reach n2"], "n2": ["did not answer in time"], "n3": []}
    assert found.matrix == {"n1": {"n1": "alive", "n2": "dead"}, "n3": {"n1": "alive"}}
    assert found.hints() == {"n2": 3}
    assert judged({"n1": vitals()}, replicas=1).healthy


# Whoever judges needs one of these functions or asks one of these questions, so whoever else does is a second judge.
MATERIAL = {"judge_layout", "inspect_node", "inspect_nodes", "read_vitals", "identity_damage"}
QUESTIONS = {"vitals", "status", "health"}


def second_judges(source: str) -> set[str]:
    """What a module outside of dsectl/snapshot uses that only the judge needs."""
    tree = list(ast.walk(ast.parse(source)))
    imported = {alias.name for node in tree if isinstance(node, ast.ImportFrom) for alias in node.names}
    asked = {
        argument.value
        for node in tree
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "ask_all"
        for argument in node.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }
    return (imported & MATERIAL) | (asked & QUESTIONS)


def test_there_is_one_judge() -> None:
    assert second_judges("from cluster.client.verdict import judge_layout\nclient.ask_all(None, 'health')") == {
        "judge_layout",
        "health",
    }
    paths = [path.relative_to(ROOT) for path in (ROOT / "dsectl").rglob("*.py")]
    outside = [path for path in paths if path.parts[1] != "snapshot"]
    found = {str(path): second_judges((ROOT / path).read_text()) for path in outside}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "module",
    [
        *("commands/status.py", "commands/health.py", "commands/watch.py"),
        *("commands/clusters.py", "shell/toolbar.py", "recipes/run.py", "demo/story.py"),
    ],
)
def test_all_who_show_the_state_of_a_cluster_take_it_from_the_judge(module: str) -> None:
    names = {
        alias.name
        for node in ast.walk(ast.parse((ROOT / "dsectl" / module).read_text()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert names & {"snapshot", "observe", "Observer"}, "it has a judge of its own, or shows nothing any more"
