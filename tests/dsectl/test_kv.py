"""put, get, delete, keys: what they send, and what they print."""

import io
import sys
from pathlib import Path

import pytest

from cluster.versions.context import encode_clock, make_token
from cluster.wire.frames import Frame, Request
from cluster.wire.kv import Get, Got, Keys, KeysFound, Put, PutDone
from tests.client.fake_node import Peer, Script
from tests.client.scripts import healthy
from tests.dsectl.conftest import Run, Serve

CLOCK = encode_clock({"a1": 3})


def holding(*siblings: bytes, degraded: bool = False, outcome: str = "ok") -> Script:
    """A node that holds these values of every key."""

    def script(peer: Peer, frame: Frame) -> None:
        assert isinstance(frame, Request)
        if isinstance(frame.body, Get):
            peer.reply(frame, Got(list(siblings), CLOCK, 2, 1, degraded, "n1"))
        elif isinstance(frame.body, Put):
            peer.reply(frame, PutDone(outcome, 2, 1, CLOCK, "n1", len(siblings) + 1, "interval"))

    return script


def test_put_reads_the_context_and_writes_with_it(run: Run, serve: Serve) -> None:
    [node] = serve()
    ran = run("put", "cart", "book")
    assert ran.code == 0
    assert ran.out.startswith("ok  2 acks through n1  ")
    assert len(node.bodies(Get)) == 1
    [put] = node.bodies(Put)
    assert (put.key, put.value, put.context) == ("cart", b"book", CLOCK)


def test_put_as_json(run: Run, serve: Serve) -> None:
    serve()
    found = run("put", "cart", "book", "--json").json
    assert found.items() >= {"key": "cart", "outcome": "ok", "coordinator": "n1", "acks": 2, "hints": 0}.items()
    assert isinstance(found["context"], str) and isinstance(found["ms"], float) and found["durability"] == "interval"


@pytest.mark.parametrize("way", ["--blind", "--ctx"])
def test_a_put_that_needs_no_read_does_none(run: Run, serve: Serve, way: str) -> None:
    [node] = serve()
    token = make_token("cart", CLOCK)
    assert run("put", "cart", "book", way, *([token] if way == "--ctx" else [])).code == 0
    assert node.bodies(Get) == []
    assert node.bodies(Put)[0].context == (CLOCK if way == "--ctx" else None)


def test_blind_and_a_context_exclude_each_other(run: Run, serve: Serve) -> None:
    serve()
    assert run("put", "cart", "book", "--blind", "--ctx", "x").code == 2


