"""kv import and kv export: files, streams, prefixes, what they print and how they exit."""

import os
import sys
from pathlib import Path

import msgspec
import pytest

from cluster.versions.context import encode_clock
from cluster.wire.frames import Frame, Request
from cluster.wire.kv import Get, Got, Keys, KeysFound, Put, PutDone
from dsectl.bulk.line import format_line
from tests.client.fake_node import Peer
from tests.dsectl.conftest import Run, Serve

CLOCK = encode_clock({"a1": 3})


class Holding:
    """A node that holds what it is given; a put that brings a context replaces all."""

    def __init__(self, **rows: list[bytes]) -> None:
        self.rows = rows

    def __call__(self, peer: Peer, frame: Frame) -> None:
        assert isinstance(frame, Request)
        match frame.body:
            case Get(key=key):
                peer.reply(frame, Got(self.rows.get(key, []), CLOCK, 2, 0, False, "n1"))
            case Put(key=key, value=value, context=context):
                self.rows[key] = [value] if context else [*self.rows.get(key, []), value]
                peer.reply(frame, PutDone("ok", 2, 0, CLOCK, "n1", len(self.rows[key]), "interval"))
            case Keys(prefix=prefix, after=after):
                found = sorted(key for key in self.rows if key > after and key.startswith(prefix))
                peer.reply(frame, KeysFound(found, ""))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.jsonl"


def test_there_and_back(run: Run, serve: Serve, file: Path) -> None:
    node = Holding(a=[b"1"], b=[b"x", b"y"], c=[b"\xff"])
    serve(node)
    ran = run("kv", "export", str(file))
    assert (ran.code, ran.err) == (0, "") and ran.out.startswith("exported 3 keys, ")
    assert file.read_bytes() == format_line("a", [b"1"]) + format_line("b", [b"x", b"y"]) + format_line("c", [b"\xff"])
    assert not Path(f"{file}.part").exists(), "it has its name once it is whole"
    before = dict(node.rows)
    node.rows.clear()
    ran = run("kv", "import", str(file))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("imported 3 lines: 3 written, 0 there already  ")
    assert node.rows == before
    assert run("kv", "import", str(file)).out.startswith("imported 3 lines: 0 written, 3 there already  ")


def test_as_json(run: Run, serve: Serve, file: Path) -> None:
    serve(Holding(a1=[b"1"], b1=[b"2"]))
    found = run("kv", "export", str(file), "--prefix", "a", "--json").json
    assert found.items() >= {"file": str(file), "keys": 1, "bytes": 25, "silent": [], "interrupted": False}.items()
    file.write_text('{"key":"a1","value":"1"}\n{"key":"a2","value":"2"}\n\n{"key":"b2","value":"2"}\n')
    found = run("kv", "import", str(file), "--prefix", "a", "--json").json
    assert found.items() >= {"lines": 4, "written": 1, "unchanged": 1, "passed_over": 1, "failed": 0}.items()
    assert found["seconds"] >= 0 and found["per_s"] > 0


