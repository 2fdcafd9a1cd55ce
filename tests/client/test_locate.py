"""Finding a cluster's files: by environment, by platform, and what is said about files that are not right."""

import sys
from pathlib import Path

import pytest

from cluster.client.locate import Location, cluster_folder, find, home, locate
from cluster.errors import Damaged, UnknownCluster, Usage
from cluster.layout.entry import LayoutEntry, LayoutMember, encode_entry

ENTRY = LayoutEntry(
    1, "mine", (LayoutMember("n1", "a", "127.0.0.1", 7001), LayoutMember("n2", "b", "127.0.0.1", 7002)), 3, 2, 2
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of a cluster called `mine`."""
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path))
    folder = tmp_path / "clusters" / "mine"
    folder.mkdir(parents=True)
    (folder / "layout.json").write_bytes(encode_entry(ENTRY))
    (folder / "secret").write_bytes(b"s" * 32)
    return folder


def test_a_cluster_is_found_by_name(folder: Path) -> None:
    found = locate("mine")
    assert found == Location("mine", b"s" * 32, {"n1": ("127.0.0.1", 7001), "n2": ("127.0.0.1", 7002)}, ENTRY)
    assert found.layout == 1 and str(folder) == cluster_folder("mine")
    assert "sss" not in repr(found)


def test_the_home_is_absolute_and_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DSECTL_HOME", "~/here")
    assert home() == str(tmp_path / "here")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DSECTL_HOME", "there")
    assert home() == str(tmp_path / "there")


def test_a_relative_state_directory_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DSECTL_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    for name in ("XDG_STATE_HOME", "HOME"):
        monkeypatch.setenv(name, "state")
        assert home().startswith(str(tmp_path / "state"))


def test_no_folder_is_named_after_a_home_that_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DSECTL_HOME", "~nobody9/here")
    with pytest.raises(Usage, match="the user nobody9 has no home"):
        home()
    monkeypatch.delenv("DSECTL_HOME")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", "")
    with pytest.raises(Usage, match="this user has no home"):
        home()


def test_a_folder_of_another_user_is_named_with_its_owner(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: str(path) != str(folder))
    with pytest.raises(Damaged, match=f"{folder} belongs to {folder.owner()}"):
        locate("mine")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the short cut")
@pytest.mark.parametrize("state", [None, "", " ", "/var/state"])
def test_the_short_cut_is_what_platformdirs_answers(state: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    from platformdirs import user_state_dir

    monkeypatch.delenv("DSECTL_HOME", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    if state is not None:
        monkeypatch.setenv("XDG_STATE_HOME", state)
    assert home() == user_state_dir("dsectl", appauthor=False)


def test_an_unknown_cluster(folder: Path) -> None:
    with pytest.raises(UnknownCluster, match="'other'"):
        locate("other")


@pytest.mark.parametrize("name", ["", "../mine", "a/b", "Mine", "-x", "x" * 33])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(Usage):
        cluster_folder(name)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("secret", None, "missing"),
        ("secret", b"short", "5 bytes"),
        ("layout.json", None, "missing"),
        ("layout.json", b"{", "cannot be read"),
        ("layout.json", b'{"number": 1}', "cannot be read"),
    ],
)
def test_damaged_files(folder: Path, file: str, content: bytes | None, words: str) -> None:
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(Damaged, match=words):
        locate("mine")


def test_addresses_instead_of_a_name() -> None:
    found = find(["127.0.0.1:7001", "[::1]:7002"], b"s" * 32, "mine")
    assert found.nodes == {"127.0.0.1:7001": ("127.0.0.1", 7001), "::1:7002": ("::1", 7002)}
    assert found.name == "mine" and found.layout == 0


@pytest.mark.parametrize("target", ["nowhere", "host:", ":7001", "host:0", "host:70000", "host:x"])
def test_what_is_no_address(target: str) -> None:
    with pytest.raises(Usage, match="not an address"):
        find([target], b"s" * 32, None)


def test_addresses_need_a_secret() -> None:
    with pytest.raises(Usage, match="secret"):
        find(["127.0.0.1:7001"], None, None)
    with pytest.raises(Usage, match="at least one"):
        find([], b"s" * 32, None)