def test_a_context_of_another_key_is_refused(run: Run, serve: Serve) -> None:
    serve()
    ran = run("put", "cart", "book", "--ctx", make_token("other", CLOCK), "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, "bad-context")


def test_options_of_put_reach_the_node(run: Run, serve: Serve) -> None:
    [node] = serve()
    assert run("put", "cart", "book", "--w", "3", "--strict").code == 0
    assert (node.bodies(Put)[0].w, node.bodies(Put)[0].strict) == (3, True)


def test_a_value_from_standard_input_or_a_file(
    run: Run, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [node] = serve()
    stdin = io.TextIOWrapper(io.BytesIO(b"\x00from stdin"))
    monkeypatch.setattr(sys, "stdin", stdin)
    (tmp_path / "value").write_bytes(b"\xfffrom a file")
    assert run("put", "k", "-").code == 0
    assert run("put", "k", f"@{tmp_path / 'value'}").code == 0
    assert run("put", "k", "@literal", "--literal").code == 0
    assert run("put", "k", "--literal", "--", "-").code == 0
    assert [put.value for put in node.bodies(Put)] == [b"\x00from stdin", b"\xfffrom a file", b"@literal", b"-"]


def test_a_file_that_is_not_there(run: Run, serve: Serve) -> None:
    serve()
    ran = run("put", "k", "@/no/such/file")
    assert ran.code == 2
    assert "--literal" in ran.err


def test_a_write_that_may_still_appear(run: Run, serve: Serve) -> None:
    serve(holding(outcome="maybe"))
    ran = run("put", "cart", "book", "--json")
    assert ran.code == 5
    assert ran.json["error"]["code"] == "maybe" and ran.json["error"]["definite"] is False
    assert (ran.json["key"], ran.json["outcome"], ran.json["acks"]) == ("cart", "maybe", 2)
    assert isinstance(ran.json["context"], str)


def test_what_a_put_says_of_hints_and_siblings(run: Run, serve: Serve) -> None:
    serve(holding(b"a", outcome="ok-sloppy"))
    out = run("put", "cart", "book", "--blind").out
    assert out.startswith("ok-sloppy  2 acks through n1  1 hint kept for absent owners  2 siblings now  ")


@pytest.mark.parametrize("name", ["delete", "del"])
def test_delete_writes_a_tombstone(run: Run, serve: Serve, name: str) -> None:
    [node] = serve()
    assert run(name, "cart").code == 0
    [put] = node.bodies(Put)
    assert put.deleted and put.context == CLOCK


def test_get_prints_the_value(run: Run, serve: Serve) -> None:
    serve()
    ran = run("get", "cart")
    assert (ran.code, ran.out, ran.err) == (0, "book\n", "")


def test_get_as_json(run: Run, serve: Serve) -> None:
    serve(holding(b"book", degraded=True))
    found = run("get", "cart", "--json").json
    assert found.items() >= {"key": "cart", "value": "book", "siblings": ["book"], "answered": 2}.items()
    assert (found["repaired"], found["degraded"]) == (1, True)
    assert set(found) >= {"context", "ms"}


def test_a_strict_read_denies_only_what_ended_ok(run: Run, serve: Serve) -> None:
    serve(holding(degraded=True))
    ran = run("get", "cart", "--strict")
    assert ran.code == 6 and "of what ended ok" in ran.err
    assert run("get", "cart", "--strict", "--json").json["degraded"] is True


def test_siblings(run: Run, serve: Serve) -> None:
    serve(holding(b"book", b"pen"))
    ran = run("get", "cart")
    assert (ran.code, ran.out) == (0, "book\npen\n")
    assert "2 siblings" in ran.err
    assert run("get", "cart", "-q").err == ""
    found = run("get", "cart", "--json").json
    assert (found["value"], found["siblings"]) == (None, ["book", "pen"])
    assert run("get", "cart", "--raw").code == 1


def test_a_missing_key(run: Run, serve: Serve) -> None:
    serve(holding())
    ran = run("get", "cart")
    assert (ran.code, ran.out) == (6, "")
    assert "no key 'cart'" in ran.err and "dsectl explain cart" in ran.err
    assert "`dsectl explain 'my cart'` shows" in run("get", "my cart").err, "it can be pasted into a shell"
    found = run("get", "cart", "--json")
    assert found.code == 6
    assert (found.json["error"]["code"], found.json["key"]) == ("not-found", "cart")
    assert (found.json["value"], found.json["siblings"]) == (None, [])


def test_bytes_that_are_not_text(run: Run, serve: Serve) -> None:
    serve(holding(b"\xff\x00"))
    assert run("get", "k", "--json").json["value"] == {"base64": "/wA="}
    ran = run("get", "k")
    assert ran.out == "\\xff\\x00\n" and "2 bytes that are not text; --raw" in ran.err
    assert run("get", "k", "--raw").out == b"\xff\x00".decode(errors="surrogateescape")


def test_one_byte_that_is_not_text(run: Run, serve: Serve) -> None:
    serve(holding(b"\xff"))
    assert run("get", "k").err == "note: 1 byte that is not text; --raw writes it as it is\n"


def test_json_is_laid_out_on_a_terminal_only(run: Run, serve: Serve) -> None:
    serve(holding(b'{"a":[1,2]}'))
    assert run("get", "k").out == '{"a":[1,2]}\n'
    assert run("get", "k", terminal=True).out == '{\n  "a": [\n    1,\n    2\n  ]\n}\n'
    assert run("get", "k", "--raw", terminal=True).out == '{"a":[1,2]}'


def test_json_that_is_nested_without_end_is_text(run: Run, serve: Serve) -> None:
    deep = 200_000  # Python 3.13 nests further than 3.11
    serve(holding(b"[" * deep + b"]" * deep))
    assert run("get", "k", terminal=True).out == "[" * deep + "]" * deep + "\n"


def test_a_value_cannot_command_the_terminal(run: Run, serve: Serve) -> None:
    serve(holding(b"\x1b[2Jgone\r\nline"))
    assert run("get", "k", terminal=True).out == "\\x1b[2Jgone\\r\nline\n"
    assert run("get", "k").out == "\x1b[2Jgone\r\nline\n", "a pipe gets the text as it is"


def test_get_of_one_node_only(run: Run, serve: Serve) -> None:
    first, second = serve(healthy("n1"), healthy("n2"))
    assert run("get", "k", "--only", "n2", "--json").json["coordinator"] == "n2"
    assert second.bodies(Get)[0].local and not first.bodies(Get)
    assert run("get", "k", "--only", "n9").code == 6


def test_via_chooses_the_node(run: Run, serve: Serve) -> None:
    serve(healthy("n1"), healthy("n2"))
    assert run("get", "k", "--via", "n2", "--json").json["coordinator"] == "n2"
    ran = run("get", "k", "--via", "n7")
    assert ran.code == 6 and "n7" in ran.err


def test_keys_are_merged_over_all_nodes(run: Run, serve: Serve) -> None:
    serve(healthy("n1"), healthy("n2"))
    assert run("keys", "a").lines == ["a1", "an1", "an2"]
    assert run("keys", "a", "--json").json == {"keys": ["a1", "an1", "an2"], "more": False, "silent": [], "after": ""}
    ran = run("keys", "a", "--limit", "2")
    assert ran.lines == ["a1", "an1"] and "go on with --after an1\n" in ran.err


def test_keys_pass_their_page_on(run: Run, serve: Serve) -> None:
    [node] = serve()
    run("keys", "a", "--limit", "7", "--after", "ab")
    [asked] = node.bodies(Keys)
    assert (asked.prefix, asked.after, asked.limit) == ("a", "ab", 7)


def test_keys_cannot_command_the_terminal(run: Run, serve: Serve) -> None:
    def script(peer: Peer, frame: Frame) -> None:
        assert isinstance(frame, Request)
        peer.reply(frame, KeysFound(["a\nb", "\x1bc"], ""))

    serve(script)
    assert run("keys").lines == ["\\x1bc", "a\\nb"] or run("keys").lines == ["a\\nb", "\\x1bc"]
    assert sorted(run("keys", "--json").json["keys"]) == sorted(["a\nb", "\x1bc"])


def test_limits_are_checked_before_anything_is_sent(run: Run, serve: Serve) -> None:
    [node] = serve()
    ran = run("get", "k" * 2000, "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, "too-large")
    assert run("get", "").code == 2
    assert node.frames == []
