"""A node's process keeps nothing of what started it: no descriptor, no terminal, no folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.emulator import cluster as emulator
from cluster.emulator.cluster import LocalMachine
from cluster.emulator.spec import ClusterSpec

HERE = Path(__file__).parent
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


@linux
def test_descriptors_session_folder_and_title(world: LocalMachine) -> None:
    inherited, other = os.pipe()
    os.set_inheritable(other, True)
    try:
        made = emulator.up(ClusterSpec(name="c", nodes=2), world=world)
    finally:
        os.close(inherited)
        os.close(other)
    for name, process in made.nodes.items():
        proc = Path(f"/proc/{process.pid}")
        links = {int(entry.name): os.readlink(entry) for entry in (proc / "fd").iterdir()}
        assert links[0] == "/dev/null"
        assert links[1] == links[2] == str(made.files.log(name))
        # What is left is the node's own: its lock, its sockets, its loop's pipes and polls.
        for descriptor, link in links.items():
            own = link.startswith((str(made.files.node(name)), "socket:", "anon_inode:", "/dev/null"))
            assert own or _is_private_pipe(link, process.pid or 0), f"{descriptor} -> {link}"
        assert os.readlink(proc / "cwd") == "/"
        assert (proc / "cmdline").read_bytes().rstrip(b"\0") == f"dsectl node c/{name}".encode()
        assert os.getsid(process.pid or 0) == process.pid
        assert process.rss_mb > 1


def _is_private_pipe(link: str, pid: int) -> bool:
    """Whether a pipe is the process's own, with both ends (uvloop's way to wake itself)."""
    links = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    return link.startswith("pipe:") and links.count(link) == 2


def test_up_into_a_pipe_ends(world: LocalMachine) -> None:
    """`up | cat` hangs when a node inherits the pipe, because cat never sees the end of its input."""
    done = subprocess.run(
        f"'{sys.executable}' '{HERE}/driver.py' c </dev/null 2>&1 | cat",
        shell=True,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "up"
    assert emulator.clusters(world=world)[0].alive == 3


def test_the_folder_that_the_user_stands_in_is_not_imported(
    world: LocalMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for trap in ("cluster", "msgspec", "asyncio"):
        (tmp_path / f"{trap}.py").write_text("raise SystemExit('imported from the current folder')")
    monkeypatch.chdir(tmp_path)
    assert emulator.up(ClusterSpec(name="c", nodes=1), world=world).nodes["n1"].state == "running"
