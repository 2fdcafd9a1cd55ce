"""Nothing is orphaned: what ends when the leash's holder, the time to live or the cluster's folder is gone."""

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from cluster.emulator import cluster as emulator
from cluster.emulator.cluster import LocalMachine
from cluster.emulator.home import ClusterFiles, load_cluster
from cluster.emulator.launch import Launch
from cluster.emulator.spec import ClusterSpec


def say(process: subprocess.Popen[str], word: str) -> None:
    """Read the driver's words up to `word`."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == word:
            return
    pytest.fail(f"the driver ended before it said {word}: {process.communicate()}")


def alive(files: ClusterFiles) -> list[str]:
    return [name for name, process in emulator.processes(files).items() if process.alive]


@pytest.mark.parametrize("end", ["kill", "stdin"])
def test_the_end_of_the_holder_ends_the_nodes(world: LocalMachine, drive: Any, eventually: Any, end: str) -> None:
    """Also the one that another command restarted, and the one that is paused."""
    holder = drive("c", "--leashed")
    say(holder, "up")
    files = load_cluster("c", world.home)
    emulator.kill("c", ["n2"], world=world)
    emulator.restart("c", ["n2"], world=world)
    emulator.pause("c", ["n3"], world=world)
    assert alive(files) == ["n1", "n2", "n3"]
    if end == "kill":
        holder.kill()
    else:
        holder.stdin.close()
    holder.wait()
    eventually(lambda: not alive(files), "all nodes ended")
    assert "the leash was let go" in files.log("n2").read_text()
    assert emulator.clusters(world=world) == [], "the next command removes what is left"


def test_a_node_started_after_the_leash_is_gone_ends(world: LocalMachine, eventually: Any) -> None:
    made = emulator.up(ClusterSpec(name="c", nodes=2), leashed=True, world=world)
    assert made.leash is not None
    made.leash.release()
    eventually(lambda: not alive(made.files), "all nodes ended")
    launch = Launch(made.files.folder, ["n1"], world.child)
    launch.collect(time.monotonic() + 20, lambda _: None)
    eventually(lambda: not alive(made.files), "the late node ended")


def test_a_leash_taken_off_sets_free(world: LocalMachine) -> None:
    made = emulator.up(ClusterSpec(name="c", nodes=2), leashed=True, world=world)
    assert made.leash is not None
    made.leash.take_off()
    emulator.restart("c", ["n1"], world=world)
    assert alive(made.files) == ["n1", "n2"]
    assert "leash" not in made.files.log("n2").read_text()


def test_the_time_to_live_ends_the_nodes_and_keeps_the_data(world: LocalMachine, eventually: Any) -> None:
    made = emulator.up(ClusterSpec(name="c", nodes=3, ttl_s=1.5), world=world)
    emulator.pause("c", ["n2"], world=world)
    assert alive(made.files) == ["n1", "n2", "n3"]
    eventually(lambda: not alive(made.files), "all nodes ended, the paused one too")
    assert "the time to live has passed" in made.files.log("n1").read_text()
    again = emulator.up(ClusterSpec(name="c"), world=world)
    assert not again.created and again.files.record.expires_at is None


def test_the_next_command_ends_what_could_not_notice(world: LocalMachine, eventually: Any) -> None:
    made = emulator.up(ClusterSpec(name="c", nodes=2, ttl_s=1.5), world=world)
    emulator.pause("c", ["n1", "n2"], world=world)
    assert made.files.record.expires_at is not None
    eventually(lambda: emulator.clusters(world=world)[0].alive == 0, "swept")


def test_nodes_of_a_deleted_folder_end(world: LocalMachine, eventually: Any) -> None:
    made = emulator.up(ClusterSpec(name="c", nodes=2), world=world)
    pids = [process.pid for process in made.nodes.values()]
    shutil.rmtree(made.files.folder)
    eventually(lambda: not any(_lives(pid or 0) for pid in pids), "all nodes ended")


def _lives(pid: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
