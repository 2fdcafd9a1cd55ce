"""What has expired is ended by the next command, and nothing else is."""

from pathlib import Path

import msgspec
import pytest

from cluster.emulator import cluster as emulator
from cluster.emulator.disk import locked
from cluster.emulator.genesis import create
from cluster.emulator.home import ClusterFiles, Home
from cluster.emulator.leash import Leash
from cluster.emulator.spec import ClusterSpec, encode_record
from cluster.emulator.sweep import Verdict, sweep, verdict


@pytest.mark.parametrize(
    ("expires_at", "leash_gone", "expected"),
    [
        (None, False, "keep"),
        (100.1, False, "keep"),
        (100.0, False, "end"),
        (99.0, False, "end"),
        (None, True, "remove"),
        (200.0, True, "remove"),
        (99.0, True, "remove"),
    ],
)
def test_verdicts(expires_at: float | None, leash_gone: bool, expected: Verdict) -> None:
    assert verdict(expires_at, leash_gone, now=100.0) == expected


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def make(home: Home, name: str = "c") -> ClusterFiles:
    return create(home, ClusterSpec(name=name, nodes=2))


def test_a_leash_that_nobody_holds_takes_all_with_it(home: Home) -> None:
    make(home, "free")
    leash = Leash(make(home, "tied").folder)
    assert sweep(home) == []
    leash.release()
    assert sweep(home) == ["tied"]
    assert home.entries() == ["free"]


def test_a_leash_taken_off_lets_live(home: Home) -> None:
    leash = Leash(make(home).folder)
    leash.take_off()
    assert sweep(home) == []
    assert home.names() == ["c"]


def test_the_time_to_live_ends_and_keeps_the_data(home: Home) -> None:
    made = make(home)
    expired = msgspec.structs.replace(made.record, expires_at=1.0)
    (made.folder / "cluster.json").write_bytes(encode_record(expired))
    assert sweep(home) == ["c"]
    assert home.names() == ["c"]


def test_a_cluster_that_somebody_works_on_is_passed_over(home: Home) -> None:
    leash = Leash(make(home).folder)
    leash.release()
    with locked(home.lock("c"), 0):
        assert sweep(home) == []
    assert sweep(home) == ["c"]


def test_leftovers_of_interrupted_commands_go(home: Home) -> None:
    make(home)
    for left in (".new-c", ".old-c", ".new-other"):
        (home.folder / "clusters" / left / "nodes").mkdir(parents=True)
    with locked(home.lock("other"), 0):
        sweep(home)
    assert home.entries() == [".new-other", "c"]


def test_a_damaged_cluster_is_left_to_its_user(home: Home) -> None:
    (make(home).folder / "cluster.json").write_text("garbage")
    assert sweep(home) == []
    assert home.names() == ["c"]


def test_a_home_that_does_not_exist_is_clean(tmp_path: Path) -> None:
    assert sweep(Home(tmp_path / "nothing")) == []


def test_the_lock_goes_with_its_cluster_and_a_stale_one_with_the_next_command(home: Home) -> None:
    make(home, "kept")
    make(home)
    emulator.remove("c", world=emulator.LocalMachine(home))
    home.lock("kept").touch()
    home.lock("gone").touch()
    home.ports_lock.touch()
    assert home.locks() == ["gone", "kept"], "that of the removed cluster went with it"
    with locked(home.lock("gone"), 1.0):
        sweep(home)
        assert home.lock("gone").exists(), "a command works under it"
    sweep(home)
    assert home.locks() == ["kept"]
    assert home.ports_lock.exists()
