"""The life of a cluster of real processes: up, down, up again, remove, and what `up` refuses or undoes."""

import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from cluster.emulator import cluster as emulator
from cluster.emulator.cluster import LocalMachine
from cluster.emulator.home import ClusterFiles
from cluster.emulator.inspect import process_state
from cluster.emulator.spec import ClusterSpec
from cluster.errors import AlreadyExists, ClusterError, Damaged, DeadlinePassed, Failed, UnknownCluster, Usage

SPEC = ClusterSpec(name="c", nodes=3)


def states(files: ClusterFiles) -> list[str]:
    return [process.state for process in emulator.processes(files).values()]


def test_up_down_up_remove(world: LocalMachine) -> None:
    stages = []
    first = emulator.up(SPEC, progress=lambda stage, node: stages.append((stage, node)), world=world)
    assert first.created and first.leash is None
    assert stages[0] == ("made", "") and stages[-1] == ("ready", "")
    assert sorted(stages[1:-1]) == [("listening", "n1"), ("listening", "n2"), ("listening", "n3")]
    assert [process.state for process in first.nodes.values()] == ["running"] * 3
    for host, port in first.files.addresses.values():
        socket.create_connection((host, port)).close()
    (listed,) = emulator.clusters(world=world)
    assert (listed.cluster, listed.nodes, listed.alive, listed.damaged) == ("c", 3, 3, "")

    assert emulator.down("c", world=world) == ["n1", "n2", "n3"]
    assert states(first.files) == ["stopped"] * 3
    assert first.files.log("n1").read_text().count("stopped tidily") == 1
    assert emulator.down("c", world=world) == []

    second = emulator.up(ClusterSpec(name="c"), world=world)
    assert not second.created
    assert second.files.addresses == first.files.addresses, "ports are stable"
    assert second.files.secret == first.files.secret
    assert {process.pid for process in second.nodes.values()}.isdisjoint(p.pid for p in first.nodes.values())

    emulator.remove("c", world=world)
    assert emulator.clusters(world=world) == []
    with pytest.raises(UnknownCluster):
        emulator.down("c", world=world)
    with pytest.raises(UnknownCluster):
        emulator.remove("c", world=world)


def test_clusters_run_side_by_side(world: LocalMachine) -> None:
    first = emulator.up(SPEC, world=world)
    second = emulator.up(ClusterSpec(name="d", nodes=2), world=world)
    assert set(first.files.addresses.values()).isdisjoint(second.files.addresses.values())
    emulator.down("c", world=world)
    assert states(second.files) == ["running"] * 2


def test_up_of_a_live_name_is_refused_and_harms_nothing(world: LocalMachine) -> None:
    made = emulator.up(SPEC, world=world)
    with pytest.raises(AlreadyExists, match="up already"):
        emulator.up(SPEC, world=world)
    emulator.kill("c", ["n2"], world=world)
    with pytest.raises(AlreadyExists, match="2 of 3 nodes") as error:
        emulator.up(SPEC, world=world)
    assert "restart" in error.value.help
    assert states(made.files) == ["running", "stopped", "running"]


def test_up_of_a_stopped_name_with_other_options_is_usage(world: LocalMachine) -> None:
    emulator.up(SPEC, world=world)
    emulator.down("c", world=world)
    with pytest.raises(Usage, match="--nodes 3, not 5"):
        emulator.up(ClusterSpec(name="c", nodes=5), world=world)
    assert emulator.clusters(world=world)[0].alive == 0


@pytest.mark.parametrize("damage", ["cluster.json", "secret"])
def test_a_half_deleted_cluster_is_damaged_and_can_be_removed(world: LocalMachine, damage: str) -> None:
    files = emulator.up(SPEC, world=world).files
    (files.folder / damage).unlink()
    assert [listed.alive for listed in emulator.clusters(world=world)] == [3]
    emulator.down("c", world=world)
    with pytest.raises(Damaged, match=damage):
        emulator.up(ClusterSpec(name="c"), world=world)
    emulator.remove("c", world=world)
    emulator.up(SPEC, world=world)


@pytest.mark.parametrize("damage", ["layout.json", "nodes/n2/layout.json"])
@pytest.mark.parametrize("content", [None, "garbage"])
def test_a_layout_is_given_again(world: LocalMachine, damage: str, content: str | None) -> None:
    files = emulator.up(SPEC, world=world).files
    emulator.down("c", world=world)
    path = files.folder / damage
    path.unlink() if content is None else path.write_text(content)
    report = emulator.up(ClusterSpec(name="c"), world=world)
    assert report.failed == {} and states(files) == ["running"] * 3


