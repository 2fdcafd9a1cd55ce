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


PROMPT = "default>"


def shell(*words: str) -> Person:
    """A shell that has looked at its cluster."""
    person = Person("shell", *words)
    person.wait_for("green")
    return person


def enter(person: Person, line: str, *seen: str) -> None:
    """Type a line, see what it says, and the next prompt."""
    person.type(line + ENTER)
    for text in seen:
        person.wait_for(text)
    person.wait_for_line(PROMPT)


def complete(person: Person, typed: str, *offered: str) -> None:
    """Press Tab behind something, see what is offered, and clear the line."""
    person.type(typed + TAB)
    for text in offered:
        person.wait_for(text)
    person.type(CTRL_C)
    person.wait_for_line(PROMPT)


def leave(person: Person) -> None:
    """Ctrl-D."""
    person.type(CTRL_D)
    assert person.leave() == 0


def run(stdin: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "dsectl", "shell"], input=stdin, capture_output=True, timeout=60, check=False
    )


@pytest.mark.usefixtures("cluster")
class TestKeys:
    def test_a_session(self) -> None:
        person = shell()
        enter(person, "put cart 'a pen'", "2 acks")
        person.type("ge" + TAB)
        person.wait_until(lambda: person.screen.cursor.x == len(f"{PROMPT} get "), "a command and a blank")
        person.type("ca" + TAB)
        person.wait_for_line(f"{PROMPT} get cart")
        enter(person, "", "\na pen\n")
        enter(person, "get cart .value -> $x", '= "a pen"')
        enter(person, 'expect get cart .value == "$x"', 'ok  "a pen"')
        enter(person, "! get nothing", "ok")
        enter(person, "get nothing", "error: no key")
        enter(person, "status | true")
        assert person.screen.text.count("⏎") == 0
        enter(person, "status | tr '{' '<'", '<"cluster"')
        enter(person, "events | head -c 9", '[{"id":"n⏎\n')
        leave(person)

    def test_control_c_clears_the_line_and_ends_a_command(self) -> None:
        person = shell()
        person.type("put never this" + CTRL_C)
        person.wait_for_line(PROMPT)
        lines = ("within 60s: get nothing .value == 1", "subscribe a.b", "events -f", "status | sleep 60", "sleep 60s")
        for number, line in enumerate(lines, 1):
            person.type(line + ENTER + CTRL_C)
            person.wait_for("interrupted", times=number)
            person.wait_for_line(PROMPT)
        enter(person, "put k after", "2 acks")
        person.type("exit" + ENTER)
        assert person.leave() == 0
        dsectl("get", "never", code=6)
        assert ask("get", "k")["value"] == "after"

    def test_keys_typed_ahead_are_neither_shown_nor_lost(self) -> None:
        person = shell()
        person.type("sleep 200ms" + ENTER + "put ahead 1" + ENTER + "rm default" + ENTER)
        person.wait_for("[y/N]")
        person.type("n" + ENTER)
        person.wait_for("not confirmed")
        assert person.screen.text.count("put ahead 1") == 1, person.screen.text
        leave(person)
        assert ask("get", "ahead")["value"] == "1"

    def test_history_is_searched_across_sessions(self, home: Home) -> None:
        first = shell()
        enter(first, "put remembered yes", "2 acks")
        second = shell()
        enter(second, "put other no", "2 acks")
        leave(first)
        leave(second)
        third = shell()
        third.type(CTRL_R + "rememb")
        third.wait_for("put remembered yes")
        enter(third, "", "2 acks")
        leave(third)
        kept = (home.folder / "shell_history").read_text()
        assert kept.count("put remembered yes") == 2 and kept.count("put other no") == 1

    def test_tab_knows_nodes_keys_subjects_and_services(self) -> None:
        dsectl("put", "user:1", "x")
        person = shell()
        complete(person, "kill ", "n1\n", "n3\n")
        complete(person, "get us", f"{PROMPT} get user:1")
        complete(person, "request fl", f"{PROMPT} request flaky.")
        complete(person, "stat", f"{PROMPT} status")
        enter(person, "subscribe orders.eu &", "runs in the background")
        complete(person, "publish ord", f"{PROMPT} publish orders.eu")
        leave(person)

    def test_jobs_print_above_the_prompt_and_end_with_the_shell(self) -> None:
        person = shell()
        enter(person, "events -f &", "[events-1] runs in the background")
        person.type("put half typ")
        person.wait_for_line(f"{PROMPT} put half typ")
        dsectl("kill", "n3")
        person.wait_for("member.dead")
        person.wait_for("amber")
        person.wait_for_line(f"{PROMPT} put half typ")
        person.type("ed" + CTRL_C)
        enter(person, "jobs", "running")
        leave(person)
        assert "ending events-1" in person.screen.text

    def test_a_lost_cluster_is_told_and_survived(self) -> None:
        person = shell()
        dsectl("down")
        person.wait_for("no node of default answers any more")
        enter(person, "get k", "error")
        dsectl("up", "-q")
        person.wait_for("cluster default answers")
        enter(person, "put k 1", "2 acks")
        dsectl("rm", "default", "--yes")
        person.wait_for("is gone")
        leave(person)

    def test_bytes_of_every_kind_do_not_move_the_cursor(self) -> None:
        dsectl("put", "evil\x1b[2J", "\x1b]0;title\x07", "--literal")
        person = shell()
        enter(person, PASTE.format("put pasted '\x1b]0;evil\x07 \x00 \x9b31m'"), "2 acks")
        enter(person, "keys", "\npasted\n")
        complete(person, "get evil", f"{PROMPT} get evil^[[2J")
        leave(person)
        assert "\x1b]0;" not in person.seen

    def test_a_paste_of_many_lines_or_of_a_huge_one(self) -> None:
        person = shell()
        enter(person, PASTE.format("put a 1\n# nothing\nput b \\\n  2"))
        person.wait_for("2 acks", times=2)
        enter(person, PASTE.format(f"put huge {'x' * 100_000}"))
        person.wait_for("2 acks", times=3)
        person.type(f"put unsaid {'y' * 50_000}" + ENTER)
        person.wait_for("KiB typed")
        person.type(CTRL_C)
        person.wait_for_line(PROMPT)
        leave(person)
        dsectl("get", "unsaid", code=6)
        assert [ask("get", key)["value"] for key in ("a", "b", "huge")] == ["1", "2", "x" * 100_000]

    def test_siblings_are_shown_and_the_next_put_replaces_them(self) -> None:
        person = shell()
        enter(person, "put k one --blind", "2 acks")
        enter(person, "put k two --blind", "2 siblings now")
        enter(person, "get k", "2 siblings, from concurrent writes")
        enter(person, "put k three")
        person.wait_for("acks", times=3)
        leave(person)
        assert ask("get", "k")["siblings"] == ["three"]

    @pytest.mark.parametrize(("number", "line"), [(signal.SIGTERM, ""), (signal.SIGHUP, "subscribe a.b | cat")])
    def test_a_signal(self, number: signal.Signals, line: str) -> None:
        person = shell()
        enter(person, "events -f &", "runs in the background")
        if line:
            person.type(line + ENTER)
            person.wait_for_line("")
        os.kill(person.pid, number)
        assert person.leave() == 128 + number
        assert not person.screen.text.count("Traceback")

    def test_the_terminal_is_closed(self) -> None:
        person = shell()
        enter(person, "events -f &", "runs in the background")
        assert person.hang_up() == 128 + signal.SIGHUP

    def test_vi_keys(self) -> None:
        person = shell("--vi")
        enter(person, "put x 1\x1b0wrv", "2 acks")
        leave(person)
        assert ask("get", "v")["value"] == "1"

    def test_a_session_becomes_a_recipe(self, tmp_path: Path) -> None:
        file = tmp_path / "session.md"
        person = shell()
        enter(person, "put k 1", "2 acks")
        enter(person, "kill n3", "brings it back")
        enter(person, "restart n3", "restarted")
        enter(person, f"history export {tmp_path / 'untested.md'}", "no step tests anything yet")
        enter(person, 'expect get k .value == "1"', "ok")
        enter(person, f"history export {file}", "wrote")
        enter(person, f"history export {file}", "exists")
        leave(person)
        dsectl("recipe", "run", str(file))


