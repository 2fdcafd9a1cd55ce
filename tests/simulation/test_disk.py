"""What a crash and a power loss leave on a simulated disk, and its other faults."""

import errno

import pytest

from cluster.env import AppendFile
from cluster.simulation import World
from cluster.simulation.disk import BLOCK_BYTES

SYNCED = b"synced "
GIVEN = b"given to the kernel"


def half_synced(world: World) -> AppendFile:
    """A file with both parts, the first of them synced."""
    file = world.env("n1").disk.append("log")
    done: list[OSError | None] = []
    file.append(SYNCED)
    file.sync(done.append)
    file.append(GIVEN)
    world.run_until_true(lambda: bool(done))
    assert done == [None]
    assert world.disk("n1").unsynced("log") == len(GIVEN)
    return file


def test_a_crash_keeps_what_the_kernel_has(world: World) -> None:
    half_synced(world)
    world.crash("n1")
    assert world.env("n1").disk.read("log") == SYNCED + GIVEN


def test_a_power_loss_keeps_what_is_synced(world: World) -> None:
    half_synced(world)
    world.power_loss("n1", torn=False)
    assert world.env("n1").disk.read("log") == SYNCED


def test_a_torn_write_keeps_a_part(seed: int) -> None:
    lengths = []
    for number in range(20):
        with World(1000 * seed + number) as world:
            half_synced(world)
            world.power_loss("n1")
            left = world.env("n1").disk.read("log")
            assert (SYNCED + GIVEN).startswith(left)
            lengths.append(len(left))
    assert min(lengths) >= len(SYNCED)
    assert len(set(lengths)) > 3


def test_a_sync_that_was_under_way_does_not_count(world: World) -> None:
    file = world.env("n1").disk.append("log")
    file.append(b"x")
    file.sync(lambda error: None)
    world.power_loss("n1", torn=False)
    assert world.env("n1").disk.read("log") == b""
    world.run_for(1.0)
    assert world.disk("n1").unsynced("log") == 0


def test_a_sync_outlives_the_process(world: World) -> None:
    file = world.env("n1").disk.append("log")
    file.append(b"x")
    file.sync(lambda error: None)
    world.crash("n1")
    world.run_for(1.0)
    world.env("n1")
    world.power_loss("n1", torn=False)
    assert world.env("n1").disk.read("log") == b"x"


def test_names_and_replacements_are_durable(world: World) -> None:
    disk = world.env("n1").disk
    disk.write("epoch", b"1")
    disk.write("epoch", b"2")
    disk.append("log/0001").append(b"unsynced")
    world.power_loss("n1", torn=False)
    disk = world.env("n1").disk
    assert (disk.read("epoch"), disk.read("log/0001")) == (b"2", b"")


def test_a_removal_is_durable_only_with_its_folder(seed: int) -> None:
    back = 0
    for number in range(20):
        with World(1000 * seed + number) as world:
            disk = world.env("n1").disk
            for path in ("log/1", "log/2", "other/1"):
                disk.write(path, b"x")
            disk.remove("log/1")
            disk.append("log/3")  # syncs the folder
            disk.remove("other/1")
            assert disk.names("other") == []
            world.power_loss("n1")
            assert world.env("n1").disk.names("log") == ["2", "3"]
            back += len(world.env("n1").disk.names("other"))
    assert 0 < back < 20


def test_a_failed_sync_reports_and_never_becomes_durable(world: World) -> None:
    file = world.env("n1").disk.append("log")
    world.disk("n1").fail_next_sync()
    file.append(b"x")
    done: list[OSError | None] = []
    file.sync(done.append)
    world.run_until_true(lambda: len(done) == 1)
    file.sync(done.append)
    world.run_until_true(lambda: len(done) == 2)
    assert done[0] is not None and done[0].errno == errno.EIO
    assert done[1] is None, "the kernel forgets, and says that all is well"
    world.power_loss("n1", torn=False)
    assert world.env("n1").disk.read("log") == b""


def test_a_full_disk_takes_all_or_nothing(world: World) -> None:
    disk = world.env("n1").disk
    disk.write("small", b"old")
    file = disk.append("log")
    world.disk("n1").full_after(10)
    file.append(b"12345678")
    with pytest.raises(OSError, match="No space") as caught:
        file.append(b"123")
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match="No space"):
        disk.write("small", b"new")
    assert (file.size, disk.read("log"), disk.read("small")) == (8, b"12345678", b"old")
    file.append(b"90")
    world.disk("n1").full_after(None)
    file.append(b"more")
    assert disk.read("log") == b"1234567890more"


def test_a_flipped_byte(world: World) -> None:
    disk = world.env("n1").disk
    disk.write("log", bytes(100))
    assert world.disk("n1").flip_byte("log", 7) == 7
    anywhere = world.disk("n1").flip_byte("log")
    damaged = [index for index, byte in enumerate(disk.read("log")) if byte]
    assert damaged in ([7], sorted([7, anywhere]))
    world.power_loss("n1")
    assert world.env("n1").disk.read("log") == disk.read("log"), "the medium is damaged too"


def test_truncating_is_durable_and_a_file_may_be_cut_to_nothing(world: World) -> None:
    half_synced(world)
    disk = world.env("n1").disk
    disk.truncate("log", len(SYNCED) + 5)
    world.power_loss("n1", torn=False)
    assert world.env("n1").disk.read("log") == SYNCED + GIVEN[:5]
    world.env("n1").disk.truncate("log", 0)
    assert world.env("n1").disk.read("log") == b""


def test_blocks_reach_the_medium_in_any_order(seed: int) -> None:
    """What was synced stays; behind it whole blocks are there or zeros, and not always from the front."""
    kinds: dict[str, int] = {"there": 0, "zeros": 0, "hole": 0}
    for run in range(20):
        with World(seed * 100 + run) as world:
            file = world.env("n1").disk.append("log")
            file.append(b"s" * 1000)
            file.sync(lambda error: None)
            world.run_for(1.0)
            file.append(b"u" * 30_000)
            world.power_loss("n1", scattered=True)
            data = world.disk("n1").read("log")
        assert data[:1000] == b"s" * 1000 and len(data) <= 31_000
        blocks = [data[max(start, 1000) : start + BLOCK_BYTES] for start in range(0, len(data), BLOCK_BYTES)]
        found = ["there" if block == b"u" * len(block) else "zeros" for block in blocks if block]
        assert all(block in (b"u" * len(block), bytes(len(block))) for block in blocks)
        for one in found:
            kinds[one] += 1
        kinds["hole"] += "there" in found[found.index("zeros") :] if "zeros" in found else 0
    assert all(kinds.values()), kinds
