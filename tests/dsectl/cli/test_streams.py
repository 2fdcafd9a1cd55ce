"""Streams that are closed, full or endless, odd environments, and signals: every command ends with a code of the table
and says why, in a line and without a traceback."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cluster.errors import EXIT_CODES
from cluster.limits import VALUE_BYTES_MAX
from cluster.wire.kv import Put
from dsectl.cli import values
from dsectl.cli.app import invoke
from dsectl.cli.streams import DataStream, MessageStream, ask, text_stream
from dsectl.cli.table import COMMANDS
from tests.client.scripts import healthy
from tests.dsectl.conftest import Run, Serve

DSECTL = [sys.executable, "-m", "dsectl"]
WAIT_S = 30.0
Environment = Callable[[], dict[str, str]]
OUTPUTS = {"full": ("/dev/full", os.O_WRONLY), "closed": (os.devnull, os.O_RDONLY)}
"""How a stream fails: as a full disk, and as a closed descriptor, which is replaced by one that refuses."""
ODD = (
    {"COLUMNS": "abc", "LINES": "x"},
    {"COLUMNS": "-5"},
    {"TERM": "dumb"},
    {"TERM": ""},
    {"LC_ALL": "C"},
    {"LANG": "xx_YY.none"},
    {"TMPDIR": "/nonexistent"},
    {"DSECTL_CLUSTER": "No Name"},
    {"DSECTL_TIME_SCALE": "x"},
    {"DSECTL_EDIT_MODE": "x"},
    {"XDG_STATE_HOME": "state", "DSECTL_HOME": ""},
    {"HOME": "", "DSECTL_HOME": ""},
)


@pytest.fixture
def no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory that cannot be made, so that nothing is ever started; nothing to read either."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path / "file" / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    return tmp_path


@pytest.fixture(params=OUTPUTS)
def failing(request: pytest.FixtureRequest) -> Iterator[int]:
    """A descriptor that refuses what is written."""
    path, mode = OUTPUTS[request.param]
    descriptor = os.open(path, mode)
    yield descriptor
    os.close(descriptor)


def typical(name: str) -> list[str]:
    """A command line of a command, with a word for each argument that it must have."""
    from dsectl.cli.parsing import command

    parameters = command(COMMANDS[name]).params
    return [*name.split(), *("n1" for one in parameters if one.param_type_name == "argument" and one.required)]


def data(descriptor: int) -> io.TextIOBase:
    stream = text_stream(DataStream(descriptor, "w", closefd=False))
    assert isinstance(stream, io.TextIOBase)
    return stream


@pytest.mark.parametrize("name", COMMANDS)
def test_output_that_cannot_be_written_is_one_line(name: str, no_place: Path, failing: int) -> None:
    for words in ([*name.split(), "--help"], ["help", *name.split()], ["help", *name.split(), "--json"]):
        out, err = data(failing), io.StringIO()
        assert invoke(words, out=out, err=err) == 1, words  # type: ignore[arg-type]
        with suppress(OSError):  # from Python 3.13 on, one that cannot be closed is reported when it is collected
            out.close()
        assert err.getvalue().startswith("error: cannot write to standard output: ") and err.getvalue().count("\n") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_messages_that_cannot_be_written_change_nothing(name: str, no_place: Path, failing: int) -> None:
    seen, out = io.StringIO(), io.StringIO()
    code = invoke(typical(name), out=out, err=seen)
    err = text_stream(MessageStream(failing, "w", closefd=False))
    assert invoke(typical(name), out=io.StringIO(), err=err) == code in EXIT_CODES
    assert code == 0 or out.getvalue() or seen.getvalue(), "silence is no answer"
    assert "Traceback" not in seen.getvalue() and "bug in dsectl" not in seen.getvalue()


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: " ".join(f"{name}={value}" for name, value in odd.items()))
def test_an_odd_environment_is_no_bug(odd: dict[str, str], no_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in odd.items():
        monkeypatch.setenv(name, value)
    if odd.get("DSECTL_HOME") == "":
        (no_place / "state").write_text("")  # nothing is started here either
    for name in COMMANDS:
        for words in (typical(name), [*name.split(), "--help"]):
            out, err = io.StringIO(), io.StringIO()
            code = invoke(words, out=out, err=err)
            assert code in EXIT_CODES and (code == 0 or out.getvalue() or err.getvalue()), words
            assert "Traceback" not in err.getvalue() and "bug in dsectl" not in err.getvalue(), err.getvalue()


@pytest.mark.parametrize("name", COMMANDS)
def test_json_is_utf_8_and_an_error_its_last_line_whatever_the_locale(name: str, no_place: Path) -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, "ascii", errors="backslashreplace")
    code = invoke([*typical(name), "--json", "-C", "k\u00fcche"], out=out, err=io.StringIO())
    if code:
        last = raw.getvalue().decode().splitlines()[-1]
        assert last.startswith("{") and "\\x" not in last


def shell(line: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """`dsectl` with redirections that only a shell writes."""
    command = line.replace("dsectl", f"{sys.executable} -m dsectl")
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment, timeout=WAIT_S)


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("dsectl get k >&-", 1, "error: cannot write to standard output: Bad file descriptor\n"),
        ("dsectl get k > /dev/full", 1, "error: cannot write to standard output: No space left on device\n"),
        ("dsectl get k --json > /dev/full", 1, "error: cannot write to standard output: No space left on device\n"),
        ("dsectl get k 2>&-", 0, ""),
        ("dsectl get k <&-", 0, ""),
        ("dsectl get k <&- >&- 2>&-", 1, ""),
        ("dsectl put k - <&-", 2, "error: cannot read standard input: Bad file descriptor\n"),
        ("dsectl nonsense > /dev/full", 2, "error: unknown command 'nonsense'\n"),
        ("yes | dsectl put k -", 2, "error: standard input holds more than the 1048576 bytes that a value may have\n"),
        ("(cd $(mktemp -d) && rmdir $PWD && dsectl get k)", 0, ""),
        ("(cd $(mktemp -d) && rmdir $PWD && DSECTL_HOME=x dsectl ps)", 2, "error: x is a relative path, and the "),
    ],
)
def test_redirections_of_a_real_process(
    serve: Serve, environment: Environment, line: str, code: int, said: str
) -> None:
    serve(healthy())
    done = shell(line, environment())
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith(said) and "Traceback" not in done.stderr
    assert said or not done.stderr


def test_a_file_for_a_value(run: Run, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [node] = serve()
    monkeypatch.setattr(values, "FIFO_WAIT_S", 0.05)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "huge").touch()
    os.truncate(tmp_path / "huge", VALUE_BYTES_MAX + 1)
    for name, said in (
        ("fifo", "nobody writes to"),
        (".", "Is a directory"),
        ("huge", "more than the 1048576"),
        ("none", "No such file"),
    ):
        ran = run("put", "k", f"@{tmp_path / name}", "--blind")
        assert ran.code == 2 and said in ran.err
    with subprocess.Popen(["sh", "-c", f"printf book > {tmp_path / 'fifo'}"]):
        monkeypatch.setattr(values, "FIFO_WAIT_S", WAIT_S)
        assert run("put", "k", f"@{tmp_path / 'fifo'}", "--blind").code == 0
    assert [put.value for put in node.bodies(Put)] == [b"book"]


INTERRUPTED = """
import os, signal, sys
from dsectl.__main__ import main
class Signal:
    def find_spec(self, name, path=None, target=None):
        if name == "MODULE":
            os.kill(os.getpid(), NUMBER)