CODES = [
    ("get nothing", 6),
    ("gett", 2),
    ("expect status .verdict == red", 1),
    ("! status", 1),
    ("!6 get nothing", 0),
    ("within 200ms: status .verdict == red", 1),
    ("status | false", 1),
    ("status | kill -9 $$", 137),
    ("get nothing | cat", 6),
    ("yes | head -1", 2),
    ("keys | head -1", 0),
    ("shell", 2),
    ("exit", 0),
    ("exit now", 2),
    ("history export /nowhere/x.md", 2),
    ("jobs", 0),
    ("clear", 0),
    ("use nobody", 4),
    ("stop nobody", 2),
    ("put k '", 2),
    ("put k 1\nget k .value -> $x\nexpect get k .value == $x\nget k | cat", 0),
    ("events -f &tail\nexpect tail .length > 0\nstop tail", 0),
    ("subscribe a.b --count 3 &few\nstop few", 1),
    ("subscribe a.b --count 3 &few", 1),
    ("subscribe a.b &any\nstop any", 0),
    ("load kv --rate 20 --for 20s --require 'p50<1us' &traffic\nwithin 10s: keys .keys.length > 0", 1),
    ("events -f &\nexit", 0),
]


@pytest.mark.usefixtures("cluster")
class TestWithoutATerminal:
    def test_the_exit_code_is_that_of_the_line(self) -> None:
        for line, code in CODES:
            done = dsectl("shell", "-c", line, code=code)
            assert "Traceback" not in done.err and "\x1b" not in done.out + done.err, done

    def test_json(self) -> None:
        done = dsectl("--json", "shell", "-c", "put k 1\nexpect get k .value == 2", code=1)
        lines: list[Any] = [msgspec.json.decode(line) for line in done.out.splitlines()]
        assert lines[0]["outcome"] == "ok" and lines[1]["verdict"] == "failed"

    def test_a_file_of_another_system(self) -> None:
        done = run(stdin=b'\xef\xbb\xbfput k 1\r\nput c \\\r\n 3 # in C:\\\r\nexpect get c .value == "3"\r\n')
        assert done.returncode == 0, done.stderr
        dsectl("shell", "-c", 'put k \\\r\n 4\r\nexpect get k .value == "4"')

    def test_a_file_ends_at_the_first_error(self) -> None:
        done = run(stdin=b"put k \xff\xfe\x00\x1b[2J\nput a 1\n\n# nothing\nget nothing\nput b 2\n")
        assert done.returncode == 6 and b"stopped at line 5: get nothing" in done.stderr
        assert b"Tab completes" not in done.stdout + done.stderr
        assert b"\x1b" not in done.stdout + done.stderr
        dsectl("get", "b", code=6)


def test_a_state_directory_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path / "file" / "home"))
    monkeypatch.setenv("TERM", "xterm-256color")
    person = Person("shell")
    person.wait_for("history is not kept")
    person.wait_for("no such cluster")
    enter(person, "help jobs", "Usage: jobs")
    enter(person, "get k", "error: ")
    leave(person)


def test_without_a_cluster(home: Home) -> None:
    """It starts, says so, and one can start a cluster from it."""
    person = Person("shell")
    person.wait_for("no such cluster")
    person.type("up -n 3 -q" + ENTER)
    person.wait_for("green")
    enter(person, "rm default --yes", "removed")
    leave(person)
