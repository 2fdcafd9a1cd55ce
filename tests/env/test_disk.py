"""The contract of files: cluster/env/seam.py, `Disk` and `AppendFile`."""

import pytest

from tests.env.stages import Stage


def test_an_append_file_grows_and_keeps_its_size(stage: Stage) -> None:
    disk = stage.env("node").disk
    file = disk.append("log/0001")
    assert file.size == 0
    file.append(b"one")
    file.append(b"")
    file.append(b"two")
    assert (file.size, disk.read("log/0001")) == (6, b"onetwo")
    file.close()
    again = disk.append("log/0001")
    assert again.size == 6
    again.append(b"!")
    again.close()
    assert disk.read("log/0001") == b"onetwo!"


def test_truncate_cuts(stage: Stage) -> None:
    disk = stage.env("node").disk
    file = disk.append("log")
    file.append(b"0123456789")
    file.close()
    disk.truncate("log", 4)
    assert disk.read("log") == b"0123"
    with pytest.raises(FileNotFoundError):
        disk.truncate("missing", 0)


def test_a_flushed_file_goes_on(stage: Stage) -> None:
    disk = stage.env("node").disk
    file = disk.append("log")
    file.append(b"one")
    file.flush()
    file.append(b"two")
    file.close()
    assert disk.read("log") == b"onetwo"


def test_write_in_place_makes_the_file_and_then_overwrites_its_start(stage: Stage) -> None:
    disk = stage.env("node").disk
    disk.write_in_place("log/mark", b"0123")
    disk.write_in_place("log/mark", b"4567")
    assert disk.read("log/mark") == b"4567" and disk.names("log") == ["mark"]


def test_write_replaces(stage: Stage) -> None:
    disk = stage.env("node").disk
    disk.write("state/epoch", b"1")
    disk.write("state/epoch", b"22")
    assert disk.read("state/epoch") == b"22"
    assert disk.names("state") == ["epoch"]


def test_what_is_missing(stage: Stage) -> None:
    disk = stage.env("node").disk
    with pytest.raises(FileNotFoundError):
        disk.read("missing")
    assert disk.names("missing") == []
    assert disk.names("") == []
    disk.remove("missing")


def test_names_are_sorted_and_of_one_level(stage: Stage) -> None:
    disk = stage.env("node").disk
    for path in ("b", "a", "folder/inner", "folder/deeper/inner"):
        disk.write(path, b"")
    assert disk.names("") == ["a", "b", "folder"]
    assert disk.names("folder") == ["deeper", "inner"]
    disk.remove("a")
    assert disk.names("") == ["b", "folder"]
    with pytest.raises(FileNotFoundError):
        disk.read("a")


def test_sync_calls_back_in_a_later_pass_even_when_closed_meanwhile(stage: Stage) -> None:
    disk = stage.env("node").disk
    file = disk.append("log")
    file.append(b"x")
    done: list[OSError | None] = []
    file.sync(done.append)
    file.sync(done.append)
    assert done == []
    file.close()
    file.close()
    stage.until(lambda: len(done) == 2)
    assert done == [None, None]


def test_two_nodes_do_not_share_files(stage: Stage) -> None:
    stage.env("one").disk.write("name", b"one")
    stage.env("two").disk.write("name", b"two")
    assert stage.env("one").disk.read("name") == b"one"


def test_a_part_is_read_in_a_later_pass(stage: Stage) -> None:
    disk = stage.env("node").disk
    disk.write("log/0001", b"0123456789")
    read: list[bytes | OSError] = []
    disk.read_part("log/0001", 3, 4, read.append)
    disk.read_part("log/0001", 8, 4, read.append)
    disk.read_part("missing", 0, 4, read.append)
    assert read == []
    stage.until(lambda: len(read) == 3)
    assert {one for one in read if isinstance(one, bytes)} == {b"3456", b"89"}
    assert [type(one) for one in read if isinstance(one, OSError)] == [FileNotFoundError]


def test_what_is_removed_soon_goes(stage: Stage) -> None:
    disk = stage.env("node").disk
    disk.write("log/0001", b"0123456789")
    disk.remove_soon("log/0001")
    disk.remove_soon("missing")
    stage.until(lambda: disk.names("log") == [])
