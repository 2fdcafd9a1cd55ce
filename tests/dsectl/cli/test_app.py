"""`invoke`: exit codes, where errors go, and what stays between invocations."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.errors import EXIT_CODES, Usage
from cluster.wire.frames import Frame, Request
from cluster.wire.kv import Get, KeysFound, Put
from dsectl.cli import app
from dsectl.cli.app import invoke
from dsectl.cli.console import Console
from dsectl.cli.declaration import Answer, Entry
from dsectl.cli.invocation import Session
from dsectl.cli.table import COMMANDS
from dsectl.cli.topics import topics
from tests.client.fake_node import Peer
from tests.client.scripts import healthy, refuses
from tests.dsectl.conftest import Run, Serve
from tests.dsectl.ui.terminal import TerminalText

Environment = Callable[[], dict[str, str]]
DSECTL = [sys.executable, "-m", "dsectl"]
WAIT_S = 30.0


def test_an_unknown_command_names_the_one_that_was_meant(run: Run) -> None:
    ran = run("gte", "k")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "error: unknown command 'gte'\nhelp: Did you mean `dsectl get`?\n"


def test_an_unknown_option_before_the_command(run: Run) -> None:
    assert run("--jsno", "get", "k").code == 2


def test_watch_of_a_key_names_the_command_for_it(run: Run) -> None:
    ran = run("watch", "cart")
    assert ran.code == 2
    assert "events --key cart -f" in ran.err


def test_under_json_an_error_is_the_last_line_of_stdout(run: Run) -> None:
    ran = run("get", "k", "--json")
    assert (ran.code, ran.err) == (4, "")
    assert ran.json["error"]["code"] == "unknown-cluster"
    assert ran.json["error"]["definite"] is True
    assert "dsectl up" in ran.json["error"]["help"]


@pytest.mark.parametrize(
    "words", [["get"], ["get", "a", "b"], ["get", "k", "--r", "x"], ["get", "k", "--nope"], ["-C"]]
)
def test_wrong_usage_exits_with_2_and_names_help(run: Run, words: list[str]) -> None:
    ran = run(*words)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: ") and "`dsectl help" in ran.err
    assert run(*words, "--json").code == 2 or words == ["-C"]


@pytest.mark.parametrize(
    ("line", "message", "help"),
    [
        ("put", "missing KEY", "help: Usage: dsectl put [OPTIONS] KEY VALUE\nhelp: `dsectl help put`"),
        ("complete", "missing key|", "|operation [TEXT]\nhelp:"),
        ("get k --timeout -5s", 'invalid duration "-5s"', "250ms, 5s, 2m"),
        ("get k --timeout 0s", "--timeout must be above 0", "500ms"),
        ("get k --jsno", "unknown option --jsno", "Did you mean --json?"),
        ("--jsno get k", "unknown option --jsno", "Did you mean --json?"),
        ("up x", "unexpected argument: x", "To choose a cluster: `dsectl up -C NAME`.\n"),
        ("ps x", "unexpected argument: x", "It lists all clusters"),
        ("use other", "unknown command 'use'", "-C NAME"),
        ("clear", "unknown command 'clear'", "It works in `dsectl shell`."),
        ("within 5s: get k .value == 1", "unknown command 'within'", "`dsectl shell -c 'within 5s: get cart"),
        ("within: get k .value == 1", "unknown command 'within:'", "`dsectl shell -c 'within 5s: get cart"),
        ("queue crate jobs", "queue needs one of create", "Did you mean `dsectl queue create`?"),
        ("recipe present quorum", "recipe needs one of run,", "Did you mean `dsectl present`?"),
        ("get a; get b", "unexpected argument: get b", "`;` separates none"),
        ("explain cart .owners", "unexpected argument: .owners", "dsectl shell -c 'explain … .owners -> $x'"),
        ("members n1", "unexpected argument: n1", "--via NODE"),
        ("add 1", "unexpected argument: 1", "`dsectl add -n 1`"),
        ("up 3", "unexpected argument: 3", "`dsectl up -n 3`"),
        ("keys --limit 0", 'invalid --limit "0": expected a whole number from 1', "`dsectl help keys`"),
        ("keys --limit x", 'invalid --limit "x": expected a whole number from 1', "`dsectl help keys`"),
        ("ring --partition x", 'invalid --partition "x": expected a whole number', "`dsectl help ring`"),
        ("keys --after", "--after needs a value", "`dsectl help keys`"),
        ("keys --limt 5", "unknown option --limt", "Did you mean --limit?"),
        ("put k -5", "unknown option -5", "`dsectl put … -- -5`"),
        ("up --ttl 5", 'invalid duration "5": expected 250ms, 5s, 2m', "unit"),
        ("up --zones 9 -C z", "5 nodes make 1 to 5 zones, not 9", "`dsectl help up`"),
        ("up --gateway nats --gateway sqs,nats -C z", "gateway nats is named twice", "`dsectl help up`"),
        ("ls", "unknown command 'ls'", "Did you mean `dsectl ps` or `dsectl keys`?"),
        ("set k v", "unknown command 'set'", "Did you mean `dsectl put`?"),
        ("recipe nope", "recipe needs one of run, check, list, show, not 'nope'", "`dsectl help recipe`"),
    ],
)
def test_what_is_wrong_and_what_helps(run: Run, serve: Serve, line: str, message: str, help: str) -> None:
    serve()
    ran = run(*line.split())
    assert ran.code == 2 and ran.out == ""
    assert ran.err.startswith(f"error: {message}") and help in ran.err


@pytest.mark.parametrize("words", [["up", "-h"], ["recipe", "-h"], ["recipe", "run", "-h"], ["-h"], ["put", "k", "-h"]])
def test_h_is_help(run: Run, words: list[str]) -> None:
    assert run(*words).out == run(*[word.replace("-h", "--help") for word in words]).out != ""
    assert run("put", "k", "--", "-h").code == 4, "but behind -- it is a value"


def test_what_is_taken_only_to_be_refused_is_not_in_the_usage(run: Run) -> None:
    assert run("watch", "--help").lines[0] == "Usage: dsectl watch [OPTIONS]"


def test_errors_break_between_words_and_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "get_terminal_size", lambda descriptor: os.terminal_size((30, 24)))
    err = TerminalText()
    monkeypatch.setenv("NO_COLOR", "1")
    assert invoke(["recipe", "nope"], out=io.StringIO(), err=err) == Usage.exit_code
    assert err.getvalue().splitlines() == [
        "error: recipe needs one of",
        "      run, check, list, show,",
        "      not 'nope'",
        "help: `dsectl help recipe`",
        "      lists them.",
    ]


def test_notes_and_errors_stand_behind_what_was_printed_before(monkeypatch: pytest.MonkeyPatch) -> None:
    both = io.BytesIO()
    out, err = io.TextIOWrapper(both), io.TextIOWrapper(both)

    def prints() -> Answer:
        def view(console: Console) -> None:
            console.line("data")
            console.note("note")
            console.line("more data")
            raise Usage("refused", help="")

        return Answer({}, view)

    monkeypatch.setattr(Entry, "load", lambda entry: prints)
    assert invoke(["ps"], out=out, err=err) == Usage.exit_code
    assert both.getvalue().decode().splitlines() == ["data", "note", "more data", "error: refused"]


def test_help_says_what_a_default_means(run: Run) -> None:
    text = run("help", "put").out
    assert "default: 0" not in text and "(default: the cluster's W)" in text


def test_a_value_that_looks_like_an_option_needs_two_dashes(run: Run, serve: Serve) -> None:
    [node] = serve()
    ran = run("put", "k", "-5")
    assert ran.code == 2
    assert "`dsectl put … -- -5`" in ran.err
    assert run("put", "k", "--", "-5").code == 0
    assert node.bodies(Put)[0].value == b"-5"


def test_no_words_and_help_options_print_the_overview(run: Run) -> None:
    assert run().out == run("--help").out == run("help").out != ""


def test_the_version(run: Run) -> None:
    ran = run("--version")
    assert (ran.code, ran.out.split()[0]) == (0, "dsectl")
    assert run("--version", "--json").json["version"] == ran.out.split()[1]


def test_topics_of_help(run: Run) -> None:
    ran = run("help", "exit-codes")
    assert [line.split()[0] for line in ran.lines[1:]] == [str(code) for code in EXIT_CODES]
    assert "--via NODE" in run("help", "options").out
    assert "@FILE" in run("help", "values").out
    assert run("help", "durations").out == run("help", "units").out
    assert "Usage: dsectl faults" in run("help", "faults").out and "SIGSTOP" in run("help", "faults").out
    ran = run("help", "exit-cods")
    assert ran.code == 6 and "`dsectl help exit-codes`" in ran.err
    ran = run("help", "xyzzy")
    assert ran.code == 6 and "Topics: exit-codes, errors" in ran.err


def test_every_topic_is_told_and_fits(run: Run) -> None:
    for name in topics():
        ran = run("help", name)
        assert ran.code == 0 and name in run("help").out
        assert max(map(len, topics()[name].text.splitlines())) <= 120 or name in ("errors", "exit-codes"), name
        assert run("help", name, "--json").json["topic"] == name
    also = [word for topic in topics().values() for word in topic.also]
    assert len(set(also)) == len(also) > 20 and not set(also) & set(COMMANDS)


def test_colour_is_for_terminals_and_for_whom_it_is_asked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in run("help").out
    assert "\x1b[36m" in run("help", terminal=True).out
    for dumb in ("dumb", ""):
        monkeypatch.setenv("TERM", dumb)
        assert "\x1b" not in run("help", terminal=True).out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" in run("help").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in run("help", terminal=True).out


def test_the_cluster_is_the_option_then_the_session_then_the_environment(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "'default'" in run("get", "k").err
    monkeypatch.setenv("DSECTL_CLUSTER", "from-environment")
    assert "'from-environment'" in run("get", "k").err
    session = Session("from-session")
    assert "'from-session'" in run("get", "k", session=session).err
    assert "'from-option'" in run("get", "k", "-C", "from-option", session=session).err


def test_a_session_keeps_its_connection_and_its_contexts(run: Run, serve: Serve) -> None:
    [node] = serve()
    session = Session()
    assert run("get", "k", session=session).code == 0
    assert run("put", "k", "v", session=session).code == 0
    assert node.accepted == 1
    assert len(node.bodies(Get)) == 1, "the put knows the context from the get"
    session.close()


def test_a_bug_is_told_as_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(app, "_carry_out", broken)
    ran = run("help")
    assert ran.code == 1
    assert "Traceback" in ran.err and "error: ZeroDivisionError: oh" in ran.err
    assert run("help", "--json").json["error"]["code"] == "internal"


def test_ctrl_c_in_a_command(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "_carry_out", interrupted)
    ran = run("help")
    assert (ran.code, ran.out, ran.err) == (130, "", "")


def many_keys(peer: Peer, frame: Frame) -> None:
    assert isinstance(frame, Request)
    peer.reply(frame, KeysFound([f"key-{number:06}" for number in range(100_000)], ""))


HANDLED = """
from dsectl.cli import app
from dsectl.cli.app import invoke
from dsectl.cli.console import Console
from dsectl.cli.declaration import Answer, Entry
def invoke(argv):
    try:
        exec("raise KeyboardInterrupt")
    except KeyboardInterrupt:
        return 3
