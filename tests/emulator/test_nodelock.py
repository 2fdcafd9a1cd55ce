"""Liveness is the lock; the pid inside is checked from both sides before anything is sent to it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.emulator.inspect import inspect_node, live_holder, process_state
from cluster.emulator.nodelock import Holder, NodeLock, is_held, process_start, read_holder, stat_fields
from cluster.emulator.signals import end_nodes, open_node, signal_node
from cluster.errors import Failed

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is no node, and must come to no harm."""
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield process
    assert process.poll() is None, "the bystander was hit"
    assert process_state(process.pid) != "T", "the bystander was stopped"
    assert process.stdin is not None
    process.stdin.close()
    process.wait()


def test_held_while_the_process_has_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_held(path)
    first, second = NodeLock(path), NodeLock(path)
    assert first.take()
    assert is_held(path)
    assert not second.take(wait_s=0.01)
    assert read_holder(path) == Holder(os.getpid(), process_start(os.getpid()))
    assert live_holder(path) == read_holder(path)
    first.release()
    assert not is_held(path)
    assert live_holder(path) is None
    assert second.take()
    second.release()


def test_looking_does_not_keep_a_node_from_starting(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    assert not is_held(path)
    lock = NodeLock(path)
    assert lock.take(wait_s=0)
    lock.release()


def test_a_lock_file_that_was_deleted_is_no_place_to_live(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = NodeLock(path)
    assert lock.take() and lock.in_place()
    path.unlink()
    assert not lock.in_place()
    path.touch()
    assert not lock.in_place()
    lock.release()


@linux
@pytest.mark.parametrize("lie", ["started", "nobody"])
def test_a_reused_pid_is_never_hit(tmp_path: Path, bystander: subprocess.Popen[bytes], lie: str) -> None:
    """The lock is held, but the pid inside is that of a process that came later."""
    path = tmp_path / "lock"
    lock = NodeLock(path)
    assert lock.take()
    started = process_start(bystander.pid)
    path.write_text(f"{bystander.pid} {started - 1 if lie == 'started' else 0}\n")
    assert open_node(tmp_path) is None
    assert not signal_node(tmp_path, signal.SIGKILL)
    assert inspect_node(tmp_path).state == "starting"
    lock.release()


def test_a_pid_without_the_lock_is_nothing(tmp_path: Path, bystander: subprocess.Popen[bytes]) -> None:
    (tmp_path / "lock").write_text(f"{bystander.pid} {process_start(bystander.pid)}\n")
    assert inspect_node(tmp_path).state == "stopped"
    assert not signal_node(tmp_path, signal.SIGKILL)
    end_nodes([tmp_path])


@pytest.mark.parametrize("content", ["", "garbage", "12", "-1 5", "1 2 3"])
def test_garbage_in_the_lock_names_nobody(tmp_path: Path, content: str) -> None:
    lock = NodeLock(tmp_path / "lock")
    assert lock.take()
    (tmp_path / "lock").write_text(content)
    assert inspect_node(tmp_path).state == "starting"
    assert not signal_node(tmp_path, signal.SIGKILL)
    lock.release()


def test_a_holder_that_cannot_be_named_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.emulator.signals.KILL_WAIT_S", 0.05)
    lock = NodeLock(tmp_path / "lock")
    assert lock.take()
    (tmp_path / "lock").write_text("")
    with pytest.raises(Failed, match=tmp_path.name):
        end_nodes([tmp_path], grace_s=0)
    lock.release()


@linux
def test_a_name_with_parentheses_and_spaces_is_read_past() -> None:
    fields = stat_fields(os.getpid())
    assert fields[0] in "RSD"
    assert int(fields[1]) == os.getppid()
    assert stat_fields(2**22 + 1) == []


@linux
def test_a_node_of_another_pid_namespace_is_said_to_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = NodeLock(tmp_path / "lock")
    assert lock.take()

    def nobody_here(pid: int) -> int:
        raise ProcessLookupError(pid)

    monkeypatch.setattr(os, "pidfd_open", nobody_here)
    with pytest.raises(Failed, match="another PID namespace"):
        open_node(tmp_path)
    lock.release()
    assert open_node(tmp_path) is None
