"""The shell on a real terminal, key by key, and without one."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cluster.emulator.home import Home
from tests.processes.commands import ask, dsectl
from tests.processes.terminal import Person

CTRL_C, CTRL_D, CTRL_R, TAB, ENTER = "\x03", "\x04", "\x12", "\t", "\r"
PASTE = "\x1b[200~{}\x1b[201~"


@pytest.fixture
def cluster(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three nodes."""
    monkeypatch.setenv("TERM", "xterm-256color")
    dsectl("up", "-n", "3", "-q")


def shell(*words: str) -> Person:
    """A shell that has looked at its cluster."""
    person = Person("shell", *words)
    person.wait_for("green")
    return person


def run(*words: str, stdin: str | bytes = b"") -> subprocess.CompletedProcess[bytes]:
    data = stdin.encode() if isinstance(stdin, str) else stdin
    return subprocess.run(
        [sys.executable, "-m", "dsectl", "shell", *words], input=data, capture_output=True, timeout=60, check=False
    )


@pytest.mark.usefixtures("cluster")
class TestKeys:
    def test_a_session(self) -> None:
        person = shell()
        person.type("put cart 'a pen'" + ENTER)
        person.wait_for("2 acks")
        person.type("get ca" + TAB)
        person.wait_for("get cart")
        person.type(ENTER)
        person.wait_for("\na pen\n")
        person.type("get cart .value -> $x" + ENTER)
        person.wait_for('= "a pen"')
        person.type('expect get cart .value == "$x"' + ENTER)
        person.wait_for("ok")
        person.type(CTRL_D)
        assert person.leave() == 0

    def test_control_c_clears_the_line_and_ends_a_command(self) -> None:
        person = shell()
        person.type("put never this" + CTRL_C)
        person.type("within 60s: get nothing .value == 1" + ENTER)
        person.wait_for("within 60s")
        person.type(CTRL_C)
        person.wait_for("interrupted")
        person.type("put k after" + ENTER)
        person.wait_for("2 acks")
        person.type("exit" + ENTER)
        assert person.leave() == 0
        dsectl("get", "never", code=6)
        assert ask("get", "k")["value"] == "after"

    def test_history_is_searched_across_sessions(self, home: Home) -> None:
        first = shell()
        first.type("put remembered yes" + ENTER)
        first.wait_for("2 acks")
        first.type(CTRL_D)
        assert first.leave() == 0
        second = shell()
        second.type(CTRL_R + "rememb")
        second.wait_for("put remembered yes")
        second.type(ENTER)
        second.wait_for("2 acks")
        second.type(CTRL_D)
        assert second.leave() == 0
        assert "put remembered yes" in (home.folder / "shell_history").read_text()

    def test_tab_knows_nodes_keys_subjects_and_services(self) -> None:
        dsectl("put", "user:1", "x")
        person = shell()
        for typed, offered in (("kill ", "n3"), ("get us", "user:1"), ("request fl", "flaky."), ("stat", "status")):
            person.type(typed + TAB)
            person.wait_for(offered)
            person.type(CTRL_C)
        person.type("subscribe orders.eu &" + ENTER)
        person.wait_for("goes on")
        person.type("publish ord" + TAB)
        person.wait_for("publish orders.eu")
        person.type(CTRL_C + CTRL_D)
        assert person.leave() == 0

    def test_jobs_print_above_the_prompt_and_end_with_the_shell(self) -> None:
        person = shell()
        person.type("events -f &" + ENTER)
        person.wait_for("[events-1] goes on")
        person.type("put half typ")
        dsectl("kill", "n3")
        person.wait_for("member.dead")
        person.wait_for("amber")
        person.type("ed" + CTRL_C)
        person.type("jobs" + ENTER)
        person.wait_for("running")
        person.type(CTRL_D)
        assert person.leave() == 0
        assert "ending events-1" in person.seen

    def test_a_lost_cluster_is_told_and_survived(self) -> None:
        person = shell()
        dsectl("down")
        person.wait_for("no node of default answers any more")
        person.type("get k" + ENTER)
        person.wait_for("error")
        dsectl("up", "-q")
        person.wait_for("cluster default answers")
        person.type("put k 1" + ENTER)
        person.wait_for("2 acks")
        dsectl("rm", "default", "--yes")
        person.wait_for("is gone")
        person.type(CTRL_D)
        assert person.leave() == 0

    def test_bytes_of_every_kind_do_not_move_the_cursor(self) -> None:
        dsectl("put", "evil\x1b[2J", "\x1b]0;title\x07\x00".replace("\x00", ""), "--literal")
        person = shell()
        person.type(PASTE.format("put pasted '\x1b]0;evil\x07 \x00 \x9b31m'") + ENTER)
        person.wait_for("2 acks")
        person.type("keys" + ENTER)
        person.wait_for("pasted")
        person.type("get evil" + TAB)
        person.wait_for("\\x1b[2J")
        person.type(CTRL_C + CTRL_D)
        assert person.leave() == 0
        assert "\x1b]0;" not in person.seen

    def test_a_huge_line(self) -> None:
        person = shell()
        person.type(PASTE.format(f"put huge {'x' * 100_000}") + ENTER)
        person.wait_for("2 acks")
        person.type(CTRL_D)
        assert person.leave() == 0
        assert len(ask("get", "huge")["value"]) == 100_000

    def test_several_pasted_lines_are_several_steps(self) -> None:
        person = shell()
        person.type(PASTE.format("put a 1\n# nothing\nput b \\\n  2") + ENTER)
        person.wait_for("2 acks", times=2)
        person.type(CTRL_D)
        assert person.leave() == 0
        assert (ask("get", "a")["value"], ask("get", "b")["value"]) == ("1", "2")

    def test_siblings_are_shown_and_the_next_put_replaces_them(self) -> None:
        person = shell()
        person.type("put k one --blind" + ENTER + "put k two --blind" + ENTER)
        person.wait_for("2 siblings now")
        person.type("get k" + ENTER)
        person.wait_for("2 siblings, from concurrent writes")
        person.type("put k three" + ENTER)
        person.wait_for("acks", times=3)
        person.type(CTRL_D)
        assert person.leave() == 0
        assert ask("get", "k")["siblings"] == ["three"]

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_a_signal_at_the_prompt(self, number: signal.Signals) -> None:
        person = shell()
        person.type("events -f &" + ENTER)
        person.wait_for("goes on")
        os.kill(person.pid, number)
        assert person.leave() == 128 + number

    def test_vi_keys(self) -> None:
        person = shell("--vi")
        person.type("put x 1\x1b0wcwvi" + ENTER)
        person.wait_for("2 acks")
        person.type(CTRL_D)
        assert person.leave() == 0
        assert ask("get", "vi")["value"] == "1"

    def test_a_session_becomes_a_recipe(self, tmp_path: Path) -> None:
        file = tmp_path / "session.md"
        person = shell()
        person.type("put k 1" + ENTER + "kill n3" + ENTER)
        person.wait_for("brings it back")
        person.type("restart n3" + ENTER)
        person.wait_for("restarted")
        person.type(f"history export {file}" + ENTER)
        person.wait_for("wrote")
        person.type(f"history export {file}" + ENTER)
        person.wait_for("exists")
        person.type(CTRL_D)
        assert person.leave() == 0
        dsectl("recipe", "run", str(file))

    def test_a_pipe_takes_the_json(self) -> None:
        person = shell()
        person.type("status | tr '{' '<'" + ENTER)
        person.wait_for('<"cluster"')
        person.type("events | head -c 9" + ENTER)
        person.wait_for('[{"id":"n')
        person.type("put k 1" + ENTER)
        person.wait_for("2 acks")
        person.type(CTRL_D)
        assert person.leave() == 0