app.invoke = invoke
app.main()
"""


def test_ctrl_c_that_was_handled_is_no_death_by_signal(tmp_path: Path) -> None:
    """Python ends a module by SIGINT when it ever met a KeyboardInterrupt in source that was run, handled or not."""
    (tmp_path / "handled.py").write_text(HANDLED)
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[3])])
    done = subprocess.run([sys.executable, "-m", "handled"], env={**os.environ, "PYTHONPATH": path}, timeout=WAIT_S)
    assert done.returncode == 3


def test_a_reader_that_goes_away_ends_it_quietly(serve: Serve, environment: Environment) -> None:
    serve(many_keys)
    with subprocess.Popen(
        [*DSECTL, "keys", "--limit", "100000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b"key-000000\n"
        process.stdout.close()
        assert process.wait(WAIT_S) == 141
        assert process.stderr.read() == b""


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_a_subscription_cleanly(serve: Serve, environment: Environment, signum: int, code: int) -> None:
    serve(healthy())
    with subprocess.Popen(
        [*DSECTL, "subscribe", "orders.>"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b"orders.new  hello\n"
        process.send_signal(signum)
        assert process.wait(WAIT_S) == code
        assert process.stderr.read() == b"subscribed to orders.> at n1; announced to 5 nodes\n"


def test_as_a_process_it_does_what_it_does_here(serve: Serve, environment: Environment, tmp_path: Path) -> None:
    serve(healthy())
    done = subprocess.run([*DSECTL, "get", "k"], capture_output=True, env=environment(), timeout=WAIT_S, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"book\n", b"")
    done = subprocess.run([*DSECTL, "get"], capture_output=True, env=environment(), timeout=WAIT_S, check=False)
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [("no-quorum", 7), ("overloaded", 7), ("usage", 2), ("siblings", 1), ("maybe", 5), ("storage-full", 7)],
)
def test_the_errors_of_nodes_have_their_exit_codes(run: Run, serve: Serve, code: str, exit_code: int) -> None:
    serve(refuses(code))
    ran = run("put", "k", "v", "--blind", "--json")
    assert ran.code == exit_code
    assert ran.json["error"]["code"] == code
    assert (ran.json["key"], ran.json["outcome"]) == ("k", "maybe" if code == "maybe" else "no")


def test_bytes_that_are_not_text(environment: Environment, serve: Serve) -> None:
    serve(healthy())
    name = os.fsencode("caf") + b"\xe9"
    done = subprocess.run([*DSECTL, "get", name], capture_output=True, env=environment(), timeout=WAIT_S, check=False)
    assert done.returncode == 2
    assert b"the key is not valid UTF-8" in done.stderr
    done = subprocess.run(
        [*DSECTL, name, "--json"], capture_output=True, env=environment(), timeout=WAIT_S, check=False
    )
    assert done.returncode == 2 and done.stdout.startswith(b'{"error"')


def test_a_session_is_one_whichever_node_it_speaks_to(serve: Serve, home: Path) -> None:
    serve()
    session = Session()
    anybody, named = session.client("testing", None), session.client("testing", "n1")
    assert anybody is not named and anybody is session.client("testing", None)
    anybody.contexts.remember("cart", b"seen")
    assert named.contexts.recall("cart") == b"seen"
    os.utime(home / "clusters" / "testing" / "secret", ns=(1, 1))
    assert session.client("testing", None).contexts.recall("cart") is None, "another cluster of that name"
    session.close()


def test_a_session_notices_another_cluster_of_the_same_name(run: Run, serve: Serve, home: Path) -> None:
    [node] = serve()
    session = Session()
    assert run("get", "k", session=session).code == 0
    os.utime(home / "clusters" / "testing" / "secret", ns=(1, 1))
    assert run("get", "k", session=session).code == 0
    assert node.accepted == 2
    (home / "clusters" / "testing" / "secret").unlink()
    assert run("get", "k", session=session).code == 4
    session.close()
