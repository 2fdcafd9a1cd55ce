"""Files of the state directory: whole or not at all, and locks that the kernel keeps."""

import errno
import os
from pathlib import Path

import pytest

from cluster.emulator import disk
from cluster.emulator.disk import disk_error, is_in_place, locked, read, replace, tail, take_lock
from cluster.errors import AlreadyExists, ClusterError, Damaged, Failed, StorageFull


def test_replace_leaves_the_old_content_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    replace(file, b"old")

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="full"):
        replace(file, b"new")
    monkeypatch.undo()
    assert file.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EROFS, Damaged),
        (errno.EACCES, Damaged),
        (errno.EIO, Damaged),
    ],
)
def test_what_the_system_says_in_our_words(code: int, expected: type[ClusterError]) -> None:
    error = disk_error("write it", OSError(code, os.strerror(code), "/some/file"))
    assert type(error) is expected
    assert "/some/file" in error.message and "write it" in error.message
    assert disk_error("lock /some/file", OSError(code, "why", "/some/file")).message.count("/some/file") == 1


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Damaged, match="nothing is missing"):
        read(tmp_path / "nothing")


def test_a_lock_excludes_and_is_let_go(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "a"
    with locked(path, 0):
        with pytest.raises(Failed, match="keeps"), locked(path, 0.01):
            pass
        with pytest.raises(AlreadyExists), locked(path, 0, AlreadyExists("busy")):
            pass
    with locked(path, 0):
        pass


def test_the_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert tail(log) == ""
    log.write_text("".join(f"line {number}\n" for number in range(5000)))
    assert tail(log, 2) == "line 4998\nline 4999"


def test_a_lock_that_its_holder_deletes_is_never_held_twice(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    stale = os.open(path, os.O_RDWR | os.O_CREAT)
    with locked(path, 1.0):
        path.unlink()
        with locked(path, 1.0):  # another file by now: whoever still waits for the old one must not take it for this
            assert not is_in_place(stale, path)
    os.close(stale)


def test_a_lock_on_a_file_that_was_deleted_meanwhile_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    taken: list[int] = []

    def take(descriptor: int, wait_s: float) -> bool:
        if not taken:
            path.unlink()  # by the holder that this one waited for
        taken.append(descriptor)
        return take_lock(descriptor, wait_s)

    monkeypatch.setattr(disk, "take_lock", take)
    with locked(path, 1.0):
        assert len(taken) == 2 and path.exists()