def test_standard_streams(run: Run, serve: Serve, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = Holding(a=[b"1"])
    serve(node)
    for words in (("kv", "export", "-"), ("kv", "export", "-", "--json")):
        ran = run(*words)
        assert (ran.code, ran.out) == (0, '{"key":"a","value":"1"}\n')
    assert run("kv", "export", "-").err.startswith("exported 1 key, ")
    assert run("kv", "export", "-", "-q").err == ""
    file.write_text('{"key":"b","value":"2"}')
    with file.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert run("kv", "import", "-").out.startswith("imported 1 line: 1 written")
    assert node.rows["b"] == [b"2"]


def test_a_pipe_is_written_to_and_keeps_its_name(run: Run, serve: Serve, tmp_path: Path) -> None:
    serve(Holding(a=[b"1"]))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert run("kv", "export", str(pipe)).code == 0
    assert os.read(reader, 100) == format_line("a", [b"1"]) and pipe.is_fifo()
    os.close(reader)
    assert run("kv", "export", str(pipe), "--resume").code == 2
    ran = run("kv", "export", str(tmp_path))
    assert ran.code == 2 and "Is a directory" in ran.err and not list(tmp_path.parent.glob("*.part"))


def test_wrong_lines_have_numbers_and_the_others_are_written(run: Run, serve: Serve, file: Path) -> None:
    node = Holding()
    serve(node)
    file.write_text('{"key":"a","value":"1"}\nnonsense\n{"key":"b"}\n{"key":"c","value":"1"}\n')
    ran = run("kv", "import", str(file))
    assert (ran.code, ran.out, sorted(node.rows)) == (2, "", ["a", "c"])
    assert "line 3: one of `value`" in ran.err and "error: line 2: not JSON" in ran.err
    assert "2 written, 0 there already of 4 lines. The same command goes on" in ran.err
    found = run("kv", "import", str(file), "--json").json
    assert found["error"]["code"] == "usage" and found["unchanged"] == 2 and found["failed"] == 2
    assert [(error["line"], error["code"], error["definite"]) for error in found["errors"]] == [
        (2, "usage", True),
        (3, "usage", True),
    ]


def test_where_it_ended_nothing_is_said_of_lines_that_nobody_read(run: Run, serve: Serve, file: Path) -> None:
    serve(Holding())
    file.write_text("nonsense\n" * 200)
    assert "0 written, 0 there already of the first 100 lines. " in run("kv", "import", str(file)).err


def test_the_error_of_the_cluster_decides_the_exit_code(run: Run, serve: Serve, file: Path) -> None:
    def script(peer: Peer, frame: Frame) -> None:
        assert isinstance(frame, Request)
        if isinstance(frame.body, Put):
            peer.fail(frame, "siblings", "too many")
        else:
            Holding()(peer, frame)

    serve(script)
    file.write_text('\n{"key":"a","value":"1"}\n')
    ran = run("kv", "import", str(file), "--json")
    assert (ran.code, ran.json["error"]["code"], ran.json["errors"][0]["line"]) == (1, "siblings", 2)
    assert "line 2: too many" in run("kv", "import", str(file)).err


def test_an_export_goes_on_behind_its_last_whole_line(run: Run, serve: Serve, file: Path) -> None:
    rows = {f"k{number}": [b"v"] for number in range(9)}
    serve(Holding(**rows))
    part = Path(f"{file}.part")
    part.write_bytes(format_line("k0", [b"kept"]) + format_line("k1", [b"kept"]) + b'{"key":"k2"')
    found = run("kv", "export", str(file), "--resume", "--json").json
    assert (found["keys"], found["after"]) == (7, "k1")
    lines = [msgspec.json.decode(line) for line in file.read_bytes().splitlines()]
    assert [line["key"] for line in lines] == sorted(rows) and lines[1]["value"] == "kept"
    assert run("kv", "export", str(file), "--resume", "--json").json["keys"] == 9, (
        "nothing is left of it: from the start"
    )
    part.write_bytes(b"old")
    assert run("kv", "export", str(file)).code == 0 and len(file.read_bytes().splitlines()) == 9


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("kv", "import", "/no/such/file"), "cannot read '/no/such/file': No such file"),
        (("kv", "import", "/"), "cannot read '/': Is a directory"),
        (("kv", "export", "/no/such/file"), "cannot write '/no/such/file.part': No such file"),
        (("kv", "export", "-", "--resume"), "cannot be resumed"),
        (("kv",), "kv needs one of import, export"),
        (("kv", "import"), "missing FILE"),
    ],
)
def test_what_is_refused(run: Run, serve: Serve, words: tuple[str, ...], error: str) -> None:
    serve()
    ran = run(*words)
    assert ran.code == 2 and error in ran.err, ran


def test_what_cannot_be_resumed_stays_as_it_is(run: Run, serve: Serve, file: Path) -> None:
    serve(Holding(a=[b"1"]))
    part = Path(f"{file}.part")
    part.write_text("a letter\nto somebody")
    ran = run("kv", "export", str(file), "--resume")
    assert ran.code == 2 and "does not end with a key" in ran.err and part.read_text() == "a letter\nto somebody"
    part.write_bytes(format_line("b1", [b"v"]))
    ran = run("kv", "export", str(file), "--resume", "--prefix", "a")
    assert ran.code == 2 and "does not begin with 'a'" in ran.err


def test_progress_on_a_terminal_only(run: Run, serve: Serve, file: Path) -> None:
    serve(Holding())
    file.write_text('{"key":"a","value":"1"}\n')
    ran = run("kv", "import", str(file), terminal=True)
    assert "100%  line 1  " in ran.err and ran.err.endswith("\r\x1b[2K")
    assert "1 keys" not in run("kv", "export", str(file)).err
