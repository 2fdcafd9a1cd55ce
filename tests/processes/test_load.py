"""`dsectl load` on real processes: nothing is lost when nodes are killed, paused and cut off; and the account goes red
when an acknowledged write is taken away behind its back.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dsectl.load.account import NOT_KEPT
from dsectl.script.execution import Job
from tests.processes.commands import ask
from tests.processes.fleet import Real, real, until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def cluster_of_five(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Real]:
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path))
    with real(5) as running:
        yield running


def started(*words: str) -> Job:
    """A load in the background whose first operation has been answered."""
    job = Job("traffic", ["load", *words], "real")
    assert job.start(_soon()) and job.is_running, job.result
    return job


def ended(job: Job, code: int = 0) -> Any:
    """Its account. Where nothing but the rate is to be said against a load, it passed: this machine is busy."""
    job.stop()
    assert job.wait(_soon()) and job.result is not None
    found = job.result.value
    is_late = all(NOT_KEPT in reason for reason in found["reasons"])
    assert job.result.code == (3 if is_late else code), job.result
    return found


def _soon() -> float:
    return time.monotonic() + 30


def test_a_kill_a_pause_and_a_partition_under_load_lose_nothing(cluster_of_five: Real) -> None:
    job = started("kv", "--rate", "200", "--for", "60s", "--keys", "200")
    cluster_of_five.kill("n1")
    until(lambda: sum(ask("hints", "-C", "real")["by_target"].values()) > 0)
    cluster_of_five.start("n1")
    ask("pause", "n2", "-C", "real")
    until(lambda: ask("members", "-C", "real", "--via", "n3")["n2"]["state"] != "alive")
    ask("resume", "n2", "-C", "real")
    ask("partition", "n4,n5", "rest", "-C", "real")
    until(lambda: ask("members", "-C", "real", "--via", "n3")["n4"]["state"] != "alive")
    ask("heal", "-C", "real")
    found = ended(job)
    assert found["stopped"], found
    assert found["lost"] == found["unexpected"] == found["unchecked"] == 0
    assert found["ok"] > 100 and found["checked"] >= 200


def test_a_kill_a_pause_and_a_partition_lose_no_increment_and_no_item(cluster_of_five: Real) -> None:
    """A partition that counts and adds on both sides, as well."""
    job = started("kv", "--rate", "200", "--for", "60s", "--keys", "20", "--mix", "incr=1,sadd=1")
    cluster_of_five.kill("n1")
    until(lambda: sum(ask("hints", "-C", "real")["by_target"].values()) > 0)
    cluster_of_five.start("n1")
    ask("partition", "n4,n5", "rest", "-C", "real")
    until(lambda: ask("members", "-C", "real", "--via", "n3")["n4"]["state"] != "alive")
    ask("pause", "n2", "-C", "real")
    until(lambda: ask("members", "-C", "real", "--via", "n3")["n2"]["state"] != "alive")
    ask("resume", "n2", "-C", "real")
    ask("heal", "-C", "real")
    found = ended(job)
    assert found["lost"] == found["unexpected"] == found["unchecked"] == 0, found
    assert all(found["operations"][kind]["ok"] > 50 for kind in ("incr", "sadd"))
    assert found["checked"] >= 30, "of 40: in a short load the keys at the end of the distribution may never be drawn"


def test_a_kill_a_pause_and_a_partition_lose_no_message_of_a_queue(cluster_of_five: Real) -> None:
    """Two consumers; everything comes, and the queue is drained once all has healed."""
    job = started("queue", "--rate", "200", "--for", "60s", "--consumers", "2", "--settle", "40s")
    cluster_of_five.kill("n1")
    until(lambda: ask("members", "-C", "real", "--via", "n3")["n1"]["state"] == "dead")
    cluster_of_five.start("n1")
    ask("pause", "n2", "-C", "real")
    until(lambda: ask("members", "-C", "real", "--via", "n3")["n2"]["state"] != "alive")
    ask("resume", "n2", "-C", "real")
    ask("partition", "n4,n5", "rest", "-C", "real")
    until(lambda: ask("members", "-C", "real", "--via", "n3")["n4"]["state"] != "alive")
    ask("heal", "-C", "real")
    ask("disk", "n3", "--full", "-C", "real")
    until(lambda: ask("faults", "-C", "real")[-1]["affected"] > 0)  # the status may have more to say just then
    ask("heal", "-C", "real")
    found = ended(job)
    assert found["lost"] == found["unexpected"] == found["unchecked"] == 0, found
    assert found["ok"] > 100 and found["delivered"] >= found["ok"], found


def test_a_write_that_is_taken_away_is_lost_and_a_foreign_value_is_unexpected(cluster_of_five: Real) -> None:
    """Somebody else deletes one key of the load, and writes to another."""
    job = started("kv", "--rate", "50", "--for", "60s", "--keys", "50", "--mix", "write=1,read=1")
    client = cluster_of_five.client

    def spoil() -> bool:
        keys = client.kv.keys("load-").keys
        if len(keys) < 50:
            return False
        for key in keys[:25]:  # the load goes on writing, and some of these it does not write again
            client.kv.delete(key)
        client.kv.put(keys[30], b"foreign", blind=True)
        return True

    until(spoil)
    found = ended(job, code=1)
    assert found["verdict"] == "failed" and found["unexpected"] > 0, found
    assert found["lost"] > 0 and found["examples"]


def test_a_cluster_that_dies_is_inconclusive(cluster_of_five: Real) -> None:
    job = started("kv", "--rate", "100", "--for", "60s", "--keys", "20", "--settle", "500ms")
    cluster_of_five.kill("n1", "n2", "n3", "n4", "n5")
    found = ended(job, code=3)
    assert found["unchecked"] > 0 and found["lost"] == 0


def test_messages_and_requests_go_on_while_a_node_is_killed(cluster_of_five: Real) -> None:
    messages = started("publish", "--rate", "200", "--for", "60s", "--subscribers", "2")
    requests = started("request", "--rate", "100", "--for", "60s")
    cluster_of_five.kill("n1")
    until(lambda: ask("members", "-C", "real", "--via", "n3")["n1"]["state"] == "dead")
    found = ended(messages)
    assert found["delivered"] > 0 and found["duplicated"] == found["unexpected"] == 0
    found = ended(requests)
    assert found["ok"] > 0 and found["unexpected"] == 0


@pytest.mark.parametrize("processes", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_gives_the_whole_account_and_leaves_no_process(
    cluster_of_five: Real, processes: str, number: signal.Signals
) -> None:
    command = [sys.executable, "-m", "dsectl", "load", "kv", "-C", "real", "--for", "60s", "--processes", processes]
    process = subprocess.Popen(
        [*command, "--intervals", "-", "--json"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stderr is not None
    lines: list[str] = [process.stdout.readline()]  # the first second is over
    reader = threading.Thread(target=lambda: lines.extend(process.stdout or ()))
    reader.start()
    children = _children(process.pid)
    assert len(children) == (0 if processes == "1" else 2)
    process.send_signal(number)
    assert process.wait(30) == 128 + number, process.stderr.read()
    reader.join()
    process.stderr.close()
    process.stdout.close()
    found = msgspec.json.decode(lines[-1])
    assert found["stopped"] and found["interrupted"] and found["verdict"] == "inconclusive", found
    assert found["reasons"][0].startswith("interrupted after ") and found["reasons"][0].endswith(" of 1m")
    assert found["checked"] >= 1000 and found["lost"] == found["unchecked"] == found["unanswered"] == 0
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def test_a_generator_that_is_killed_makes_it_inconclusive(cluster_of_five: Real) -> None:
    """Nobody knows what it was promised, so nothing is proven, whatever the other one says."""
    command = [sys.executable, "-m", "dsectl", "load", "kv", "-C", "real", "--for", "3s", "--processes", "2", "--json"]
    process = subprocess.Popen([*command, "--intervals", "-"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    os.kill(_children(process.pid)[0], signal.SIGKILL)
    found = msgspec.json.decode(process.stdout.read().splitlines()[-1])
    process.stdout.close()
    assert process.wait(30) == 3 and found["verdict"] == "inconclusive", found
    assert found["ok"] > 0 and "ended by SIGKILL" in found["reasons"][0] and len(found["silent"]) == 1


def test_generators_end_with_who_started_them(cluster_of_five: Real) -> None:
    command = [sys.executable, "-m", "dsectl", "load", "kv", "-C", "real", "--for", "60s", "--processes", "2"]
    process = subprocess.Popen([*command, "--intervals", "-"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    children = _children(process.pid)
    process.kill()
    process.wait()
    process.stdout.close()
    process.stderr.close()
    until(lambda: len(children) == 2 and not any(_runs(pid) for pid in children))


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
