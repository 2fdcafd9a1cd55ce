"""The birth of a cluster on disk: complete, private, and nothing half-made when it fails."""

import errno
import stat
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from cluster.client.locate import locate
from cluster.emulator import disk, genesis
from cluster.emulator.genesis import create, owned_ports
from cluster.emulator.home import ClusterFiles, Home, load_cluster
from cluster.emulator.spec import ClusterSpec
from cluster.errors import ClusterError, Damaged, NotFound, StorageFull, UnknownCluster, Usage
from cluster.layout import decode_entry


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path / "home"))
    return Home(tmp_path / "home")


def make(home: Home, name: str = "c", nodes: int = 3, durability: str | None = None) -> ClusterFiles:
    return create(home, ClusterSpec(name=name, nodes=nodes, durability=durability))


@pytest.mark.parametrize("durability", [None, "always"])
def test_everything_that_a_node_needs_is_there(home: Home, durability: str | None) -> None:
    made = make(home, durability=durability)
    assert load_cluster("c", home) == made
    assert made.nodes == ["n1", "n2", "n3"]
    boots = []
    for name in made.nodes:
        entry = decode_entry((made.node(name) / "layout.json").read_bytes())
        assert {member.name: (member.host, member.port) for member in entry.members} == made.addresses
        boots.append(msgspec.json.decode((made.node(name) / "boot.json").read_bytes()))
    assert [(boot["name"], boot["epoch"]) for boot in boots] == [("n1", 0), ("n2", 0), ("n3", 0)]
    assert len({boot["id"] for boot in boots}) == 3


def test_a_client_finds_it(home: Home) -> None:
    made = make(home)
    found = locate("c")
    assert (found.secret, found.nodes, found.layout) == (made.secret, made.addresses, 1)


def test_nobody_else_can_read_it(home: Home) -> None:
    made = make(home)
    for path in [home.folder, made.folder, *made.folder.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert made.secret.hex() not in repr(made)


def test_ports_of_stopped_clusters_stay_theirs(home: Home) -> None:
    first = make(home, "a", 20)
    base = first.record.places[0].port
    with pytest.raises(Usage, match=f"port {base + 19} belongs to cluster 'a'"):
        create(home, ClusterSpec(name="b", nodes=3, base_port=base + 19))
    second = make(home, "b", 20)
    assert not set(owned_ports(home)) - {place.port for made in (first, second) for place in made.record.places}
    assert len(owned_ports(home)) == 40


def test_ports_of_a_damaged_cluster_are_not_known_and_do_no_harm(home: Home) -> None:
    made = make(home, "a")
    (made.folder / "cluster.json").write_bytes(b"{")
    assert owned_ports(home) == {}
    make(home, "b")


@pytest.mark.parametrize(
    ("code", "expected"), [(errno.ENOSPC, StorageFull), (errno.EDQUOT, StorageFull), (errno.EROFS, Damaged)]
)
@pytest.mark.parametrize("after", [0, 1, 4, 9])
def test_a_disk_that_refuses_leaves_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch, code: int, expected: type[ClusterError], after: int
) -> None:
    real: Callable[..., None] = disk.write_new
    written: list[Path] = []

    def refusing(path: Path, data: bytes, durable: bool = False) -> None:
        if len(written) == after:
            path.touch()
            raise OSError(code, "refused", str(path))
        written.append(path)
        real(path, data, durable)

    monkeypatch.setattr(genesis, "write_new", refusing)
    with pytest.raises(expected, match="refused"):
        make(home)
    assert home.entries() == []
    monkeypatch.undo()
    make(home)


def test_a_home_that_is_a_file_is_said_to_be_damaged(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("not a folder")
    with pytest.raises(Damaged, match="home"):
        make(Home(tmp_path / "home"))


def test_what_an_interrupted_genesis_left_is_no_hindrance(home: Home) -> None:
    left = home.cluster("c").with_name(".new-c")
    (left / "nodes").mkdir(parents=True)
    assert home.names() == []
    make(home)
    assert home.entries() == ["c"]


@pytest.mark.parametrize("name", ["", "C", "../c", "a b", ".new-c", "x" * 33])
def test_bad_names_are_refused(home: Home, name: str) -> None:
    with pytest.raises(Usage):
        make(home, name)
    assert home.entries() == []


def test_unknown_clusters_and_nodes(home: Home) -> None:
    with pytest.raises(UnknownCluster):
        load_cluster("c", home)
    with pytest.raises(NotFound, match="n9"):
        make(home).node("n9")


@pytest.mark.parametrize("file", ["cluster.json", "secret"])
def test_a_cluster_that_cannot_be_read_names_the_file(home: Home, file: str) -> None:
    made = make(home)
    for damage in ("garbage", None):
        if damage is None:
            (made.folder / file).unlink()
        else:
            (made.folder / file).write_text(damage)
        with pytest.raises(Damaged, match=file) as error:
            load_cluster("c", home)
        assert "rm" not in error.value.help.split(), "nothing that is good is to be deleted"