def test_a_node_without_identity_stays_down_and_the_others_start(world: LocalMachine) -> None:
    files = emulator.up(SPEC, world=world).files
    emulator.down("c", world=world)
    (files.node("n2") / "boot.json").write_text("garbage")
    report = emulator.up(ClusterSpec(name="c"), world=world)
    assert list(report.failed) == ["n2"] and isinstance(report.failed["n2"], Damaged)
    assert states(files) == ["running", "stopped", "running"]


@pytest.mark.parametrize(
    ("child", "error", "words"),
    [
        ("run_failing", ClusterError, "n2: .*on fire"),
        ("run_silent", Failed, "n2 ended"),
        ("nothing_of_that_name", Failed, "ended while"),
    ],
)
def test_a_node_that_cannot_start_undoes_all(
    world: LocalMachine, child: str, error: type[ClusterError], words: str
) -> None:
    with pytest.raises(error, match=words):
        emulator.up(SPEC, world=replace(world, child=f"stand_in:{child}"))
    assert world.home.entries() == []


def test_the_deadline_undoes_all(world: LocalMachine) -> None:
    with pytest.raises(DeadlinePassed, match="n1, n2, n3"):
        emulator.up(SPEC, 1.0, world=replace(world, child="stand_in:run_deaf"))
    assert world.home.entries() == []


def test_a_stopped_cluster_survives_a_failed_up(world: LocalMachine) -> None:
    files = emulator.up(SPEC, world=world).files
    emulator.down("c", world=world)
    with pytest.raises(ClusterError, match="on fire"):
        emulator.up(ClusterSpec(name="c"), world=replace(world, child="stand_in:run_failing"))
    assert states(files) == ["stopped"] * 3
    emulator.up(ClusterSpec(name="c"), world=world)
    assert states(files) == ["running"] * 3


def test_a_port_that_was_taken_meanwhile(world: LocalMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another home took a port between the choice and the bind: others are chosen, unless these were asked for."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr("cluster.emulator.genesis.is_free", lambda _: True)
        with pytest.raises(Failed, match="n1"):
            emulator.up(ClusterSpec(name="c", nodes=2, base_port=port), world=world)
        assert world.home.entries() == []

        choices = iter([[port, port + 1], [20_500, 20_501]])
        monkeypatch.setattr("cluster.emulator.genesis.choose_ports", lambda *_: next(choices))
        made = emulator.up(ClusterSpec(name="c", nodes=2), world=world)
        assert made.files.addresses["n1"] == ("127.0.0.1", 20_500)


def test_nodes_that_do_not_hear_sigterm_are_killed(world: LocalMachine) -> None:
    made = emulator.up(SPEC, world=replace(world, child="stand_in:run_stubborn"))
    began = time.monotonic()
    emulator.down("c", world=world)
    assert 1.9 < time.monotonic() - began < 20, "all wait for the same grace, and are killed"
    assert states(made.files) == ["stopped"] * 3


def test_a_fatal_error_ends_a_node_at_once(
    world: LocalMachine, eventually: Callable[[Callable[[], object], str], None]
) -> None:
    made = emulator.up(SPEC, world=replace(world, child="stand_in:run_fatal"))
    for process in made.nodes.values():
        os.kill(process.pid or 0, signal.SIGTERM)
    eventually(lambda: states(made.files) == ["stopped"] * 3, "no node waits for its thread, and serves meanwhile")
    assert "fatal: the log could not be synced" in made.files.log("n1").read_text()


def test_down_of_paused_nodes_is_tidy(world: LocalMachine) -> None:
    made = emulator.up(SPEC, world=world)
    emulator.pause("c", ["n1", "n2", "n3"], world=world)
    emulator.down("c", world=world)
    tidy = ["stopped tidily" in made.files.log(name).read_text() for name in ("n1", "n2", "n3")]
    assert tidy == [True] * 3, "they were let go on and ended by themselves, before the time to kill them"


def test_one_start_on_macos_is_exec(
    world: LocalMachine, monkeypatch: pytest.MonkeyPatch, eventually: Callable[[Callable[[], object], str], None]
) -> None:
    monkeypatch.setattr("cluster.emulator.launch.Launch.__init__.__defaults__", (False,))
    made = emulator.up(SPEC, world=world)
    assert states(made.files) == ["running"] * 3
    pids = [process.pid or 0 for process in made.nodes.values()]
    eventually(lambda: all(process_state(pid) == "S" for pid in pids), "all have done what a start takes, and sleep")
