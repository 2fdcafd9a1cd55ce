"""The cluster's own files follow the chain, whoever looks, and nobody who only reads is kept from it."""

import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from cluster.chain.entry import ChainEntry, added, digest, encode_chain, entry_path, genesis, left, switched
from cluster.client.locate import LAYOUT_FILE
from cluster.emulator.cluster import LOCK_WAIT_S
from cluster.emulator.disk import locked
from cluster.emulator.genesis import create
from cluster.emulator.home import ClusterFiles, Home
from cluster.emulator.members import LEFT_FOLDER, current, move_out
from cluster.emulator.spec import ClusterSpec
from cluster.layout import LayoutMember, decode_entry


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def files(home: Home) -> ClusterFiles:
    return create(home, ClusterSpec(name="c", nodes=4))


def decide(files: ClusterFiles, *entries: ChainEntry) -> None:
    """Every node has these on its disk, as the next of its chain."""
    before = genesis(files.record.entry())
    for entry in entries:
        entry = replace(entry, follows=digest(before))
        for node in (files.folder / "nodes").iterdir():
            path = node / entry_path(entry.slot)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(encode_chain(entry))
        before = entry


def leave(files: ClusterFiles, name: str) -> None:
    moving = left(genesis(files.record.entry()), [name], gone=False)
    decide(files, moving, switched(moving))


def test_who_reads_sees_the_members_of_now(home: Home, files: ClusterFiles) -> None:
    leave(files, "n2")
    assert current("c", home).nodes == ["n1", "n3", "n4"]
    layout = decode_entry((files.folder / LAYOUT_FILE).read_bytes())
    assert layout.number == 3 and [member.name for member in layout.members] == ["n1", "n3", "n4"]
    assert (files.folder / LEFT_FOLDER / "n2-1").is_dir() and not (files.folder / "nodes" / "n2").exists()


def test_who_reads_does_not_wait_for_who_changes(home: Home, files: ClusterFiles) -> None:
    leave(files, "n2")
    with locked(home.lock("c"), 1.0):
        began = time.monotonic()
        assert current("c", home).nodes == files.nodes
        assert time.monotonic() - began < LOCK_WAIT_S / 2
    assert current("c", home).nodes == ["n1", "n3", "n4"]


def test_who_may_not_write_reads_all_the_same(home: Home, files: ClusterFiles) -> None:
    leave(files, "n2")
    (files.folder / LEFT_FOLDER).write_bytes(b"in the way")
    assert current("c", home).nodes == files.nodes


@pytest.mark.parametrize("name", ["n1", "n2", "n3", "n4"])
def test_one_chain_that_can_be_read_is_enough(home: Home, files: ClusterFiles, name: str) -> None:
    leave(files, "n2")
    for node in files.nodes:
        if node != name:
            (files.node(node) / entry_path(3)).write_bytes(b"{")
            (files.node(node) / entry_path(2)).unlink()
    assert current("c", home).nodes == ["n1", "n3", "n4"]


def test_a_member_that_was_never_made_is_no_place(home: Home, files: ClusterFiles) -> None:
    decide(files, added(genesis(files.record.entry()), [LayoutMember("n5", "z1", "127.0.0.1", 7)]))
    assert current("c", home).nodes == files.nodes
    (files.folder / "nodes" / "n5").mkdir()
    assert current("c", home).nodes == [*files.nodes, "n5"]


def test_a_name_that_leaves_again_and_again_is_set_aside_each_time(files: ClusterFiles) -> None:
    """Also when what was set aside before was taken away in part."""
    for number in (1, 2, 3):
        folder = files.folder / "nodes" / "n9"
        (folder / "log").mkdir(parents=True)
        assert move_out(files, folder, "n9").name == f"n9-{number}"
        if number == 2:
            first = files.folder / LEFT_FOLDER / "n9-1"
            (first / "log").rmdir()
            first.rmdir()


def test_of_a_chain_whose_end_cannot_be_read_the_rest_counts(home: Home, files: ClusterFiles) -> None:
    leave(files, "n2")
    for node in files.nodes:
        (files.node(node) / entry_path(3)).write_bytes(b"{")
    assert current("c", home).nodes == files.nodes, "until somebody has the entry by which it has left"
    assert decode_entry((files.folder / LAYOUT_FILE).read_bytes()).number == 2