sys.meta_path.insert(0, Signal())
main()
"""


@pytest.mark.parametrize("module", ["dsectl.cli.app", "dsectl.cli.streams", "dsectl.commands.kv", "cluster.client.kv"])
@pytest.mark.parametrize(
    ("signum", "codes"), [(signal.SIGINT, (130, -2)), (signal.SIGTERM, (143, -15)), (signal.SIGHUP, (143, -1))]
)
def test_a_signal_while_it_loads_is_no_traceback(
    signum: int, codes: tuple[int, ...], module: str, environment: Environment
) -> None:
    """Death by the signal itself, which a shell calls 130, 143 or 129, until there is something to undo."""
    code = INTERRUPTED.replace("MODULE", module).replace("NUMBER", str(int(signum)))
    done = subprocess.run(
        [sys.executable, "-c", code, "get", "k"], capture_output=True, text=True, env=environment(), timeout=WAIT_S
    )
    assert done.returncode in codes and done.stderr == ""


def test_a_question_is_shown_again_when_a_stopped_process_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Person:
        def readline(self) -> str:
            os.kill(os.getpid(), signal.SIGCONT)
            return "yes\n"

    before, shown = signal.getsignal(signal.SIGCONT), io.StringIO()
    monkeypatch.setattr(sys, "stdin", Person())
    assert ask("sure? ", shown) == "yes\n"
    assert shown.getvalue() == "sure? sure? "
    assert signal.getsignal(signal.SIGCONT) == before
