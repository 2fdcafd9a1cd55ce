"""`watch` on a real screen with a real cluster, and off it; `logs -f`."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import msgspec
import pytest

import cluster
from cluster.emulator.home import Home
from tests.processes.commands import dsectl
from tests.processes.projector import Projector

DSECTL = [sys.executable, "-m", "dsectl"]
Open = Callable[..., Projector]


@pytest.fixture
def three(home: Home) -> None:
    dsectl("up", "-n", "3", "-q")


@pytest.fixture
def wall() -> Iterator[Open]:
    """Opens projectors, and lets their terminals go at the end."""
    opened: list[Projector] = []

    def open_one(*words: str, **fields: object) -> Projector:
        opened.append(Projector(*(words or ("watch",)), **fields))  # type: ignore[arg-type]
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.mark.usefixtures("three")
class TestOnAScreen:
    def test_a_crash_and_the_return_are_seen(self, wall: Open) -> None:
        screen = wall()
        screen.shows("GREEN", "3 of 3 nodes answer", "●  ●  ●", "q quit")
        with cluster.connect_blocking("default") as client:
            for number in range(50):
                client.kv.put(f"k{number}", b"x")
        screen.until(lambda page: re.search(r"kv \S+ +to \d", page) is not None, "traffic was seen")
        dsectl("kill", "n3")
        screen.shows("AMBER", "stopped", "✕", "f1  kill", "touched", "member.dead")
        with cluster.connect_blocking("default") as client:
            client.kv.put("k1", b"y")
        screen.until(lambda page: re.search(r"\d\+ hints waiting", page) is not None, "hints were seen")
        dsectl("restart", "n3")
        screen.shows("GREEN", "0 hints waiting", "ended", "▲")
        screen.type("q")
        assert screen.leave() == 0 and screen.is_as_before

    def test_a_paused_node_holds_up_nothing(self, wall: Open) -> None:
        screen = wall()
        screen.shows("3 of 3 nodes answer")
        dsectl("pause", "n2")
        screen.shows("paused", "2 of 3 nodes answer")
        clock = screen.page.splitlines()[0][-12:]
        screen.until(lambda page: page.splitlines()[0][-12:] > clock, "the clock went on")
        dsectl("resume", "n2")
        screen.shows("3 of 3 nodes answer")
        screen.type("\x03")
        assert screen.leave() == 130 and screen.is_as_before

    def test_a_lost_cluster_is_survived_also_when_it_comes_back_as_another(self, wall: Open) -> None:
        screen = wall()
        screen.shows("GREEN")
        dsectl("down")
        screen.shows("RED", "0 of 3 nodes answer", "hints unknown")
        dsectl("rm", "default", "--yes")
        screen.shows("LOST", "unknown cluster 'default'")
        dsectl("up", "-n", "4", "-q")
        screen.shows("GREEN", "4 of 4 nodes answer", "n4")
        screen.type("q")
        assert screen.leave() == 0

    @pytest.mark.parametrize("number,code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
    def test_a_signal_gives_the_terminal_back(self, wall: Open, number: signal.Signals, code: int) -> None:
        screen = wall()
        screen.shows("GREEN")
        os.kill(screen.pid, number)
        assert screen.leave() == code and screen.is_as_before

    def test_keys_and_sizes(self, wall: Open) -> None:
        screen = wall(columns=80, rows=24)
        screen.shows("GREEN", "q quit")
        screen.type("2")
        screen.shows("of n2", "all, not only n2")
        screen.resize(160, 45)
        screen.shows("PUB/S", "REQ/S", "● alive", "HINTS  none")
        screen.resize(40, 8)
        screen.shows("GREEN", "q quit")
        screen.resize(100, 30)
        screen.type("0 ")
        page = screen.shows("FROZEN", "go on")
        assert "of n2" not in page
        screen.type(" ")
        screen.until(lambda page: "FROZEN" not in page, "it went on")
        screen.type("q")
        assert screen.leave() == 0

    def test_without_colour(self, wall: Open) -> None:
        screen = wall(environment={"NO_COLOR": "1"})
        screen.shows("GREEN", "q quit")
        screen.type("q")
        assert screen.leave() == 0
        assert not re.search(r"\x1b\[[0-9;]*m", screen.written)

    def test_a_number_of_looks(self, wall: Open) -> None:
        screen = wall("watch", "--count", "3", "--every", "100ms")
        assert screen.leave() == 0 and screen.is_as_before

    def test_in_the_shell_it_returns_to_the_prompt(self, wall: Open) -> None:
        screen = wall("shell")
        screen.shows("default>", "green")
        screen.type("watch\r")
        screen.shows("GREEN", "q quit")
        screen.type("q")
        screen.returns()
        screen.shows("default>")
        screen.type("put k v\r")
        screen.shows("2 acks")
        screen.type("watch\r")
        screen.until(lambda page: "q quit" in page.splitlines()[-1], "it watched again")
        screen.type("\x03")
        screen.returns(2)
        screen.shows("default>")
        screen.type("get k\r")
        screen.until(lambda page: "\nv " in page, "the prompt was back")
        screen.type("exit\r")
        assert screen.leave() == 0


@pytest.mark.usefixtures("three")
class TestWithoutAScreen:
    def test_one_page(self) -> None:
        done = subprocess.run([*DSECTL, "watch"], capture_output=True, text=True, timeout=30, check=True)
        assert "GREEN" in done.stdout and "●  ●  ●" in done.stdout and "\x1b" not in done.stdout
        assert done.stdout.splitlines()[3].lstrip().startswith("NODE")

    def test_an_encoding_without_such_signs(self) -> None:
        environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
        done = subprocess.run([*DSECTL, "watch"], capture_output=True, timeout=30, check=True, env=environment)
        assert b"o  o  o" in done.stdout and b"\\u" not in done.stdout

    def test_an_object_a_look(self) -> None:
        with cluster.connect_blocking("default") as client:
            watching = subprocess.Popen(
                [*DSECTL, "watch", "--json", "--every", "200ms", "--count", "5"], stdout=subprocess.PIPE, text=True
            )
            while watching.poll() is None:
                client.kv.put("k", b"x")
        assert watching.stdout is not None
        found = [msgspec.json.decode(line) for line in watching.stdout.read().splitlines()]
        watching.stdout.close()
        assert watching.returncode == 0 and len(found) == 5
        last = found[-1]
        assert last["verdict"] == "green" and last["nodes"]["n1"]["sees"] == dict.fromkeys(("n1", "n2", "n3"), "alive")
        assert last["total"]["writes_per_s"] > 10 and 0 < last["total"]["p50_ms"] <= last["total"]["p99_ms"]
        assert abs(sum(node["share"] for node in last["nodes"].values()) - 1) < 0.01
        assert len({event["id"] for one in found for event in one["events"]}) == sum(
            len(one["events"]) for one in found
        )

    def test_control_c_and_a_reader_who_leaves(self) -> None:
        watching = subprocess.Popen([*DSECTL, "watch", "--json"], stdout=subprocess.PIPE, text=True)
        assert watching.stdout is not None and watching.stdout.readline().startswith('{"at"')
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 130
        watching.stdout.close()
        piped = subprocess.run(
            f"{sys.executable} -m dsectl watch --json | head -1; exit ${{PIPESTATUS[0]}}",
            shell=True, executable="/bin/bash", capture_output=True, timeout=30, check=False,
        )  # fmt: skip
        assert piped.returncode == 141 and piped.stdout.count(b"\n") == 1 and piped.stderr == b""

    def test_what_is_refused(self) -> None:
        assert "`dsectl events --key cart -f`" in dsectl("watch", "cart", code=2).err
        dsectl("watch", "--every", "1ms", code=2)
        dsectl("watch", "-C", "nobody", code=4)
        dsectl("watch", "--via", "n9", code=6)


@pytest.mark.usefixtures("three")
class TestFollowedLogs:
    def test_all_across_a_restart_in_the_order_of_time(self) -> None:
        following = subprocess.Popen([*DSECTL, "logs", "--all", "-f", "--tail", "0"], stdout=subprocess.PIPE, text=True)
        assert following.stdout is not None
        time.sleep(1.0)
        dsectl("kill", "n2")
        dsectl("restart", "n2")
        lines: list[str] = []
        while "owner.voting" not in (lines or [""])[-1]:
            lines.append(following.stdout.readline())
        following.send_signal(signal.SIGINT)
        assert following.wait(20) == 130
        following.stdout.close()
        assert any(line.startswith("n2  ") and "node.boot" in line for line in lines)
        assert {line.split()[0] for line in lines} == {"n1", "n2", "n3"}

    def test_a_reader_who_leaves_a_quiet_log_is_noticed(self) -> None:
        piped = subprocess.run(
            f"{sys.executable} -m dsectl logs n1 -f | head -1; exit ${{PIPESTATUS[0]}}",
            shell=True, executable="/bin/bash", capture_output=True, timeout=30, check=False,
        )  # fmt: skip
        assert piped.returncode == 141 and piped.stdout.count(b"\n") == 1 and piped.stderr == b""
