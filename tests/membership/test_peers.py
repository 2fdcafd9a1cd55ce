"""The peers file: written when something changed, read at the next boot, harmless when damaged."""

import pytest
from msgspec import DecodeError

from cluster.membership.peers import PATH, decode_peers
from tests.membership.small_world import World


def test_written_once_a_second_at_most_and_only_when_changed() -> None:
    world = World(3)
    world.start()
    world.run(0.9)
    assert world.disks["n1"].names("") == []
    world.run(0.3)
    written = world.disks["n1"].read(PATH)
    names = [(peer.name, peer.id, peer.epoch) for peer in decode_peers(written)]
    assert names == [("n1", "n1-aaaa", 1), ("n2", "n2-aaaa", 1), ("n3", "n3-aaaa", 1)]
    world.disks["n1"].write(PATH, b"untouched")
    world.run(30.0)
    assert world.disks["n1"].read(PATH) == b"untouched"


def test_ids_are_known_before_anyone_is_heard() -> None:
    world = World(3)
    world.start()
    world.run(2.0)
    for name in world.names:
        world.kill(name)
    world.start("n1")
    assert world["n1"].view("n2").id == "n2-aaaa"
    assert world["n1"].name_of("n2-aaaa") == "n2"
    assert world["n1"].heard_in_this_boot() == 1
    world.start("n2")
    world.run(1.0)
    assert world["n1"].heard_in_this_boot() == 2, "a recalled member is not heard, also not through another's memory"
    assert world["n1"].view("n2").epoch == 2


def test_a_damaged_file_is_reported_and_ignored() -> None:
    world = World(3)
    world.disks["n1"].write(PATH, b"{]")
    world.start()
    world.run(1.0)
    assert world.all_heard()
    assert len(world.processes["n1"].kinds("member.peers-file")) == 1


def test_a_disk_that_refuses_is_reported_and_survived() -> None:
    world = World(3)
    world.disks["n1"].refusal = OSError("no space")
    world.start()
    world.run(2.0)
    assert len(world.processes["n1"].kinds("member.peers-file")) >= 1
    assert world.converged()


def test_stopping_writes_what_is_due() -> None:
    world = World(2)
    world.start()
    world.run(0.5)
    world["n1"].stop()
    assert [peer.name for peer in decode_peers(world.disks["n1"].read(PATH))] == ["n1", "n2"]


@pytest.mark.parametrize("data", [b"", b"[]", b'{"peers": 1}', b'{"peers": [{"name": 1}]}'])
def test_decoding_refuses_other_documents(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_peers(data)
