"""Nodes join and leave real clusters while clients write, and are killed in the middle of it."""

import threading
from pathlib import Path

import pytest

import cluster
from cluster.client.locate import locate
from cluster.emulator import cluster as emulator
from cluster.emulator import growth, linkfaults
from cluster.emulator.home import find_home, load_cluster
from cluster.emulator.members import current
from cluster.emulator.spec import ClusterSpec
from cluster.errors import ClusterError, Failed, Unreachable, Usage
from tests.processes.fleet import Ledger, Real, real, until

WAIT_S = 60.0


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path))


def add(fleet: Real, count: int = 1) -> growth.Moved:
    return growth.add(fleet.client, find_home(), load_cluster(fleet.name), count, None, WAIT_S, lambda state: None)


def leave(fleet: Real, *names: str, forget: bool = False) -> growth.Moved:
    here = load_cluster(fleet.name)
    return growth.leave(fleet.client, find_home(), here, list(names), WAIT_S, lambda state: None, forget=forget)


def test_nodes_join_and_leave_while_clients_write() -> None:
    ledger, over = Ledger(), threading.Event()
    with real(5) as fleet:

        def write() -> None:
            with cluster.connect_blocking(fleet.name) as client:
                while not over.is_set():
                    ledger.write(client)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            until(lambda: len(ledger.acknowledged) > 200)
            joined = add(fleet)
            assert joined.done and joined.nodes == ["n6"] and joined.moved == 128
            gone = leave(fleet, "n2")
            assert gone.done and load_cluster(fleet.name).nodes == ["n1", "n3", "n4", "n5", "n6"]
        finally:
            over.set()
            writer.join()
        assert ledger.outcomes.get("no", 0) == 0, ledger.outcomes
        assert ledger.lost(fleet.client) == []
        assert (fleet.files.folder / "left" / "n2-1").is_dir(), "what it held is set aside, not deleted"
        again = add(fleet)
        assert again.nodes == ["n2"], "its name is free again"
        assert ledger.lost(fleet.client) == []


def test_a_node_that_died_is_forgotten_and_its_copies_are_made_anew() -> None:
    ledger = Ledger()
    with real(5) as fleet:
        while len(ledger.acknowledged) < 100:
            ledger.write(fleet.client, strict=True)
        with pytest.raises(Usage, match="n3 runs"):
            leave(fleet, "n3", forget=True)
        fleet.kill("n3")
        assert leave(fleet, "n3", forget=True).done
        assert "n3" not in load_cluster(fleet.name).nodes
        fleet.kill("n1")  # of each key two copies are left, one of them perhaps new
        assert ledger.lost(fleet.client) == []


def test_what_cannot_end_says_why_and_is_taken_back() -> None:
    ledger = Ledger()
    with real(3) as fleet:
        for _ in range(50):
            ledger.write(fleet.client)

        def strike(state: dict[str, object]) -> None:
            if "n4" in load_cluster(fleet.name).nodes:
                try:
                    emulator.kill(fleet.name, ["n4"])
                except ClusterError:
                    pass

        fleet.client.ask("n1", "status")
        held = growth.add(fleet.client, find_home(), load_cluster(fleet.name), 1, None, 0.2, strike)
        if held.done:
            pytest.skip("it was over before it could be struck")
        error = growth.not_over(held)
        assert error is not None and "dsectl revert" in (error.help or "") and not error.definite
        with pytest.raises(Usage, match="under way"):
            add(fleet)
        assert growth.revert(fleet.client, find_home(), load_cluster(fleet.name), WAIT_S).done
        assert load_cluster(fleet.name).nodes == ["n1", "n2", "n3"]
        assert ledger.lost(fleet.client) == []


def test_a_cluster_comes_up_while_a_forget_goes_on() -> None:
    with real(5) as fleet:
        fleet.kill("n2")
        emulator.pause(fleet.name, ["n3"])  # so that it does not end
        here = load_cluster(fleet.name)
        held = growth.leave(fleet.client, find_home(), here, ["n2"], 0.0, lambda state: None, forget=True)
        error = growth.not_over(held)
        assert error is not None and "revert" not in (error.help or "")
        with pytest.raises(Usage, match="cannot be taken back"):
            growth.revert(fleet.client, find_home(), here, WAIT_S)
        assert current(fleet.name, find_home()).nodes == ["n1", "n3", "n4", "n5"], "who was forgotten is not started"
        emulator.down(fleet.name)
        assert emulator.up(ClusterSpec(name=fleet.name), WAIT_S).failed == {}
        until(lambda: not fleet.ask("n1", "layout")["moving"], WAIT_S)


def test_who_waits_for_a_change_that_another_takes_back_is_told() -> None:
    with real(5) as fleet:
        for number in range(100):
            fleet.client.kv.put(f"key-{number}", b"v")
        linkfaults.slow(fleet.name, "all", "all", delay_ms=20.0)

        def take_back(state: dict[str, object]) -> None:
            with cluster.connect_blocking(fleet.name) as other:
                other.ask("n1", "change", {"revert": True}, timeout=5.0)

        with pytest.raises(Failed, match="leave n5: it was taken back meanwhile"):
            growth.leave(fleet.client, find_home(), load_cluster(fleet.name), ["n5"], WAIT_S, take_back)
        assert "n5" in load_cluster(fleet.name).nodes


def test_a_node_that_is_cut_off_is_gone_round() -> None:
    with real(5) as fleet:
        linkfaults.partition(fleet.name, [["n1"], ["rest"]])
        until(lambda: len(fleet.ask("n1", "status")["alive"]) == 1)
        assert growth.states(fleet.client, fleet.files)["n1"], "it answers whoever asks it"
        here = load_cluster(fleet.name)
        moved = growth.leave(fleet.client, find_home(), here, ["n5"], 2.0, lambda state: None)
        assert moved.what == "leave n5" and not moved.done, "n1 is to own a part of what n5 does"
        linkfaults.heal(fleet.name)
        assert growth.revert(fleet.client, find_home(), here, WAIT_S).done


def test_without_a_majority_nothing_changes() -> None:
    with real(3) as fleet:
        fleet.kill("n1", "n2")
        with pytest.raises(ClusterError) as raised:
            growth.leave(fleet.client, find_home(), load_cluster(fleet.name), ["n3"], 4.0, lambda state: None)
        assert raised.value.definite and not isinstance(raised.value, Unreachable), raised.value


def test_nobody_waits_for_a_cluster_that_was_taken_down() -> None:
    with real(4) as fleet:
        emulator.pause(fleet.name, ["n2"])  # so that the data does not move before

        def take_down(state: dict[str, object]) -> None:
            if any(process.alive for process in emulator.processes(load_cluster(fleet.name)).values()):
                emulator.down(fleet.name)

        with pytest.raises(Unreachable, match="runs any more") as raised:
            growth.add(fleet.client, find_home(), load_cluster(fleet.name), 1, None, WAIT_S, take_down)
        assert "dsectl up" in (raised.value.help or "")


def test_the_files_follow_a_change_that_nobody_waited_for() -> None:
    with real(4) as fleet:
        growth.leave(fleet.client, find_home(), load_cluster(fleet.name), ["n2"], 0.0, lambda state: None)
        until(lambda: current(fleet.name, find_home()).nodes == ["n1", "n3", "n4"], WAIT_S)
        entry = locate(fleet.name).entry
        assert entry is not None and [member.name for member in entry.members] == ["n1", "n3", "n4"]
        assert (fleet.files.folder / "left" / "n2-1").is_dir()
