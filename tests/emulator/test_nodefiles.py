"""What a node's folder must hold: the layout is given again, an identity is not, and nothing is ever deleted."""

import errno
import os
import shutil
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from cluster.chain.entry import ChainEntry, digest, encode_chain, genesis
from cluster.emulator.genesis import create
from cluster.emulator.home import NODE_CHAIN_FOLDER, ClusterFiles, Home
from cluster.emulator.nodefiles import (
    chain_files,
    check_room,
    combined,
    damaged_nodes,
    give_layouts,
    identity_damage,
    newest_entry,
    set_aside,
)
from cluster.emulator.spec import ClusterSpec
from cluster.errors import Damaged, StorageFull
from cluster.layout import decode_entry


@pytest.fixture
def made(tmp_path: Path) -> ClusterFiles:
    return create(Home(tmp_path), ClusterSpec(name="c", nodes=3))


def test_a_new_cluster_is_whole(made: ClusterFiles) -> None:
    assert damaged_nodes(made, made.nodes) == {}
    assert give_layouts(made, made.nodes) == []


@pytest.mark.parametrize("damage", [b"", b"garbage", b'{"name":"n1","id":"x","epoch":1}', b"\xff\xfe", None])
def test_a_damaged_identity_keeps_only_its_own_node_down(made: ClusterFiles, damage: bytes | None) -> None:
    boot = made.node("n2") / "boot.json"
    if damage is None:
        boot.unlink()
        (made.node("n2") / "log").mkdir(exist_ok=True)
        (made.node("n2") / "log" / "00000001.log").write_bytes(b"something")
    else:
        boot.write_bytes(damage)
    damaged = damaged_nodes(made, made.nodes)
    assert list(damaged) == ["n2"]
    assert str(boot) in damaged["n2"].message
    assert "dsectl -C c restart n2 --replace" in damaged["n2"].help


def test_a_wiped_folder_is_no_damage(made: ClusterFiles) -> None:
    for path in made.node("n2").rglob("*.*"):
        path.unlink()
    (made.node("n2") / "log" / "mark").unlink()
    assert identity_damage(made, "n2") is None
    assert give_layouts(made, made.nodes) == ["n2"]
    made.node("n3").rename(made.folder / "elsewhere")
    assert identity_damage(made, "n3") is None
    assert give_layouts(made, made.nodes) == ["n3"]
    assert not (made.node("n2") / "boot.json").exists(), "an empty directory takes a new id"


@pytest.mark.parametrize("damage", [None, b"garbage", b"{}"])
def test_the_first_layout_is_given_again_and_the_longest_chain(made: ClusterFiles, damage: bytes | None) -> None:
    newer = msgspec.structs.replace(made.record.entry(), number=2)
    entry = encode_chain(ChainEntry(2, "add n4", newer, {"n1": "n1-1"}))
    chain = made.node("n3") / "chain"
    chain.mkdir()
    (chain / "00000002.json").write_bytes(entry)
    layout = made.node("n2") / "layout.json"
    if damage is None:
        layout.unlink()
    else:
        layout.write_bytes(damage)
    assert give_layouts(made, made.nodes) == ["n2"]
    assert decode_entry(layout.read_bytes()) == made.record.entry()
    assert (made.node("n2") / "chain" / "00000002.json").read_bytes() == entry
    if damage is not None:
        assert layout.with_name("layout.json.damaged").read_bytes() == damage


def test_the_layout_that_clients_read_is_given_again(made: ClusterFiles) -> None:
    (made.folder / "layout.json").write_bytes(b"garbage")
    assert give_layouts(made, made.nodes) == []
    assert decode_entry((made.folder / "layout.json").read_bytes()) == made.record.entry()


def test_what_is_replaced_is_set_aside_each_time(made: ClusterFiles) -> None:
    folder = made.node("n2")
    (folder / "node.log").write_text("said")
    first = set_aside(folder)
    assert first is not None
    assert sorted(path.name for path in first.iterdir()) == ["boot.json", "layout.json", "log"]
    assert (folder / "node.log").read_text() == "said"
    assert set_aside(folder) is None
    (folder / "boot.json").write_text("{}")
    second = set_aside(folder)
    assert second is not None
    assert second != first
    assert set_aside(made.folder / "nodes" / "gone") is None


def test_a_node_without_room_is_not_ended(made: ClusterFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    check_room(made.node("n1"))
    before = sorted(path.name for path in made.node("n1").iterdir())

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StorageFull, match="n1") as error:
        check_room(made.node("n1"))
    assert "Nothing was ended" in error.value.help
    assert sorted(path.name for path in made.node("n1").iterdir()) == before


def test_several_failures_make_one_error_that_names_them_all() -> None:
    error = combined({"n1": Damaged("node n1: bad", help="a"), "n2": Damaged("node n2: worse", help="b")})
    assert (error.message, error.help) == ("node n1: bad; node n2: worse", "a\nb")
    assert error.detail == {"failed": ["n1", "n2"]}


def test_an_entry_of_the_chain_that_cannot_be_read_hides_no_other(made: ClusterFiles) -> None:
    later = msgspec.structs.replace(genesis(made.record.entry()), slot=2, what="add n4")
    for node, slot, blob in (("n1", 2, encode_chain(later)), ("n2", 3, b"{")):
        folder = made.node(node) / NODE_CHAIN_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{slot:08}.json").write_bytes(blob)
    newest = newest_entry(made)
    assert newest is not None and newest.what == "add n4"


def test_the_chain_of_the_last_fork_counts_however_long_the_other_is(made: ClusterFiles) -> None:
    first = genesis(made.record.entry())
    joined = replace(first, slot=2, what="add n4", follows=digest(first))
    theirs = replace(joined, slot=3, what="add n4: done", follows=digest(joined))
    ours = replace(first, slot=2, what="forget n2, n3 by force", follows=digest(first), fork=1_000_000)
    for node, entries in (("n1", [ours]), ("n2", [joined, theirs]), ("n3", [joined])):
        folder = made.node(node) / NODE_CHAIN_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        for entry in entries:
            (folder / f"{entry.slot:08}.json").write_bytes(encode_chain(entry))
    assert newest_entry(made) == ours
    assert chain_files(made) == {"00000002.json": encode_chain(ours)}
    shutil.rmtree(made.node("n1") / NODE_CHAIN_FOLDER)
    assert list(chain_files(made)) == ["00000002.json", "00000003.json"]