@pytest.mark.usefixtures("cluster")
class TestWithoutATerminal:
    def test_a_line(self) -> None:
        done = run("-c", "put k 1\nget k .value -> $x\nexpect get k .value == $x\nget k | cat")
        assert done.returncode == 0, done
        assert msgspec.json.decode(done.stdout.splitlines()[-1])["value"] == "1"

    @pytest.mark.parametrize(
        "line,code",
        [
            ("get nothing", 6),
            ("gett", 2),
            ("expect status .verdict == red", 1),
            ("! status", 1),
            ("!6 get nothing", 0),
            ("within 200ms: status .verdict == red", 1),
            ("status | false", 1),
            ("get nothing | cat", 6),
            ("yes | head -1", 2),
            ("keys | head -1", 0),
            ("shell", 2),
            ("exit", 0),
            ("use nobody", 4),
            ("put k '", 2),
        ],
    )
    def test_the_exit_code_is_that_of_the_line(self, line: str, code: int) -> None:
        done = run("-c", line)
        assert done.returncode == code, done
        assert b"Traceback" not in done.stderr

    def test_a_file_ends_at_the_first_error(self) -> None:
        done = run(stdin="put a 1\n\n# nothing\nget nothing\nput b 2\n")
        assert done.returncode == 6 and b"stopped at line 4: get nothing" in done.stderr
        assert b"Tab completes" not in done.stdout + done.stderr
        dsectl("get", "b", code=6)

    def test_garbage_in_a_file(self) -> None:
        done = run(stdin=b"put k \xff\xfe\x00\x1b[2J\n")
        assert done.returncode == 0 and b"\x1b" not in done.stdout + done.stderr

    def test_json(self) -> None:
        done = run("--json", "-c", "put k 1\nexpect get k .value == 2")
        lines: list[Any] = [msgspec.json.decode(line) for line in done.stdout.splitlines()]
        assert done.returncode == 1 and lines[0]["outcome"] == "ok" and lines[1]["verdict"] == "failed"


def test_without_a_cluster(home: Home) -> None:
    """It starts, says so, and one can start a cluster from it."""
    person = Person("shell")
    person.wait_for("no such cluster")
    person.type("up -n 3 -q" + ENTER)
    person.wait_for("green")
    person.type("rm default --yes" + ENTER)
    person.wait_for("removed")
    person.type(CTRL_D)
    assert person.leave() == 0
