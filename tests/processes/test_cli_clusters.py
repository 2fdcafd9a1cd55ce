"""up, status, ps, env, logs, down, rm: by command, with real nodes."""

import os
import select
import subprocess
import sys
from pathlib import Path

from cluster.emulator.home import Home
from tests.processes.commands import ask, dsectl, is_alive
from tests.processes.terminal import Person


def test_the_life_of_a_cluster(home: Home) -> None:
    up = ask("up", "-n", "3", "--zones", "3")
    assert (up["cluster"], up["verdict"], up["layout"]) == ("default", "green", 1)
    assert 0 < up["ready_s"] < 30
    assert list(up["nodes"]) == ["n1", "n2", "n3"]
    pids = [node["pid"] for node in up["nodes"].values()]
    assert all(map(is_alive, pids))
    assert [node["zone"] for node in up["nodes"].values()] == ["z1", "z2", "z3"]
    assert all(node["state"] == "running" and node["rss_mb"] > 1 for node in up["nodes"].values())

    assert ask("status")["verdict"] == "green"
    [listed] = ask("ps")
    assert (listed["cluster"], listed["nodes"], listed["alive"]) == ("default", 3, 3)
    assert ask("up", code=1)["error"]["code"] == "exists"
    dsectl("put", "cart", "book")

    assert ask("down") == {"cluster": "default", "ended": ["n1", "n2", "n3"]}
    assert not any(map(is_alive, pids))
    status = ask("status")
    assert status["verdict"] == "red"
    assert [node["state"] for node in status["nodes"].values()] == ["stopped"] * 3
    assert ask("get", "cart", code=4)["error"]["code"] == "unreachable"
    assert "made with --nodes 3" in dsectl("up", "-n", "5", code=2).err

    assert ask("up")["verdict"] == "green"
    assert ask("get", "cart")["value"] == "book", "what was acknowledged outlives a down"

    assert "--yes" in dsectl("rm", "default", code=2).err
    assert ask("ps") != []
    assert dsectl("rm", "default", "--yes").out == "default: removed\n"
    assert ask("ps") == []
    assert home.names() == []


def test_clusters_that_are_not_there(home: Home) -> None:
    for words in (
        ["down"],
        ["status"],
        ["rm", "default", "--yes"],
        ["env"],
        ["logs", "n1"],
        ["kill", "n1"],
        ["faults"],
    ):
        assert ask(*words, code=4)["error"]["code"] == "unknown-cluster", words
    assert dsectl("ps").err == "no clusters; `dsectl up` starts one\n"
    assert ask("up", "-C", "Not A Name", code=2)["error"]["code"] == "usage"
    for options in (["-n", "0"], ["--replication", "3/4/2"], ["--profile", "moon"], ["--zones", "9"], ["--ttl", "0s"]):
        assert ask("up", *options, code=2)["error"]["code"] == "usage", options
    assert home.names() == []


def test_clusters_run_side_by_side(home: Home) -> None:
    dsectl("up", "-n", "1", "-C", "one")
    dsectl("up", "-n", "2", "-C", "two")
    assert [(one["cluster"], one["alive"]) for one in ask("ps")] == [("one", 1), ("two", 2)]
    dsectl("put", "k", "v", "-C", "one")
    assert ask("get", "k", "-C", "two", code=6)["error"]["code"] == "not-found"
    assert ask("status", "-C", "one")["verdict"] == "green"


def test_a_damaged_cluster_can_be_seen_and_removed(home: Home) -> None:
    dsectl("up", "-n", "1")
    (home.cluster("default") / "cluster.json").unlink()
    done = dsectl("status", code=4)
    assert "cluster.json is missing" in done.err and "Restore this one file" in done.err
    [listed] = ask("ps")
    assert listed["alive"] == 1 and "cluster.json is missing" in listed["damaged"]
    dsectl("rm", "default", "--yes")
    assert home.names() == []


def test_env_is_for_shells(home: Home) -> None:
    dsectl("up", "-n", "2")
    found = ask("env")
    assert Path(found["secret"]).read_bytes() and set(found["nodes"]) == {"n1", "n2"}
    lines = dsectl("env").out
    shell = subprocess.run(
        ["sh", "-c", 'eval "$LINES_OF_ENV"; echo "$DSECTL_CLUSTER $DSECTL_N2 $DSECTL_SECRET_FILE"'],
        env={**os.environ, "LINES_OF_ENV": lines}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shell.stdout.split() == ["default", found["nodes"]["n2"], found["secret"]]


def test_logs(home: Home) -> None:
    dsectl("up", "-n", "2")
    home.cluster("default").joinpath("nodes", "n1", "node.log").write_text("first\nsecond \x1b[2J\nhalf")
    assert dsectl("logs", "n1").out == "first\nsecond \\x1b[2J\n"
    assert dsectl("logs", "n1", "--tail", "1").out == "second \\x1b[2J\n"
    assert dsectl("logs", "--all").out.startswith("n1  first\n")
    assert dsectl("logs", "n1", "--json").out.splitlines()[0] == '{"node":"n1","line":"first"}'
    assert dsectl("logs", "n9", code=6)
    assert dsectl("logs", code=2)


def test_followed_logs(home: Home) -> None:
    dsectl("up", "-n", "1")
    log = home.cluster("default") / "nodes" / "n1" / "node.log"
    with subprocess.Popen(
        [sys.executable, "-m", "dsectl", "logs", "n1", "-f", "--tail", "0"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = process.stdout
        with log.open("a") as file:
            while process.poll() is None:  # until the reader is there; a log that nobody follows may grow as it likes
                print("something happened", file=file, flush=True)
                if _has_line(lines.fileno()):
                    break
        assert lines.readline().strip() == "something happened"
        process.terminate()
        lines.read()
        assert process.wait(30) == 143


def _has_line(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], 0.05)[0])


def test_rm_asks_on_a_terminal(home: Home) -> None:
    dsectl("up", "-n", "1")
    person = Person("rm", "default")
    person.wait_for("Delete cluster default (1 of 1 node running) with its data? [y/N]")
    person.type("n\n")
    assert person.leave() == 1
    assert home.names() == ["default"]
    person = Person("rm", "default")
    person.wait_for("[y/N]")
    person.type("y\n")
    assert person.leave() == 0
    assert home.names() == []


def test_up_on_a_terminal_shows_its_progress_and_a_table(home: Home) -> None:
    person = Person("up", "-n", "2")
    assert person.leave() == 0
    assert "default: starting nodes" in person.seen and "2 of 2 nodes listen" in person.seen
    assert "\x1b[32mgreen\x1b[0m" in person.seen
    assert "ready after" in person.seen


def test_up_off_a_terminal_shows_no_progress(home: Home) -> None:
    done = dsectl("up", "-n", "2")
    assert "\r" not in done.out + done.err and "\x1b" not in done.out + done.err
    assert done.out.splitlines()[2].split() == ["NODE", "STATE", "ZONE", "PORT", "PID", "MEMORY"]


def test_ctrl_c_during_up_leaves_nothing(home: Home) -> None:
    person = Person("up", "-n", "5")
    person.wait_written("starting nodes")
    person.type("\x03")
    assert person.leave() == 130
    assert home.names() == []
