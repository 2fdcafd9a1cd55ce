"""kv import and export on real processes: there and back, ended in the middle, and beside a node that is killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import cluster
from dsectl.bulk.line import format_line
from tests.processes.commands import ask, dsectl
from tests.processes.fleet import Real, real, until
from tests.processes.terminal import Person

ROOT = Path(__file__).resolve().parents[2]
DSECTL = [sys.executable, "-m", "dsectl"]
C = ("-C", "real")


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Real]:
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path / "home"))
    with real(3) as running:
        yield running


def lines(count: int, prefix: str = "k", first: int = 0) -> bytes:
    return b"".join(format_line(f"{prefix}{number:06}", [b"%d" % number]) for number in range(first, first + count))


def piped_import() -> "subprocess.Popen[bytes]":
    """An import that gets its lines from us."""
    return subprocess.Popen(
        [*DSECTL, "kv", "import", "-", "--json", *C], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def ended(process: "subprocess.Popen[bytes]") -> bytes:
    """What it printed, once it is over."""
    assert process.stdin is not None
    out, _ = process.communicate(timeout=60)
    return out


def keys_there(running: Real) -> list[str]:
    return running.client.kv.keys("k", limit=100_000).keys


def test_there_and_back(three: Real, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    data = lines(3000) + format_line("s", [b"one", b"two"]) + format_line("z", [bytes(range(256))])
    here.write_bytes(data)
    assert ask("kv", "import", str(here), *C)["written"] == 3002
    assert ask("kv", "export", str(there), *C)["keys"] == 3002
    assert [msgspec.json.decode(line) for line in there.read_bytes().splitlines()][:3001:1000] == [
        msgspec.json.decode(line) for line in data.splitlines()
    ][:3001:1000]
    assert ask("kv", "import", str(there), *C)["unchanged"] == 3002
    assert sorted(ask("get", "s", *C)["siblings"]) == ["one", "two"]
    assert dsectl("kv", "export", "-", "--prefix", "k00001", *C).out.encode() == lines(10, first=10)


def test_counters_sets_and_registers(three: Real, tmp_path: Path) -> None:
    file, again = tmp_path / "keys", tmp_path / "again"
    ask("bucket", "create", "notes", "--resolver", "lww", *C)
    ask("incr", "visitors", "34", *C)
    ask("sadd", "basket", "ink", "pen", *C)
    ask("put", "notes/ada", "monday", *C)
    assert ask("kv", "export", str(file), *C)["keys"] == 3
    assert b'{"key":"visitors","number":34}\n' in file.read_bytes()
    ask("incr", "visitors", "6", *C)
    ask("srem", "basket", "ink", *C)
    ask("sadd", "basket", "paper", *C)
    ask("put", "notes/ada", "tuesday", *C)
    assert ask("kv", "import", str(file), *C)["written"] == 3
    assert ask("kv", "import", str(file), *C)["unchanged"] == 3
    assert ask("kv", "export", str(again), *C)["keys"] == 3 and again.read_bytes() == file.read_bytes()


def test_an_import_that_is_killed_goes_on_and_writes_nothing_twice(three: Real, tmp_path: Path) -> None:
    process = piped_import()
    assert process.stdin is not None
    process.stdin.write(lines(2000))
    process.stdin.flush()
    until(lambda: len(keys_there(three)) > 100)
    process.kill()
    ended(process)
    there = keys_there(three)
    before = {key: three.client.kv.get(key).context for key in there}
    file = tmp_path / "lines"
    file.write_bytes(lines(5000))
    found = ask("kv", "import", str(file), *C)
    assert found["written"] + found["unchanged"] == 5000 and found["unchanged"] >= len(there)
    assert {key: three.client.kv.get(key).context for key in there} == before, "none of them was written again"
    assert keys_there(three) == [f"k{number:06}" for number in range(5000)]
    assert three.client.kv.get("k004999").siblings == [b"4999"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_an_import_with_what_it_came_to(three: Real, number: signal.Signals) -> None:
    process = piped_import()
    assert process.stdin is not None
    process.stdin.write(lines(500))
    process.stdin.flush()
    until(lambda: len(keys_there(three)) == 500)
    process.send_signal(number)
    assert process.wait(30) == 128 + number
    found = msgspec.json.decode(ended(process))
    assert (found["lines"], found["written"], found["interrupted"]) == (500, 500, True)


def test_an_export_that_is_killed_goes_on(three: Real, tmp_path: Path) -> None:
    source, file = tmp_path / "source", tmp_path / "keys"
    source.write_bytes(lines(20_000))
    dsectl("kv", "import", str(source), *C)
    part = Path(f"{file}.part")

    def is_cut_off() -> bool:
        """One that ended before it was killed, on a machine that looked away, is tried again."""
        file.unlink(missing_ok=True)
        process = subprocess.Popen([*DSECTL, "kv", "export", str(file), *C], cwd=ROOT, stdout=subprocess.DEVNULL)
        until(lambda: file.exists() or (part.exists() and part.stat().st_size > 0))
        process.kill()
        process.wait()
        return not file.exists()

    until(is_cut_off)
    found = ask("kv", "export", str(file), "--resume", *C)
    assert 0 < found["keys"] < 20_000 and found["after"]
    assert file.read_bytes() == source.read_bytes() and not part.exists()


def test_a_node_that_is_killed_costs_no_line(three: Real, tmp_path: Path) -> None:
    """Lines that it alone could tell of may be left, with their numbers; the same command then has all in."""
    process = piped_import()
    assert process.stdin is not None
    process.stdin.write(lines(2000))
    process.stdin.flush()
    until(lambda: len(keys_there(three)) > 100)
    three.kill("n2")
    process.stdin.write(lines(2000, first=2000))
    found = msgspec.json.decode(ended(process))
    unsure = [error["code"] for error in found.get("errors", ())]
    assert process.returncode == (5 if unsure else 0) and set(unsure) <= {"maybe"}, found
    assert found["written"] + found["unchanged"] + len(unsure) == 4000
    file = tmp_path / "lines"
    file.write_bytes(lines(4000))
    found = ask("kv", "import", str(file), *C)
    assert found["written"] + found["unchanged"] == 4000 and found["written"] <= len(unsure)
    assert keys_there(three) == [f"k{number:06}" for number in range(4000)]
    assert all(three.client.kv.get(f"k{number:06}").siblings == [b"%d" % number] for number in range(0, 4000, 100))


def test_without_a_quorum_it_says_which_line_and_what_is_in(three: Real, tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(lines(10))
    three.kill("n2", "n3")
    until(lambda: ask("members", *C)["n3"]["state"] == "dead" and ask("members", *C)["n2"]["state"] == "dead")
    found = ask("kv", "import", str(file), "--timeout", "1s", *C, code=7)
    assert found["error"]["code"] == "no-quorum" and found["errors"][0]["line"] >= 1 and found["written"] == 0
    assert ask("kv", "export", str(file), "--timeout", "1s", *C, code=7)["error"]["code"] == "no-quorum"


def test_progress_is_seen_on_a_terminal(three: Real, tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(lines(20_000))
    person = Person("kv", "import", str(file), *C)
    person.wait_written("%  line ")
    person.wait_for("imported 20,000 lines: 20,000 written, 0 there already")
    assert person.leave() == 0
    assert "%  line" not in person.screen.text, "it is gone at the end"


def test_a_reader_that_leaves_ends_an_export(three: Real, tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(lines(5000))
    dsectl("kv", "import", str(file), *C)
    process = subprocess.Popen([*DSECTL, "kv", "export", "-", *C], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == lines(1)
    process.stdout.close()
    assert process.wait(30) == 141


def test_in_a_shell_and_from_python(three: Real, tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(lines(3))
    environment = {**os.environ, "DSECTL_CLUSTER": "real"}
    for line in (f"kv import {file} .written -> $n", "expect kv export - .length == 3"):
        subprocess.run([*DSECTL, "shell", "-c", line], cwd=ROOT, env=environment, check=True, timeout=60)
    with cluster.connect_blocking("real") as client:
        assert client.kv.get("k000002").value == b"2"
