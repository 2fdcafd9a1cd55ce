"""The folder of clusters, and what else may lie in it."""

import os
from pathlib import Path

import pytest

from cluster.emulator.cluster import LocalMachine, clusters, down, remove, up
from cluster.emulator.genesis import create
from cluster.emulator.home import Home, load_cluster
from cluster.emulator.launch import check_place
from cluster.emulator.spec import ClusterSpec
from cluster.emulator.sweep import sweep
from cluster.errors import AlreadyExists, Damaged, Failed, UnknownCluster

STRAY = ("plain", "empty", "broken", "link")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """One cluster, beside what is none."""
    home = Home(tmp_path)
    create(home, ClusterSpec(name="mine", nodes=1))
    folder = tmp_path / "clusters"
    (folder / ".DS_Store").touch()
    (folder / "Icon\r").touch()
    (folder / "plain").touch()
    (folder / "empty").mkdir()
    (folder / "broken").symlink_to("nowhere")
    (folder / "link").symlink_to(folder / "mine")
    return home


def test_what_is_no_cluster_is_passed_over(home: Home) -> None:
    before = home.entries()
    assert home.names() == ["mine"] == [one.cluster for one in clusters(world=LocalMachine(home))]
    assert sweep(home) == []
    assert home.entries() == before, "and nothing of it is deleted"


@pytest.mark.parametrize("name", STRAY)
def test_what_is_no_cluster_is_not_worked_on(home: Home, name: str) -> None:
    before, world = home.entries(), LocalMachine(home)
    with pytest.raises(UnknownCluster):
        load_cluster(name, home)
    with pytest.raises(UnknownCluster):
        down(name, world=world)
    with pytest.raises(UnknownCluster):
        remove(name, world=world)
    with pytest.raises(AlreadyExists, match=f"clusters/{name} is there and holds no cluster"):
        up(ClusterSpec(name=name), world=world)
    assert home.entries() == before


def test_a_cluster_of_another_user(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = create(home, ClusterSpec(name="theirs", nodes=1)).folder
    allowed = os.access
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != theirs and allowed(path, mode))
    assert home.names() == ["mine"]
    for work in (
        lambda: load_cluster("theirs", home),
        lambda: up(ClusterSpec(name="theirs"), world=LocalMachine(home)),
    ):
        with pytest.raises(Damaged, match=f"{theirs} belongs to {theirs.owner()}"):
            work()


def test_a_copy_of_a_leashed_cluster_is_kept(home: Home) -> None:
    folder = home.folder / "clusters"
    os.mkfifo(folder / "mine" / "leash")
    (folder / "copy").mkdir()
    for name in ("cluster.json", "secret"):
        (folder / "copy" / name).write_bytes((folder / "mine" / name).read_bytes())
    os.mkfifo(folder / "copy" / "leash")
    assert sweep(home) == ["mine"]
    assert "copy" in home.names()


def test_where_no_node_could_live(monkeypatch: pytest.MonkeyPatch) -> None:
    check_place()
    if Path("/proc/self/ns/pid").exists():
        exists = Path.exists
        monkeypatch.setattr(Path, "exists", lambda path: path.name != "pid_for_children" and exists(path))
        with pytest.raises(Failed, match="without an init"):
            check_place()
