"""Kill, pause, resume and restart of real processes, and what the document of faults says afterwards."""

import signal

import pytest

from cluster.emulator import cluster as emulator
from cluster.emulator.cluster import LocalMachine
from cluster.emulator.faultsfile import read_faults
from cluster.emulator.home import ClusterFiles
from cluster.emulator.inspect import process_state
from cluster.emulator.signals import signal_node
from cluster.emulator.spec import ClusterSpec
from cluster.errors import Failed, NotFound
from cluster.faults import Fault, add_fault, heal


@pytest.fixture
def files(world: LocalMachine) -> ClusterFiles:
    return emulator.up(ClusterSpec(name="c", nodes=3), world=world).files


def states(files: ClusterFiles) -> dict[str, str]:
    return {name: process.state for name, process in emulator.processes(files).items()}


def reloaded(world: LocalMachine) -> list[list[str]]:
    found: list[list[str]] = world.control.reloaded  # type: ignore[attr-defined]
    return found


def active(files: ClusterFiles) -> list[tuple[str, str, bool]]:
    return [(fault.id, fault.kind, fault.active) for fault in read_faults(files.folder).faults]


def test_kill_and_restart(world: LocalMachine, files: ClusterFiles) -> None:
    fault = emulator.kill("c", ["n2"], world=world)
    assert (fault.id, fault.kind, fault.nodes, fault.active) == ("f1", "kill", ["n2"], True)
    assert states(files) == {"n1": "running", "n2": "stopped", "n3": "running"}
    assert reloaded(world) == [["n1", "n3"]], "the survivors hear of it, the victim does not"
    assert "stopped tidily" not in files.log("n2").read_text()

    pids = emulator.restart("c", ["n2"], world=world)
    assert list(pids) == ["n2"]
    assert emulator.processes(files)["n2"].pid == pids["n2"]
    assert active(files) == [("f1", "kill", False)]
    assert reloaded(world)[1:] == [["n1", "n2", "n3"]]


def test_the_survivors_know_before_it_happens(world: LocalMachine, files: ClusterFiles) -> None:
    seen: list[dict[str, str]] = []
    world.control.reload_faults = lambda files, names: seen.append(states(files))  # type: ignore[method-assign]
    emulator.kill("c", ["n2"], world=world)
    assert seen == [{"n1": "running", "n2": "running", "n3": "running"}]


def test_pause_and_resume(world: LocalMachine, files: ClusterFiles) -> None:
    emulator.pause("c", ["n1", "n3"], world=world)
    assert states(files) == {"n1": "paused", "n2": "running", "n3": "paused"}
    assert process_state(emulator.processes(files)["n1"].pid or 0) == "T"
    assert emulator.resume("c", ["n1", "n2"], world=world) == ["n1"]
    assert active(files) == [("f1", "pause", True)]
    assert emulator.resume("c", ["n3"], world=world) == ["n3"]
    assert active(files) == [("f1", "pause", False)]
    assert set(states(files).values()) == {"running"}


def test_a_paused_node_can_be_killed_and_restarted(world: LocalMachine, files: ClusterFiles) -> None:
    emulator.pause("c", ["n1", "n2"], world=world)
    emulator.kill("c", ["n1"], world=world)
    assert states(files) == {"n1": "stopped", "n2": "paused", "n3": "running"}
    emulator.restart("c", ["n1", "n2"], world=world)
    assert set(states(files).values()) == {"running"}
    assert active(files) == [("f1", "pause", False), ("f2", "kill", False)]


def test_restart_of_a_running_node_is_a_new_process(world: LocalMachine, files: ClusterFiles) -> None:
    before = emulator.processes(files)["n1"].pid
    pids = emulator.restart("c", ["n1"], world=world)
    assert pids["n1"] != before
    assert "stopped tidily" in files.log("n1").read_text()


def test_start_of_what_runs_changes_nothing(world: LocalMachine, files: ClusterFiles) -> None:
    before = emulator.processes(files)
    assert emulator.start_nodes("c", ["n1", "n2"], world=world) == {}
    assert {name: process.pid for name, process in emulator.processes(files).items()} == {
        name: process.pid for name, process in before.items()
    }


def test_what_cannot_be_done_is_said_and_leaves_no_fault(world: LocalMachine, files: ClusterFiles) -> None:
    with pytest.raises(NotFound, match="n9"):
        emulator.kill("c", ["n1", "n9"], world=world)
    emulator.kill("c", ["n3"], world=world)
    with pytest.raises(Failed, match="n3 is stopped") as error:
        emulator.kill("c", ["n1", "n3"], world=world)
    assert "restart n3" in error.value.help
    with pytest.raises(Failed, match="n3 is stopped"):
        emulator.pause("c", ["n3"], world=world)
    emulator.pause("c", ["n1"], world=world)
    with pytest.raises(Failed, match="n1 is paused"):
        emulator.pause("c", ["n1"], world=world)
    assert [kind for _, kind, _ in active(files)] == ["kill", "pause"]


def test_a_node_that_dies_of_something_else_is_stopped(world: LocalMachine, files: ClusterFiles) -> None:
    assert signal_node(files.node("n2"), signal.SIGTERM)
    emulator.start_nodes("c", ["n1"], world=world)
    while states(files)["n2"] != "stopped":
        pass
    assert emulator.clusters(world=world)[0].alive == 2


def test_link_faults_are_reloaded_by_all_who_live(world: LocalMachine, files: ClusterFiles) -> None:
    emulator.kill("c", ["n2"], world=world)
    cut = Fault(kind="partition", at="2025-05-01T12:00:00Z", groups=[["n1"], ["n3"]])
    emulator.change("c", lambda document: add_fault(document, cut), world=world)
    healed = emulator.change("c", lambda document: heal(document, None, "2025-05-01T12:00:01Z"), world=world)
    assert [fault.active for fault in healed.faults] == [True, False]
    emulator.change("c", lambda document: heal(document, None, "2025-05-01T12:00:01Z"), world=world)
    assert reloaded(world)[1:] == [["n1", "n3"], ["n1", "n3"]], "a heal of nothing makes nobody reload"


def test_up_forgets_the_faults_of_the_time_before(world: LocalMachine, files: ClusterFiles) -> None:
    emulator.kill("c", ["n2"], world=world)
    emulator.down("c", world=world)
    emulator.up(ClusterSpec(name="c"), world=world)
    assert active(files) == []
    assert emulator.kill("c", ["n1"], world=world).id == "f2"
